"""What questions to a history of 1,000,000 turns take, on SQLite: `./run.sh bench --figure analytics`.

A year of turns, about 110 an hour, of 12 models, 20 accounts, 40 projects, 300 branches and 20,000 sessions. What is
promised is for the last thirty days; all of the year is for information.
"""

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from bench.figures import Result
from codemie_core.places import Places
from codemie_core.store import analytics, requests, sessions, tables
from codemie_core.store.database import Database, open_database
from codemie_core.store.filters import EVERYTHING, Filter
from codemie_core.store.place import database_file

TURNS = 1_000_000
DAYS = 365
NOW = 1_800_000_000_000
QUESTION_MS = 1_000
LIST_MS = 50
_DAY = 86_400_000

type Question = Callable[[Connection], object]

MONTH = Filter(since_ms=NOW - 30 * _DAY, until_ms=NOW)
MODEL = "claude-model-7"
QUESTIONS: dict[str, Question] = {
    "totals": lambda c: analytics.totals(c, MONTH),
    "totals, one model": lambda c: analytics.totals(c, Filter(MONTH.since_ms, NOW, models=(MODEL,))),
    **{
        f"by {dimension}": lambda c, dimension=dimension: analytics.by(c, dimension, MONTH)  # type: ignore[misc]  # bound as a default, so that each has its own
        for dimension in analytics.DIMENSIONS
    },
    "series of hours": lambda c: analytics.series(c, "1h", MONTH, now_ms=NOW),
    "series of days, with latency": lambda c: analytics.series(c, "24h", MONTH, now_ms=NOW, with_latency=True),
    "p50, p95, p99": lambda c: analytics.latency(c, MONTH),
    "p50, p95, p99 by model": lambda c: analytics.latency_by(c, "model", MONTH),
    "tools": lambda c: analytics.tools(c, MONTH),
    "sessions": lambda c: sessions.sessions(c, MONTH),
    "cost of the last session": lambda c: analytics.totals(c, Filter(sessions=(str(sessions.last_session(c)),))),
}
LISTS: dict[str, Question] = {
    "request list, newest": lambda c: requests.page(c),
    "request list, from the middle": lambda c: requests.page(c, after=requests.Place(NOW - 180 * _DAY, "")),
    "request list, one model's errors": lambda c: requests.page(c, Filter(models=(MODEL,), status="error")),
    "request list, one branch": lambda c: requests.page(c, Filter(branches=("branch-7",))),
    "request list, a branch of two turns": lambda c: requests.page(c, Filter(branches=("rare",))),
    "request list, one session": lambda c: requests.page(c, Filter(sessions=(_session(7),))),
    "one request": lambda c: requests.one(c, requests.page(c, limit=1)[0]["id"]),
}
WHOLE_YEAR: dict[str, Question] = {
    "totals": lambda c: analytics.totals(c, EVERYTHING),
    "by model": lambda c: analytics.by(c, "model"),
    "series of weeks": lambda c: analytics.series(c, "7d", now_ms=NOW),
    "p50, p95, p99": lambda c: analytics.latency(c),
    "sessions": lambda c: sessions.sessions(c),
}


def measure(rounds: int) -> list[Result]:
    """Milliseconds for each question; the first round fills caches and does not count."""
    with history() as database:
        return [
            *_timed(database, QUESTIONS, "30 of 365 days", QUESTION_MS, rounds),
            *_timed(database, LISTS, "all", LIST_MS, rounds),
            *_timed(database, WHOLE_YEAR, "365 days", None, rounds),
        ]


def _timed(
    database: Database, questions: dict[str, Question], of: str, limit: float | None, rounds: int
) -> Iterator[Result]:
    for name, question in questions.items():
        values = []
        for number in range(rounds + 1):
            with database.reading() as connection:
                began = time.perf_counter()
                question(connection)
                taken = (time.perf_counter() - began) * 1000
            if number:
                values.append(taken)
        print(f"{name}, {of}: {statistics.median(values):.1f} ms", file=sys.stderr)
        yield Result(f"{name}, {TURNS:,} turns", of, statistics.median(values), "ms", limit, values)


