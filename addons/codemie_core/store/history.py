"""Writing the history: what became of each model turn. Saving a record twice is saving it once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cache

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from codemie_core.store import tables
from codemie_core.store.rows import Row, Rows, name_of
from codemie_core.usage.record import Record, ToolDone

logger = logging.getLogger(__name__)

BAD = (DataError, IntegrityError, ProgrammingError, OverflowError, ValueError, TypeError)
"""What a record raises that no database takes."""

# Handed to the driver as they are: with sixty columns SQLAlchemy's own way costs more than the database.
_OPEN = "UPDATE tool_calls SET ok = ? WHERE ok IS NULL AND "
_BY_TURN = _OPEN + "request_id = ? AND call_id = ?"
_BY_CONVERSATION = _OPEN + "call_id = ? AND conversation_id = ?"
"""Where this process has not seen the turn that called."""
_OF_NAME = "request_id = ? AND name = ?"
_BY_NAME = _OPEN + f"{_OF_NAME} AND n = (SELECT min(n) FROM tool_calls WHERE {_OF_NAME} AND ok IS NULL)"
"""Where the API gives calls no ids."""


def save_records(connection: Connection, records: Sequence[Record]) -> None:
    """Store them, and how the tools of earlier turns went. One that no database takes spoils the transaction."""
    rows = Rows()
    for record in records:
        rows.add(record)
    for table in (tables.requests, tables.attempts, tables.tool_calls, tables.file_operations):
        insert_new(connection, table, getattr(rows, table.name))
    _settle(connection, rows.done)


def save_good_ones(connection: Connection, records: Sequence[Record]) -> int:
    """The same for what has spoilt a transaction. How many could not be stored, each logged."""
    try:
        with connection.begin_nested():
            save_records(connection, records)
    except BAD as problem:
        if len(records) == 1:
            logger.error("A turn was not stored: %s", f"{getattr(problem, 'orig', problem)}".partition("\n")[0])
            return 1
        return sum(save_good_ones(connection, [record]) for record in records)
    return 0


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Add those that are not there yet."""
    _run(connection, _insert(table), rows)


@cache
def _insert(table: Table) -> str:
    names, marks = ", ".join(table.columns.keys()), ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"


def _settle(connection: Connection, done: Iterable[tuple[str, ToolDone]]) -> None:
    by_turn: list[Row] = []
    by_conversation: list[Row] = []
    by_name: list[Row] = []
    for conversation, told in done:
        turn, call = name_of(told.record_id), name_of(told.call_id)
        if turn and call:
            by_turn.append((told.ok, turn, call))
        elif turn:
            named = turn, name_of(told.name)
            by_name.append((told.ok, *named, *named))
        elif call and conversation:
            by_conversation.append((told.ok, call, conversation))
    for statement, values in ((_BY_TURN, by_turn), (_BY_CONVERSATION, by_conversation), (_BY_NAME, by_name)):
        _run(connection, statement, values)


def _run(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    if rows:
        if connection.dialect.name != "sqlite":
            statement = statement.replace("?", "%s")
        connection.exec_driver_sql(statement, list(rows))
