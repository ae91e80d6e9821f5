"""What is sent to CodeMie, written down before it is sent: exactly these bytes, for exactly these records.

A batch is `journalled`, then `posted` once CodeMie has confirmed it, then `marked` once the session's file says so too.
One that CodeMie does not want is `refused`: it is sent again now and then, unchanged. After a crash the database says
which of these it had come to, so a record is in one batch for ever, and a batch is the same bytes for ever.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched

from sqlalchemy import Connection, delete, func, insert, select, update

from codemie_core.store import tables

JOURNALLED, POSTED, MARKED, REFUSED = "journalled", "posted", "marked", "refused"
_SPACE = uuid.UUID("6f0c6a9e-6d0b-5b0e-9a55-0d1f7b3a2c41")
_AT_ONCE = 500
"""Ids in one question: a statement takes only so many."""
_LONGEST = 500
"""Characters: an index of PostgreSQL takes no more than some kilobytes."""

_batches = tables.metrics_batches
_records = tables.metrics_records


@dataclass(frozen=True, slots=True)
class Batch:
    """Times are milliseconds since the epoch."""

    id: str
    """The key that CodeMie can tell repetitions by."""
    session_id: str
    path: str
    """The session's file when it was written down; it may have been renamed since."""
    branch: str
    body: bytes
    state: str = JOURNALLED
    attempts: int = 0
    last_error: str = ""
    created_ms: int = 0
    posted_ms: int | None = None


def key_of(session_id: str, branch: str, record_ids: Iterable[str]) -> str:
    """The same for the same records, in whatever order."""
    return str(uuid.uuid5(_SPACE, "\0".join([_clean(session_id), _clean(branch), *sorted(map(_clean, record_ids))])))


def journal(connection: Connection, batch: Batch, record_ids: Sequence[str], now_ms: int) -> bool:
    """Write it down; False, and nothing is, when one of its records is in a batch already."""
    ids = tuple(dict.fromkeys(map(_clean, record_ids)))
    if not ids or states(connection, batch.session_id, ids):
        return False
    session_id = _clean(batch.session_id)
    values = {
        "id": batch.id,
        "session_id": session_id,
        "path": _clean(batch.path),
        "branch": _clean(batch.branch),
        "body": batch.body,
        "created_ms": now_ms,
        "state": JOURNALLED,
        "attempts": 0,
        "last_error": "",
        "posted_ms": None,
    }
    connection.execute(insert(_batches).values(**values))
    rows = [{"session_id": session_id, "record_id": one, "batch_id": batch.id, "marked_ms": None} for one in ids]
    connection.execute(insert(_records), rows)
    return True


def unfinished(connection: Connection) -> list[Batch]:
    """Those with something left to do, the oldest first."""
    found = select(_batches).where(_batches.c.state != MARKED).order_by(_batches.c.created_ms, _batches.c.id)
    return [Batch(**row) for row in connection.execute(found).mappings()]


def newest(connection: Connection, session_id: str, limit: int = 20) -> list[Batch]:
    """Those of a session, the newest first."""
    found = select(_batches).where(_batches.c.session_id == session_id).order_by(_batches.c.created_ms.desc())
    return [Batch(**row) for row in connection.execute(found.limit(limit)).mappings()]


def records_of(connection: Connection, batch_id: str) -> tuple[str, ...]:
    """The records in it."""
    return tuple(connection.execute(select(_records.c.record_id).where(_records.c.batch_id == batch_id)).scalars())


def states(connection: Connection, session_id: str, record_ids: Iterable[str]) -> dict[str, str]:
    """The state of the batch of each of these records; those in none are not in it."""
    joined = select(_records.c.record_id, _batches.c.state).join(_batches, _batches.c.id == _records.c.batch_id)
    found: dict[str, str] = {}
    for ids in batched({_clean(one): one for one in record_ids}.items(), _AT_ONCE):
        names = dict(ids)
        asked = joined.where(_records.c.session_id == _clean(session_id), _records.c.record_id.in_(names))
        found |= {names[row.record_id]: row.state for row in connection.execute(asked)}
    return found


def failed(connection: Connection, batch_id: str, *, refused: bool, attempts: int, why: str) -> None:
    """It was not confirmed."""
    values = {
        "state": REFUSED if refused else JOURNALLED,
        "attempts": _batches.c.attempts + attempts,
        "last_error": _clean(why),
    }
    connection.execute(update(_batches).where(_batches.c.id == batch_id).values(**values))


def posted(connection: Connection, batch_id: str, *, attempts: int, now_ms: int) -> None:
    """CodeMie has confirmed it."""
    values = {"state": POSTED, "attempts": _batches.c.attempts + attempts, "last_error": "", "posted_ms": now_ms}
    connection.execute(update(_batches).where(_batches.c.id == batch_id).values(**values))


def marked(connection: Connection, batch_id: str, now_ms: int) -> None:
    """The session's file says so too: nothing is left to do."""
    connection.execute(update(_batches).where(_batches.c.id == batch_id).values(state=MARKED))
    connection.execute(update(_records).where(_records.c.batch_id == batch_id).values(marked_ms=now_ms))


def forget(connection: Connection, before_ms: int, limit: int = 200) -> int:
    """Take out what has long been finished; how many batches that were."""
    old = select(_batches.c.id).where(_batches.c.state == MARKED, _batches.c.created_ms < before_ms).limit(limit)
    ids = list(connection.execute(old).scalars())
    if ids:
        connection.execute(delete(_records).where(_records.c.batch_id.in_(ids)))
        connection.execute(delete(_batches).where(_batches.c.id.in_(ids)))
    return len(ids)


def tallies(connection: Connection) -> Mapping[str, int]:
    """How many batches are in each state."""
    counted = select(_batches.c.state, func.count()).group_by(_batches.c.state)
    return {state: count for state, count in connection.execute(counted)}


def _clean(text: str) -> str:
    """As a column takes it. What foreign hands wrote as an id may be anything; different ones stay different."""
    plain = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if plain == text and len(text) <= _LONGEST:
        return text
    return f"{plain[: _LONGEST - 70]}#{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