@contextmanager
def history(turns: int = TURNS) -> Iterator[Database]:
    """A database with so many turns, gone at the end."""
    with tempfile.TemporaryDirectory() as home:
        places = Places(Path(home))
        open_database(places, {}).close()
        _fill(database_file(places), turns)
        database = open_database(places, {})
        try:
            yield database
        finally:
            database.close()


def _fill(path: Path, turns: int) -> None:
    """By SQL alone, and with indexes made afterwards: half a minute."""
    connection = sqlite3.connect(path)
    made = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'requests' AND sql IS NOT NULL"
    indexes = connection.execute(made).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    values = _values(turns)
    numbers = f"WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {turns - 1})"
    # Materialized, or each mention of a random number would be another one.
    random = ", ".join(f"abs(random()) AS {name}" for name in "abd")
    dice = f"dice AS MATERIALIZED (SELECT n, n / 50 AS s, {random} FROM numbers)"
    connection.execute(
        f"INSERT INTO requests ({', '.join(values)}) {numbers}, {dice} SELECT {', '.join(values.values())} FROM dice"
    )
    connection.execute(
        "INSERT INTO tool_calls SELECT id, 0, 'toolu_' || id, conversation_id, 'tool-' || (abs(random()) % 9), "
        "abs(random()) % 10 <> 0 FROM requests WHERE tool_calls > 0"
    )
    connection.execute("UPDATE requests SET branch = 'rare' WHERE rowid IN (1, 5)")
    for _, sql in indexes:
        connection.execute(sql)
    connection.commit()
    connection.close()


def _values(turns: int) -> dict[str, str]:
    """SQL for each column: of the turn's number n, its session's s and three random ones."""
    given = {
        "id": "lower(hex(randomblob(16)))",
        "conversation_id": "'conversation-' || s",
        "session_id": "'5e551071-0000-4000-8000-' || printf('%012d', s)",
        "started_ms": f"{NOW} - ({turns} - n) * {DAYS * _DAY // turns}",
        "agent": "'agent-' || (s % 4)",
        "model": "'claude-model-' || (a % 12)",
        "account": "'account-' || (s % 20)",
        "client_key": "'key-' || (s % 5)",
        "project": "'project-' || (s % 40)",
        "repository": "'owner/repository-' || (s % 40)",
        "branch": "'branch-' || (s % 300)",
        "path": "'/v1/messages'",
        "host": "'api.anthropic.com:443'",
        "price_version": "'genai-prices 0.2.3'",
        "status": _unless_failed("200", "529"),
        "terminal": "'complete'",
        "ok": "b % 50 <> 0",
        "head_ms": "200 + a % 1000 / 10.0",
        "first_token_ms": _unless_failed("300 + a % 5000 / 10.0"),
        "last_token_ms": _unless_failed("2000 + d % 200000 / 10.0"),
        "total_ms": "2100 + d % 200000 / 10.0",
        "tokens_per_second": _unless_failed("20.0 + d % 100"),
        "input_tokens": _unless_failed("a % 2000"),
        "cache_read_tokens": _unless_failed("d % 100000"),
        "cache_write_tokens": _unless_failed("b % 5000"),
        "output_tokens": _unless_failed("d % 2000"),
        "cost_nano_usd": "CASE WHEN b % 50 = 0 OR d % 97 = 0 THEN NULL ELSE d % 100000000 END",
        "prompts": "a % 2",
        "attempts": "1",
        "tool_calls": "b % 3",
    }
    return {
        column.name: given.get(column.name, "NULL" if column.nullable else _nothing(column.type.python_type))
        for column in tables.requests.columns
    }


def _unless_failed(sql: str, otherwise: str = "NULL") -> str:
    return f"CASE WHEN b % 50 = 0 THEN {otherwise} ELSE {sql} END"


def _nothing(kind: type) -> str:
    return "''" if kind is str else "0"


def _session(number: int) -> str:
    return f"5e551071-0000-4000-8000-{number:012}"
