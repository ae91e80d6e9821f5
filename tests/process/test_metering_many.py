"""Thousands of turns in a row: none is lost or counted twice, memory stays, and nobody waits for the counting."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from codemie_core.demo.received import Received
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from codemie_core.store.tables import requests, tool_calls
from support import loop_watch
from support.accuracy import shapes
from support.clients import Http1
from support.proxy import BUNDLE, Mitmproxy, reverse
from support.stored import StoredHome
from support.streams import Shape

MANY = 2_000
CONNECTIONS = 12
GROWTH = 1.10
"""Of resident memory from the middle to the end; allocators keep some."""
PATIENCE = 60.0
PATHS = {"anthropic": "/v1/messages", "openai-chat": "/v1/chat/completions", "openai-responses": "/v1/responses"}
ASKED = (
    ("anthropic", "text and two parallel tools"),
    ("anthropic", "JSON with tools"),
    ("openai-chat", "text with include_usage"),
    ("openai-chat", "text without include_usage"),
    ("openai-responses", "two functions"),
    ("openai-responses", "JSON with a function and a patch"),
)
SHAPES: list[Shape] = [next(one for one in shapes() if (one.api, one.name) == asked) for asked in ASKED]


def step_for(received: Received) -> Step:
    shape = SHAPES[int(received.target.rpartition("=")[2])]
    headers = [("content-type", shape.content_type)]
    if shape.form == "sse":
        return Step(events=shape.parts, headers=headers)
    return Step(body=shape.body, headers=headers)


async def turns(proxy: Mitmproxy, numbers: list[int]) -> None:
    """One client's, on one connection."""
    async with Http1(proxy.port) as client:
        for number in numbers:
            kind = number % len(SHAPES)
            body = json.dumps({"model": f"many-{kind}", "stream": True, "messages": [], "n": number}).encode()
            headers = [("content-type", "application/json"), ("session-id", f"conversation-{number % 50}")]
            answer = await client.ask("POST", f"{PATHS[SHAPES[kind].api]}?shape={kind}", headers, body)
            assert (answer.status, answer.ended) == (200, "complete")
            assert answer.body == SHAPES[kind].body


async def run(proxy: Mitmproxy, first: int, count: int) -> None:
    numbers = list(range(first, first + count))
    async with asyncio.TaskGroup() as group:
        for place in range(CONNECTIONS):
            group.create_task(turns(proxy, numbers[place::CONNECTIONS]))


def kept(connection: Connection) -> dict[str, dict[str, Any]]:
    """Sums by the model that was asked for."""
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "cost_nano_usd", "tool_calls")
    sums = [func.sum(requests.c[name]).label(name) for name in names]
    called = select(func.count()).select_from(tool_calls).where(tool_calls.c.request_id == requests.c.id)
    query = select(
        requests.c.model_asked,
        func.count().label("turns"),
        func.sum(called.correlate(requests).scalar_subquery()).label("calls"),
        *sums,
    ).group_by(requests.c.model_asked)
    return {row["model_asked"]: dict(row) for row in connection.execute(query).mappings()}


def expected(kind: int, turns: int) -> dict[str, Any]:
    """The reference, so many times. A sum of what is unknown is unknown."""
    shape = SHAPES[kind]
    usage, calls = shape.whole.usage, len(shape.whole.tools)
    counts = {
        "input_tokens": usage.input,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "output_tokens": usage.output,
        "cost_nano_usd": shape.nano_usd,
    }
    sums = {name: None if count is None else count * turns for name, count in counts.items()}
    told = {"model_asked": f"many-{kind}", "turns": turns, "calls": calls * turns, "tool_calls": calls * turns}
    return {**told, **sums}


async def all_kept(proxy: Mitmproxy, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        [addon] = [one for one in proxy.health()["addons"] if one["name"] == "usage_metering"]
        details = addon["details"]
        if details["history"]["stored"] == count:
            break
        assert time.monotonic() < deadline, details
        await asyncio.sleep(0.05)
    assert (details["uncounted"], details["unread"], details["history"]["lost"]) == (0, 0, 0)


@pytest.mark.slow
async def test_two_thousand_turns_are_two_thousand_rows_while_memory_and_the_loop_stay_as_they_were(
    codemie_home: Path, tmp_path: Path
) -> None:
    watched, home = tmp_path / "loop", StoredHome(codemie_home)
    scripts = (BUNDLE, loop_watch.SCRIPT)
    async with Upstream(keep=0) as upstream:
        upstream.script(then=step_for)
        with reverse(upstream.url, scripts=scripts, options={"flow_detail": 0}, env=loop_watch.env(watched)) as proxy:
            await run(proxy, 0, MANY // 2)
            await all_kept(proxy, MANY // 2)
            middle = proxy.memory()
            await run(proxy, MANY // 2, MANY // 2)
            await all_kept(proxy, MANY)
            assert proxy.memory() < middle * GROWTH
    counts = Counter(number % len(SHAPES) for number in range(MANY))
    found = await asyncio.to_thread(home.read, kept)
    assert found == {f"many-{kind}": expected(kind, count) for kind, count in counts.items()}
    loop = json.loads(watched.read_text())
    assert loop["calls"] > MANY
    assert loop["slow"] == []
