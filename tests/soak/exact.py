"""Is every turn in the history as it was? `python -m soak.exact` within tests/.

Many thousand turns, no two alike, through a real mitmdump with the bundle and its database: streams and whole answers,
tools and their results. Then the proxy ends, and every row is compared with what was asked and answered. Tells too what
the proxy's memory came to, and which calls kept its event loop from everything else for 20 ms or more.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.targets import BUNDLE, Proxy, dump, proxies, upstream_process
from bench.wire import WISH, MessageReader, conversation
from codemie_core.places import Places
from codemie_core.store import tables
from codemie_core.store.database import open_database
from soak import slow, state
from soak.exact_turns import MODEL, NANO_USD, STAY, asked, is_last, is_streamed, tokens, tools, went_well
from soak.run import Sample, growth, look

TURNS, PARTS = 20_000, 10
CONNECTIONS = 8
PATIENCE = 60.0
REST_SECONDS = 0.6
"""After a part, until it tells how it is: connections are closed by then, and what was said is stored."""
TARGET = dump("mitmdump -s codemie.py, its history", BUNDLE, Path(state.__file__), Path(slow.__file__))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    wrong: Sequence[str]
    """What is not as it was asked and answered."""
    samples: Sequence[Sample]
    slow: Sequence[Mapping[str, Any]]
    """Calls on the event loop of 20 ms and more after the first part: when, how long, of
    that at work and in all threads, which."""


def main() -> int:
    """0 when every row is right and memory stayed as it was."""
    teaching = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="python -m soak.exact", description=teaching[0], epilog=teaching[2])
    parser.add_argument("--turns", type=int, default=TURNS, help=f"how many (default: {TURNS})")
    outcome = exact(parser.parse_args().turns, partial(print, flush=True))
    for call in outcome.slow:
        took, worked, spent = (round(call[name] * 1000) for name in ("took", "worked", "spent"))
        print(f"{took} ms, {worked} of them at work, {spent} in all threads: {call['what'][:200]}")
    problems = [*outcome.wrong[:20], *growth(outcome.samples)]
    print("\n".join(problems) or f"every turn of {outcome.samples[-1].requests} is in the history as it was")
    return 1 if problems else 0


def exact(turns: int, progress: Callable[[str], None] = lambda _: None, parts: int = PARTS) -> Outcome:
    """So many turns, in parts."""
    samples: list[Sample] = []
    part = -(-turns // parts // STAY) * STAY
    with upstream_process("soak.exact_upstream") as upstream, proxies([TARGET], upstream) as running:
        proxy = running[TARGET.name]
        proxy.resume()
        warm = 0.0
        for first in range(0, turns, part):
            began, numbers = time.monotonic(), range(first, min(first + part, turns))
            asyncio.run(_crowd(proxy.port, numbers))
            rate = len(numbers) / (time.monotonic() - began)
            _rested(proxy.home / state.FILE)
            samples.append(sample := look(proxy, numbers[-1] + 1, rate))
            progress(f"{sample.requests:6} turns: {sample.memory:6.1f} MB, {sample.tasks} tasks, {rate:.0f}/s")
            warm = warm or time.time()
        proxy.stop()
        progress((proxy.home / "log").read_text())
        return Outcome(_compare(proxy.home, turns), samples, _slow_ones(proxy, warm))


def _rested(told: Path) -> None:
    """Wait until it has told how it is after its rest."""
    since, deadline = time.time() + REST_SECONDS, time.monotonic() + PATIENCE
    while told.stat().st_mtime < since:
        assert time.monotonic() < deadline, "it does not tell how it is any more"
        time.sleep(0.05)


async def _crowd(port: int, numbers: range) -> None:
    visits = [numbers[at : at + STAY] for at in range(0, len(numbers), STAY)]
    waiting = iter(visits)

    async def work() -> None:
        for visit in waiting:
            await _visit(port, visit)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(work())


async def _visit(port: int, numbers: range) -> None:
    """One conversation on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    session = conversation(numbers[0] // STAY)
    try:
        for number in numbers:
            body = asked(number)
            head = (
                f"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
                f"anthropic-version: 2023-06-01\r\nx-api-key: not-a-key\r\nx-claude-code-session-id: {session}\r\n"
                f"{WISH}: exact {number}\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            message = MessageReader()
            async with asyncio.timeout(PATIENCE):
                while not message.feed(data := await reader.read(65536)):
                    assert data, f"turn {number} was cut"
            assert message.head.startswith(b"HTTP/1.1 200"), message.head
    finally:
        writer.close()


def _compare(home: Path, turns: int) -> list[str]:
    database = open_database(Places(home / ".codemie"), {"CODEMIE_KEYRING": "0"})
    try:
        with database.reading() as connection:
            rows = {row["model_asked"]: row for row in connection.execute(sa.select(tables.requests)).mappings()}
            kept = {row["call_id"]: row for row in connection.execute(sa.select(tables.tool_calls)).mappings()}
            count = connection.scalar(sa.select(sa.func.count()).select_from(tables.requests))
    finally:
        database.close()
    wrong = [] if count == turns else [f"{count} turns instead of {turns}"]
    for number in range(turns):
        row = rows.get(f"asked-{number}")
        if row is None:
            wrong.append(f"turn {number} is missing")
            continue
        expected = _row(number)
        if differences := {name: (row[name], value) for name, value in expected.items() if row[name] != value}:
            wrong.append(f"turn {number}: {differences}")
        for call in tools(number):
            ok = None if is_last(number, turns) else went_well(call)
            found = kept.pop(call, None)
            if found is None or (found["request_id"], found["ok"]) != (row["id"], ok):
                wrong.append(f"tool {call}: {found} instead of {ok}")
    return wrong + [f"tool {call} was not called" for call in kept]


def _row(number: int) -> dict[str, object]:
    used = tokens(number)
    parts = {name: count * NANO_USD[name] for name, count in used.items()}
    return {
        "conversation_id": conversation(number // STAY),
        "agent": "claude",
        "api": "anthropic",
        "model": MODEL,
        "status": 200,
        "terminal": "complete",
        "ok": True,
        "complete": True,
        "streamed": is_streamed(number),
        "request_bytes": len(asked(number)),
        "prompts": 0 if number % STAY and tools(number - 1) else 1,
        "attempts": 1,
        "tool_calls": len(tools(number)),
        "stop_reason": "tool_use" if tools(number) else "end_turn",
        "reasoning_tokens": None,
        "cost_nano_usd": sum(parts.values()),
        **{f"{name}_tokens": count for name, count in used.items()},
        **{f"cost_{name}": nano for name, nano in parts.items()},
    }


def _slow_ones(proxy: Proxy, since: float) -> list[Mapping[str, Any]]:
    path = proxy.home / slow.FILE
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if line["at"] - line["took"] > since]


if __name__ == "__main__":
    sys.exit(main())
