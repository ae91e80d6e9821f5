"""A history of random model turns, and what is true of it, counted in plain Python."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert

from codemie_core.store import tables
from codemie_core.store.analytics import DIMENSIONS, Dimension, Latency, Percentiles, ToolFigures
from codemie_core.store.figures import Figures
from codemie_core.store.filters import Filter

type Row = dict[str, Any]

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = round(datetime(2026, 11, 4, 15, 30, tzinfo=UTC).timestamp() * 1000)
"""A few days after clocks were set back in Europe, and in America."""

_COLUMNS = {
    "models": "model",
    "accounts": "account",
    "agents": "agent",
    "sessions": "session_id",
    "conversations": "conversation_id",
    "projects": "project",
    "branches": "branch",
    "client_keys": "client_key",
}


def new_turn(number: int = 0, **changes: Any) -> Row:
    """A row of `requests`: a good turn of Claude Code."""
    row: Row = {column.name: None if column.nullable else "" for column in tables.requests.columns}
    row.update(
        id=f"00000000-0000-4000-8000-{number:012}",
        conversation_id="conversation-1",
        session_id="5e551071-0000-4000-8000-000000000001",
        run_id="run",
        started_ms=NOW - HOUR,
        agent="claude",
        client_type="codemie-claude",
        api="anthropic",
        provider="anthropic",
        method="POST",
        host="api.anthropic.com:443",
        path="/v1/messages",
        model_asked="claude-sonnet-4-5",
        model_served="claude-sonnet-4-5-20250929",
        model="claude-sonnet-4-5-20250929",
        account="main",
        project="shop",
        repository="owner/shop",
        branch="main",
        status=200,
        terminal="complete",
        ok=True,
        streamed=True,
        complete=True,
        request_bytes=20_000,
        response_bytes=5_000,
        head_ms=250.5,
        first_byte_ms=260.25,
        first_token_ms=400.0,
        last_token_ms=2400.0,
        total_ms=2500.0,
        tokens_per_second=150.0,
        input_tokens=12,
        cache_read_tokens=30_000,
        cache_write_tokens=500,
        output_tokens=300,
        cost_nano_usd=15_411_000,
        price_version="genai-prices 0.2.3",
        stop_reason="tool_use",
        refusal=False,
        prompts=1,
        attempts=1,
        tool_calls=0,
    )
    return {**row, **changes}


def random_turns(seed: int, count: int) -> list[Row]:
    """Turns of forty days with few names, so that every filter finds some, and much that is unknown."""
    dice = random.Random(seed)

    def maybe(value: Any, share: float = 0.2) -> Any:
        return None if dice.random() < share else value

    found = []
    for number in range(count):
        ok = dice.random() < 0.85
        first = maybe(round(dice.uniform(100, 900), 1))
        last = None if first is None else first + dice.choice([0.0, 250.0, 1000.5, 4000.25])
        output = maybe(dice.randrange(2000))
        speed = None if output is None or last in (None, first) else output / (last - first) * 1000
        found.append(
            new_turn(
                number,
                started_ms=NOW - dice.randrange(40 * DAY),
                model=dice.choice(["", "opus", "sonnet", "haiku"]),
                account=dice.choice(["", "main", "spare"]),
                agent=dice.choice(["claude", "codex", "unknown"]),
                session_id=f"session-{dice.randrange(12)}",
                conversation_id=dice.choice(["", "one", "two", "three"]),
                project=dice.choice(["", "shop", "tools"]),
                branch=dice.choice(["", "main", "feature/x", "EPM-1"]),
                client_key=dice.choice(["", "ann", "bob"]),
                ok=ok,
                status=200 if ok else dice.choice([None, 200, 429, 529]),
                total_ms=float(dice.choice([dice.randrange(50, 9000), 1000])),
                first_token_ms=first,
                last_token_ms=last,
                tokens_per_second=speed,
                input_tokens=maybe(dice.randrange(500)),
                cache_read_tokens=maybe(dice.randrange(90_000), 0.4),
                cache_write_tokens=maybe(dice.randrange(900), 0.4),
                output_tokens=output,
                reasoning_tokens=maybe(dice.randrange(100), 0.9),
                cost_nano_usd=maybe(dice.randrange(10**10)),
                prompts=dice.randrange(2),
                attempts=dice.choice([1, 1, 1, 2, 3]),
            )
        )
    return found


def random_calls(seed: int, turns: Sequence[Row]) -> list[Row]:
    """Rows of `tool_calls`."""
    dice = random.Random(seed)
    found = []
    for turn in turns:
        turn["tool_calls"] = dice.randrange(4)
        for n in range(turn["tool_calls"]):
            name, ok = dice.choice(["Write", "Read", "Bash"]), dice.choice([True, True, False, None])
            found.append(
                {
                    "request_id": turn["id"],
                    "n": n,
                    "call_id": f"call-{n}",
                    "conversation_id": turn["conversation_id"],
                    "name": name,
                    "ok": ok,
                }
            )
    return found


def store(connection: Connection, turns: Sequence[Row], calls: Sequence[Row] = ()) -> None:
    """Write them."""
    for table, rows in ((tables.requests, turns), (tables.tool_calls, calls)):
        if rows:
            connection.execute(insert(table), list(rows))


def matching(turns: Iterable[Row], asked: Filter) -> list[Row]:
    """Those that the filter lets through."""
    return [
        turn
        for turn in turns
        if (asked.since_ms is None or turn["started_ms"] >= asked.since_ms)
        and (asked.until_ms is None or turn["started_ms"] < asked.until_ms)
        and all(not getattr(asked, field) or turn[name] in getattr(asked, field) for field, name in _COLUMNS.items())
        and (not asked.status or turn["ok"] == (asked.status == "ok"))
    ]


def figures(turns: Sequence[Row]) -> Figures:
    """What is counted of these."""
    answered = [turn for turn in turns if turn["status"] is None or turn["status"] < 400]
    apart = [turn for turn in turns if turn["input_tokens"] is not None and turn["cache_read_tokens"] is not None]
    read = sum(turn["input_tokens"] + turn["cache_read_tokens"] + (turn["cache_write_tokens"] or 0) for turn in apart)
    timed = [turn for turn in turns if turn["tokens_per_second"] is not None]
    seconds = sum(turn["last_token_ms"] - turn["first_token_ms"] for turn in timed) / 1000
    moments = [turn["started_ms"] for turn in turns]
    return Figures(
        requests=len(turns),
        errors=sum(not turn["ok"] for turn in turns),
        failovers=sum(turn["attempts"] > 1 for turn in turns),
        prompts=sum(turn["prompts"] for turn in turns),
        tool_calls=sum(turn["tool_calls"] for turn in turns),
        sessions=len({turn["session_id"] for turn in turns}),
        input_tokens=known_sum(turns, "input_tokens"),
        cache_read_tokens=known_sum(turns, "cache_read_tokens"),
        cache_write_tokens=known_sum(turns, "cache_write_tokens"),
        output_tokens=known_sum(turns, "output_tokens"),
        reasoning_tokens=known_sum(turns, "reasoning_tokens"),
        uncounted=sum(None in (turn["input_tokens"], turn["output_tokens"]) for turn in answered),
        cost_nano_usd=known_sum(turns, "cost_nano_usd"),
        unpriced=sum(turn["cost_nano_usd"] is None for turn in answered),
        cache_hit_rate=sum(turn["cache_read_tokens"] for turn in apart) / read if read else None,
        tokens_per_second=sum(turn["output_tokens"] for turn in timed) / seconds if seconds else None,
        first_ms=min(moments, default=None),
        last_ms=max(moments, default=None),
        ended_ms=max((int(turn["started_ms"] + turn["total_ms"]) for turn in turns), default=None),
    )


def latency(turns: Sequence[Row]) -> Latency:
    """By the nearest rank."""
    return Latency(percentiles(turns, "total_ms"), percentiles(turns, "first_token_ms"))


def percentiles(turns: Sequence[Row], column: str) -> Percentiles:
    """Of the known values of a column."""
    values = sorted(turn[column] for turn in turns if turn[column] is not None)
    if not values:
        return Percentiles()
    p50, p95, p99 = (values[math.ceil(p * len(values) / 100) - 1] for p in (50, 95, 99))
    return Percentiles(len(values), p50, p95, p99, values[-1])


def grouped[Told](turns: Sequence[Row], dimension: Dimension, told: Callable[[Sequence[Row]], Told]) -> dict[str, Told]:
    """Of each model, account, ..."""
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for turn in turns:
        groups[turn[DIMENSIONS[dimension]]].append(turn)
    return {key: told(group) for key, group in groups.items()}


def tool_figures(turns: Sequence[Row], calls: Iterable[Row]) -> list[ToolFigures]:
    """Of each tool, the most called first."""
    ids = {turn["id"] for turn in turns}
    by_name: defaultdict[str, list[Row]] = defaultdict(list)
    for call in calls:
        if call["request_id"] in ids:
            by_name[call["name"]].append(call)
    found = []
    for name, group in by_name.items():
        ok, failed, unknown = (sum(call["ok"] is how for call in group) for how in (True, False, None))
        requests = len({call["request_id"] for call in group})
        found.append(ToolFigures(name, len(group), ok, failed, unknown, requests))
    return sorted(found, key=lambda tool: (-tool.calls, tool.name))


def known_sum(turns: Sequence[Row], column: str) -> int | None:
    """None when nothing is known."""
    values = [turn[column] for turn in turns if turn[column] is not None]
    return sum(values) if values else None
