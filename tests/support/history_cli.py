"""Calls the history's commands in this process, against a real database below the test's own home."""

import json
import os
import time
from collections.abc import Sequence
from typing import Any

from codemie_core.places import Places
from codemie_core.store.database import open_database
from codemie_core.store.history import save_records
from codemie_core.usage.record import Record
from support import turn_rows
from support.cli import call
from support.turn_rows import Row, new_turn

SESSION, OTHER = "5e551071-0000-4000-8000-000000000001", "5e551072-0000-4000-8000-000000000002"


def keep(turns: Sequence[Row] = (), records: Sequence[Record] = ()) -> None:
    """Write what a proxy would have written."""
    database = open_database(Places.from_env(os.environ), os.environ)
    with database.writing() as connection:
        turn_rows.store(connection, turns)
        save_records(connection, records)
    database.close()


def now_ms() -> int:
    """As the tables have it."""
    return round(time.time() * 1000)


def some_turns() -> list[Row]:
    """Two sessions of this minute and one of ten days ago; in each something is not known, or went wrong."""
    now = now_ms()
    unknown = {"cost_nano_usd": None, "model": "local-model", "project": "", "branch": "feature/x"}
    return [
        new_turn(1, started_ms=now - 10 * turn_rows.DAY, session_id="5e551073-0000-4000-8000-000000000003"),
        new_turn(2, started_ms=now - 9_000, session_id=SESSION, account="spare"),
        new_turn(3, started_ms=now - 6_000, session_id=SESSION, branch="EPM-1", cost_nano_usd=1_500_000_000),
        new_turn(
            4, started_ms=now - 5_000, session_id=SESSION, ok=False, status=529, error="overloaded_error", **FAILED
        ),
        new_turn(5, started_ms=now - 1_000, session_id=OTHER, agent="codex", **unknown),
    ]


FAILED: dict[str, Any] = {
    **dict.fromkeys(("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "cost_nano_usd")),
    **dict.fromkeys(("first_token_ms", "last_token_ms", "tokens_per_second")),
}


def said(*arguments: str) -> str:
    """What a command that went well says."""
    outcome = call(*arguments)
    assert outcome.code == 0, outcome.err
    return outcome.out


def table(*arguments: str) -> list[str]:
    """Its lines, with single spaces."""
    return [" ".join(line.split()) for line in said(*arguments).splitlines()]


def told(*arguments: str) -> Any:
    """What it says to programs."""
    return json.loads(said(*arguments, "--json"))


def refused(*arguments: str) -> str:
    """Why it does not."""
    outcome = call(*arguments)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    return outcome.err.removeprefix("codemie-proxy: ").rstrip()
