"""A thousand exchanges at once, and each keeps its own lines."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from codemie_core.demo.frames import sse
from codemie_core.demo.gate import Gate
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from support.clients import Http1
from support.logged import Entry, count, written
from support.proxy import reverse

MANY = 1000
EVENTS = 6
EVERY = 2
OPTIONS = {
    "flow_detail": 0,
    "codemie_request_log_every": EVERY,
    "codemie_request_log_bodies": True,
    "codemie_request_log_max_queue": 50_000,
}
KINDS = [
    *("proxy-request", "proxy-response-headers"),
    *["proxy-streaming"] * (EVENTS // EVERY),
    *("proxy-response", "proxy-complete", "proxy-access"),
]


def path_of(number: int) -> str:
    return f"/v1/messages/n{number}n"


def answer_of(number: int) -> list[bytes]:
    return [sse(f'{{"answer": "m{number}m", "event": {event}}}', "content_block_delta") for event in range(EVENTS)]


@pytest.mark.slow
async def test_a_thousand_exchanges_at_once_keep_their_lines_apart(codemie_home: Path) -> None:
    async with Upstream(keep=0) as upstream, AsyncExitStack() as stack:
        gate = upstream.gate()
        upstream.script(*(Step(events=answer_of(number), gate=gate) for number in range(MANY)))
        with reverse(upstream.url, options=OPTIONS) as proxy:
            clients = [await stack.enter_async_context(Http1(proxy.port)) for _ in range(MANY)]
            async with asyncio.timeout(300):
                got = await asyncio.gather(*(turn(*pair) for pair in enumerate(clients)), released(upstream, gate))
            found = await written(codemie_home, count("proxy-access", MANY))
            log = next(addon for addon in proxy.health()["addons"] if addon["name"] == "request_log")
    assert (log["details"]["dropped"], log["details"]["lost"]) == (0, 0)
    by_request: dict[str, list[Entry]] = {}
    for entry in found:
        if entry.kind and "/health" not in entry.words + str(entry.args.get("path")):
            by_request.setdefault(entry.request_id, []).append(entry)
    assert len(by_request) == MANY
    answers = {body: number for number, body in enumerate(got[:MANY])}
    assert len(answers) == MANY
    numbers = {check(entries, got) for entries in by_request.values()}
    assert numbers == set(range(MANY))
    # They really ran at once: no exchange ended before every other one had begun.
    kinds = [entry.kind for entry in found if entry.request_id in by_request]
    last_request = len(kinds) - 1 - kinds[::-1].index("proxy-request")
    assert last_request < kinds.index("proxy-access")


def check(entries: list[Entry], got: list[bytes | None]) -> int:
    """All that is told of one exchange is its own; returns its number."""
    assert [entry.kind for entry in entries] == KINDS
    asked, head, *flowing, replied, complete, access = entries
    match = re.fullmatch(r"POST /v1/messages/n(\d+)n", asked.words)
    assert match
    number = int(match[1])
    path = path_of(number)
    assert asked.args["model"] == access.args["model"] == f"model-{number}"
    assert json.loads(asked.args["body"])["marker"] == f"marker-{number}"
    assert access.args["path"] == path
    assert [entry.words.split(" ")[0] for entry in (head, *flowing, complete)] == [path] * (2 + len(flowing))
    assert replied.words.split(" ")[:2] == ["200", path]
    assert [entry.args["chunk"] for entry in flowing] == [2, 4, 6]
    body = got[number]
    assert body is not None
    assert int(access.args["bytes_out"]) == len(body)
    shown = replied.args["body"]
    assert (shown["eventCount"], shown["bodySizeBytes"]) == (EVENTS, len(body))
    assert shown["firstEvents"] == body.decode().splitlines()[:10]
    assert shown["lastEvents"] == body.decode().splitlines()[-10:]
    sessions = {entry.args["sessionId"] for entry in entries if "sessionId" in entry.args}
    assert len(sessions) == 1
    return number


async def turn(number: int, client: Http1) -> bytes:
    """One exchange with a path, a model, a conversation and words of its own."""
    ask = {"model": f"model-{number}", "stream": True, "marker": f"marker-{number}"}
    headers = [("content-type", "application/json"), ("session-id", f"conversation-{number}")]
    answer = await client.ask("POST", path_of(number), headers, json.dumps(ask).encode())
    assert (answer.status, answer.ended) == (200, "complete")
    return answer.body


async def released(upstream: Upstream, gate: Gate) -> None:
    """Let the streams go on, event by event, once all of them are open."""
    await upstream.wait_until(lambda: gate.waiting == MANY, 240)
    gate.open()
