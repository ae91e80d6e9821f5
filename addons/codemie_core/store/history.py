"""Writing the history: what became of each model turn. Saving a record twice is saving it once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Table, and_, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from codemie_core.store import tables
from codemie_core.store.rows import Row, Rows, name_of
from codemie_core.usage.record import Record, ToolDone

logger = logging.getLogger(__name__)

_calls = tables.tool_calls.c
_open = _calls.ok.is_(None)
# One call by its turn and id; where its turn is not known by its conversation; where it has no id by its name.
_BY_TURN = update(tables.tool_calls).where(
    _calls.request_id == bindparam("turn"), _calls.call_id == bindparam("call"), _open
)
_BY_CONVERSATION = update(tables.tool_calls).where(
    _calls.call_id == bindparam("call"), _calls.conversation_id == bindparam("conversation"), _open
)
_of_name = and_(_calls.request_id == bindparam("turn"), _calls.name == bindparam("named"), _open)
_BY_NAME = update(tables.tool_calls).where(
    _of_name, _calls.n == select(func.min(_calls.n)).where(_of_name).scalar_subquery()
)


def save_records(connection: Connection, records: Sequence[Record]) -> int:
    """Store them, and how the tools of earlier turns went. How many could not be stored, each logged."""
    try:
        with connection.begin_nested():
            _save(connection, records)
    except (DataError, IntegrityError, ProgrammingError, OverflowError, ValueError, TypeError) as problem:
        if len(records) == 1:
            logger.error("A turn was not stored: %s", f"{getattr(problem, 'orig', problem)}".partition("\n")[0])
            return 1
        return sum(save_records(connection, [record]) for record in records)
    return 0


def _save(connection: Connection, records: Iterable[Record]) -> None:
    rows = Rows()
    for record in records:
        rows.add(record)
    for table in (tables.requests, tables.attempts, tables.tool_calls, tables.file_operations):
        insert_new(connection, table, getattr(rows, table.name))
    _settle(connection, rows.done)


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Add those that are not there yet."""
    if rows:
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def _settle(connection: Connection, done: Iterable[tuple[str, ToolDone]]) -> None:
    by_turn: list[Row] = []
    by_conversation: list[Row] = []
    by_name: list[Row] = []
    for conversation, told in done:
        call = {"call": name_of(told.call_id), "set": told.ok}
        if told.record_id and told.call_id:
            by_turn.append({**call, "turn": name_of(told.record_id)})
        elif told.record_id:
            by_name.append({"set": told.ok, "turn": name_of(told.record_id), "named": name_of(told.name)})
        elif told.call_id and conversation:
            by_conversation.append({**call, "conversation": conversation})
    for statement, values in ((_BY_TURN, by_turn), (_BY_CONVERSATION, by_conversation), (_BY_NAME, by_name)):
        if values:
            connection.execute(statement.values(ok=bindparam("set")), values)
