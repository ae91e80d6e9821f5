"""A believable week of work for pictures and for pages: four agents, three accounts, some trouble."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert

from codemie_core.places import Places
from codemie_core.store import tables
from codemie_core.store.database import open_database
from support.turn_rows import HOUR, Row, new_turn

DAY = 24 * HOUR
_SPACE = uuid.UUID("6b3ad9c6-1c1b-4a5e-9a53-0d8b0c6f7b11")


@dataclass(frozen=True, slots=True)
class _Worker:
    """An agent and whom it asks. Prices are nano-USD per token: input, cache read, cache write, output."""

    agent: str
    client_type: str
    api: str
    provider: str
    host: str
    path: str
    models: tuple[tuple[str, int, tuple[int, int, int, int]], ...]
    accounts: tuple[str, ...]
    share: int


_SONNET = ("claude-sonnet-4-5-20250929", 7, (3000, 300, 3750, 15000))
_OPUS = ("claude-opus-4-5-20251101", 2, (5000, 500, 6250, 25000))
_HAIKU = ("claude-haiku-4-5-20251001", 3, (1000, 100, 1250, 5000))
_WORKERS = (
    _Worker(
        *("claude", "codemie-claude", "anthropic", "anthropic", "api.anthropic.com:443", "/v1/messages"),
        (_SONNET, _OPUS, _HAIKU),
        ("team-main", "team-main", "team-spare"),
        10,
    ),
    _Worker(
        *("codex", "codemie-codex", "openai-responses", "openai", "api.openai.com:443", "/v1/responses"),
        (("gpt-5.2-codex", 1, (1750, 175, 0, 14000)),),
        ("openai",),
        5,
    ),
    _Worker(
        *("gemini", "codemie-gemini", "gemini", "google", "generativelanguage.googleapis.com:443"),
        "/v1beta/models/gemini-3-pro-preview:streamGenerateContent",
        (("gemini-3-pro-preview", 1, (2000, 200, 0, 12000)),),
        ("",),
        3,
    ),
    _Worker(
        *("opencode", "codemie-opencode", "anthropic", "anthropic", "api.anthropic.com:443", "/v1/messages"),
        (_SONNET,),
        ("team-spare",),
        2,
    ),
)
_PROJECTS = (("checkout", "acme/checkout"), ("search", "acme/search"), ("billing", "acme/billing"))
_BRANCHES = ("main", "feature/coupons", "fix/rounding", "EPMCDME-4711", "feature/typeahead")
_TOOLS = ("Read", "Edit", "Bash", "Grep", "Write", "TodoWrite", "WebFetch")
_FILES = (
    ("src/checkout/cart.py", "python"),
    ("src/checkout/coupons.py", "python"),
    ("tests/test_cart.py", "python"),
    ("web/Cart.tsx", "typescript"),
    ("README.md", "markdown"),
)
_TROUBLE = ((429, "rate limited"), (529, "overloaded"), (500, "the upstream failed"))


def fill(places: Places, environ: Mapping[str, str], now_ms: int, *, days: int = 7, seed: int = 11) -> list[Row]:
    """Write it to the database of this home, and return its turns."""
    dice = random.Random(seed)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("requests", "attempts", "calls", "files")}
    for day in range(days, -1, -1):
        for _ in range(dice.randrange(7, 11) if day % 7 < 5 else 2):
            began = now_ms - day * DAY - dice.randrange(20 * 60_000, 9 * HOUR)
            _session(dice, rows, began, now_ms)
    for minutes in (95, 34, 12):
        _session(dice, rows, now_ms - minutes * 60_000, now_ms)
    database = open_database(places, environ)
    try:
        with database.writing() as connection:
            for table, written in zip(
                (tables.requests, tables.attempts, tables.tool_calls, tables.file_operations),
                rows.values(),
                strict=True,
            ):
                connection.execute(insert(table), written)
    finally:
        database.close()
    return rows["requests"]


def _session(dice: random.Random, rows: dict[str, list[dict[str, Any]]], began: int, now_ms: int) -> None:
    worker = dice.choices(_WORKERS, [each.share for each in _WORKERS])[0]
    session = str(uuid.uuid5(_SPACE, f"{began}:{worker.agent}"))
    project, repository = dice.choice(_PROJECTS)
    account, branch = dice.choice(worker.accounts), dice.choice(_BRANCHES)
    at, context = began, dice.randrange(9_000, 22_000)
    for number in range(dice.choice((4, 7, 12, 18, 26, 40))):
        turn = _turn(dice, worker, account, context if number else 0)
        turn |= {
            "id": str(uuid.uuid5(_SPACE, f"{session}:{number}")),
            "conversation_id": f"conversation-{session[:8]}",
            "session_id": session,
            "started_ms": at,
            "project": project,
            "repository": repository,
            "branch": branch,
            "prompts": int(number % 6 == 0),
        }
        if at + turn["total_ms"] > now_ms:
            return
        rows["requests"].append(turn)
        rows["attempts"] += _attempts(turn, account)
        _calls(dice, rows, turn)
        context += (turn["cache_write_tokens"] or turn["input_tokens"] or 0) + (turn["output_tokens"] or 0)
        at += int(turn["total_ms"]) + dice.randrange(1_500, 90_000)


def _turn(dice: random.Random, worker: _Worker, account: str, cached: int) -> Row:
    model, _, prices = dice.choices(worker.models, [each[1] for each in worker.models])[0]
    trouble = dice.choice(_TROUBLE) if dice.random() < 0.05 else None
    moved = trouble is not None and account.startswith("team") and dice.random() < 0.6
    turn = new_turn(
        agent=worker.agent,
        client_type=worker.client_type,
        api=worker.api,
        provider=worker.provider,
        host=worker.host,
        path=worker.path,
        model_asked=model,
        model_served=model,
        model=model,
        account=account,
    )
    if trouble and not moved:
        failed: dict[str, Any] = dict.fromkeys(column for column in turn if column.endswith(("tokens", "token_ms")))
        failed |= {"cost_nano_usd": None, "tokens_per_second": None, "first_byte_ms": None, "head_ms": 390.0}
        failed |= {"status": trouble[0], "error": trouble[1], "ok": False, "complete": False, "model_served": ""}
        return turn | failed | {"stop_reason": "", "total_ms": 420.0, "request_bytes": cached * 4, "tool_calls": 0}
    fresh, output = dice.randrange(40, 2600), int(dice.lognormvariate(5.6, 0.9)) + 20
    counts = (3 if prices[2] else fresh, cached, fresh if prices[2] else 0, output)
    costs = [tokens * price for tokens, price in zip(counts, prices, strict=True)]
    first, speed = dice.uniform(350, 1900) + (900 if moved else 0), dice.uniform(45, 140)
    other = {"team-main": "team-spare", "team-spare": "team-main"}
    calls = dice.choice((0, 1, 1, 1, 2))
    return turn | {
        "account": other[account] if moved else account,
        "attempts": 2 if moved else 1,
        **dict(zip(("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"), counts, strict=True)),
        **dict(zip(("cost_input", "cost_cache_read", "cost_cache_write", "cost_output"), costs, strict=True)),
        "cost_nano_usd": sum(costs),
        "head_ms": first - 120,
        "first_byte_ms": first - 100,
        "first_token_ms": first,
        "last_token_ms": first + output / speed * 1000,
        "total_ms": first + output / speed * 1000 + 15,
        "tokens_per_second": speed,
        "tool_calls": calls,
        "stop_reason": "tool_use" if calls else "end_turn",
        "request_bytes": (cached + fresh) * 4,
        "response_bytes": output * 9,
    }


def _attempts(turn: Row, asked: str) -> list[dict[str, Any]]:
    head, ended = turn["head_ms"], turn["total_ms"]
    last = {"status": turn["status"], "reason": turn["error"], "head_ms": head, "ended_ms": ended}
    shared = {"request_id": turn["id"], "host": turn["host"]}
    if turn["attempts"] == 1:
        return [{**shared, "n": 0, "account": turn["account"], **last}]
    moved = {"status": 429, "reason": "rate limited", "head_ms": 310.0, "ended_ms": 315.0}
    return [{**shared, "n": 0, "account": asked, **moved}, {**shared, "n": 1, "account": turn["account"], **last}]


def _calls(dice: random.Random, rows: dict[str, list[dict[str, Any]]], turn: Row) -> None:
    for n in range(turn["tool_calls"]):
        name, part = dice.choice(_TOOLS), {"request_id": turn["id"], "n": n}
        call = {"call_id": f"call-{turn['id'][:8]}-{n}", "conversation_id": turn["conversation_id"], "name": name}
        rows["calls"].append({**part, **call, "ok": dice.random() > 0.06})
        if name in ("Edit", "Write"):
            path, language = dice.choice(_FILES)
            lines = {"lines_added": dice.randrange(1, 60), "lines_removed": dice.randrange(20)}
            named = {"part": 0, "type": name.lower(), "path": path, "format": path.rpartition(".")[2]}
            rows["files"].append({**part, **named, "language": language, **lines})
