"""What `codemie-proxy requests` shows."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

from codemie_core.amounts import count, money, plain, share, short, span, tokens, when
from codemie_core.cli import history_json, history_tables
from codemie_core.cli.accounts_output import print_rows, say
from codemie_core.cli.history_book import NO_HISTORY, NOTHING_FOUND, NOTHING_YET, Given, HistoryBook, request_id
from codemie_core.errors import SettingsError
from codemie_core.redact import redact_text

if TYPE_CHECKING:
    from codemie_core.store.database import Database
    from codemie_core.store.filters import Filter
    from codemie_core.store.requests import Row, Turn

COLUMNS = ("Id", "When", "Agent", "Model", "Account", "Outcome", "Took", "Read", "From cache", "Written", "Cost")
_NAMES = 6
_LOOK_BACK_MS = 3_600_000
"""A turn is stored when it ends: the ones that come may have begun so long ago."""
_PERIOD = 1.0
_AT_ONCE = 1_000


def list_(given: Given, limit: int, follow: bool, as_json: bool) -> None:
    """The newest, and with `follow` those that come."""
    from codemie_core.store.filters import EVERYTHING
    from codemie_core.store.requests import page

    book = HistoryBook()
    rows: list[Row] = []
    asked = None
    with book.database(given) as database:
        if database is not None:
            with database.reading() as connection:
                asked = book.filter(connection, given)
                rows = list(reversed(page(connection, asked, limit=limit)))
        if not follow or database is None or asked is None:
            if as_json:
                typer.echo(json.dumps([history_json.request(row) for row in rows], indent=2))
            elif rows:
                draw(rows)
            else:
                typer.echo(NOTHING_YET if asked in (None, EVERYTHING) else NOTHING_FOUND)
            return
        for new in following(database, asked, rows):
            for row in new:
                typer.echo(json.dumps(history_json.request(row)) if as_json else line(row))


def following(
    database: Database, asked: Filter, first: list[Row], wait: Callable[[], None] = lambda: time.sleep(_PERIOD)
) -> Iterator[list[Row]]:
    """The first ones, and again and again those that came since."""
    newest = first[-1]["started_ms"] if first else database.now_ms()
    # Also those that were there and not among the first.
    seen = deque((row["id"] for row in _latest(database, asked, newest)), maxlen=20 * _AT_ONCE)
    yield first
    while True:
        wait()
        known = set(seen)
        new = [row for row in _latest(database, asked, newest) if row["id"] not in known]
        seen.extend(row["id"] for row in new)
        newest = max([newest, *(row["started_ms"] for row in new)])
        yield new


def _latest(database: Database, asked: Filter, newest: int) -> list[Row]:
    from codemie_core.store.requests import page

    since = max(asked.since_ms or 0, newest - _LOOK_BACK_MS)
    with database.reading() as connection:
        found = page(connection, dataclasses.replace(asked, since_ms=since), limit=_AT_ONCE)
    return list(reversed(found))


def draw(rows: list[Row]) -> None:
    """As a table."""
    history_tables.draw(_NAMES, COLUMNS, [_cells(row) for row in rows])
    if any(_unpriced(row) for row in rows):
        say("? The cost is not known: codemie-proxy requests show ID tells the model")


def line(row: Row) -> str:
    """In one line, for those that come one by one."""
    named = dict(zip(COLUMNS, _cells(row), strict=True))
    read = f"{named['Read']} read ({named['From cache']} from cache), {named['Written']} written"
    return "  ".join([*list(named.values())[:7], read, named["Cost"]])


def show(start: str, as_json: bool) -> None:
    """All of one."""
    from codemie_core.store.requests import one

    with HistoryBook().database() as database:
        if database is None:
            raise SettingsError(NO_HISTORY)
        with database.reading() as connection:
            turn = one(connection, request_id(connection, start))
    # It was there a moment ago, in the same transaction.
    assert turn is not None
    if as_json:
        typer.echo(json.dumps(history_json.turn(turn), indent=2))
        return
    print_rows([(name, text) for name, text in _facts(turn.row) if text not in ("", "-")])
    _draw_parts(turn)


def outcome(row: Row) -> str:
    """Like 200, 529 overloaded_error, or 200 client_cancelled."""
    words = [str(row["status"] or "")]
    words += [row["terminal"]] if row["terminal"] not in ("complete", "") else []
    words += [plain(redact_text(row["error"]))] if row["error"] else []
    return " ".join(filter(None, words)) or "-"


def _facts(row: Row) -> list[tuple[str, str]]:
    asked, served = row["model_asked"], row["model_served"]
    return [
        ("Request", plain(row["id"])),
        ("Session", plain(row["session_id"])),
        ("Conversation", plain(row["conversation_id"])),
        ("Began", when(row["started_ms"])),
        ("Agent", plain(row["agent"])),
        ("Model", f"{plain(served)}, asked for {plain(asked)}" if served and asked != served else plain(row["model"])),
        ("Asked of", plain(f"{row['host']}{row['path']}")),
        ("Account", plain(row["account"])),
        ("Client key", plain(row["client_key"])),
        ("Project", plain(row["project"])),
        ("Repository", plain(row["repository"])),
        ("Branch", plain(row["branch"])),
        ("Outcome", outcome(row)),
        ("Stopped", plain(row["stop_reason"])),
        ("Answer", _answer(row)),
        ("Took", _took(row)),
        ("Tokens", _tokens(row)),
        ("Tier", plain(row["tier"])),
        ("Cost", _cost(row)),
        ("Prices", plain(row["price_version"])),
    ]


def _answer(row: Row) -> str:
    size = f"{row['request_bytes']:,} bytes asked, {row['response_bytes']:,} answered"
    return f"{size}, {'streamed' if row['streamed'] else 'at once'}{'' if row['complete'] else ', not to its end'}"


def _took(row: Row) -> str:
    parts = [span(row["total_ms"])]
    parts += [f"head after {span(row['head_ms'])}"] if row["head_ms"] is not None else []
    parts += [f"first token after {span(row['first_token_ms'])}"] if row["first_token_ms"] is not None else []
    parts += [f"{row['tokens_per_second']:.0f} tokens/s"] if row["tokens_per_second"] is not None else []
    return ", ".join(parts)


def _tokens(row: Row) -> str:
    kinds = {
        "read anew": "input_tokens",
        "from cache": "cache_read_tokens",
        "into cache": "cache_write_tokens",
        "written": "output_tokens",
        "of it reasoning": "reasoning_tokens",
    }
    return ", ".join(f"{count(row[name])} {words}" for words, name in kinds.items() if row[name] is not None) or "?"


def _cost(row: Row) -> str:
    whole = money(row["cost_nano_usd"], _unpriced(row))
    kinds = {
        "read anew": "cost_input",
        "from cache": "cost_cache_read",
        "into cache": "cost_cache_write",
        "written": "cost_output",
        "tools": "cost_tools",
    }
    parts = [f"{money(row[name])} {words}" for words, name in kinds.items() if row[name]]
    return f"{whole} ({', '.join(parts)})" if parts else whole


def _draw_parts(turn: Turn) -> None:
    if len(turn.attempts) > 1:
        history_tables.blank()
        rows = [
            (
                str(each["n"]),
                plain(each["account"]),
                plain(each["host"]),
                str(each["status"] or "-"),
                plain(redact_text(each["reason"])) if each["reason"] else "served",
                span(each["ended_ms"]),
            )
            for each in turn.attempts
        ]
        history_tables.draw(5, ("Attempt", "Account", "Host", "Status", "Why not", "Took"), rows)
    if turn.tool_calls:
        history_tables.blank()
        words = {None: "not told", True: "went well", False: "failed"}
        files: defaultdict[int, list[str]] = defaultdict(list)
        for each in turn.file_operations:
            files[each["n"]].append(_file(each))
        calls = [
            (plain(each["name"]), words[each["ok"]], "\n".join(files[each["n"]]) or "-") for each in turn.tool_calls
        ]
        history_tables.draw(3, ("Tool", "How it went", "Files"), calls)


def _file(row: Row) -> str:
    added, removed = row["lines_added"], row["lines_removed"]
    lines = "" if added is None and removed is None else f" {history_tables.lines(added, removed)}"
    return f"{row['type']} {plain(row['path'])}{lines}"


def _cells(row: Row) -> list[str]:
    apart = row["input_tokens"] is not None and row["cache_read_tokens"] is not None
    prompt = None if row["input_tokens"] is None else _prompt(row)
    return [
        short(row["id"]) + row["id"][36:],
        when(row["started_ms"]),
        plain(row["agent"]),
        plain(row["model"]),
        plain(row["account"]),
        outcome(row),
        span(row["total_ms"]),
        "-" if _refused(row) else tokens(prompt),
        share(row["cache_read_tokens"] / prompt if apart and prompt else None),
        "-" if _refused(row) else tokens(row["output_tokens"]),
        money(row["cost_nano_usd"], _unpriced(row)),
    ]


def _prompt(row: Row) -> int:
    return int(row["input_tokens"] + (row["cache_read_tokens"] or 0) + (row["cache_write_tokens"] or 0))


def _refused(row: Row) -> bool:
    return row["status"] is not None and row["status"] >= 400 and row["output_tokens"] is None


def _unpriced(row: Row) -> bool:
    return row["cost_nano_usd"] is None and (row["status"] is None or row["status"] < 400)
