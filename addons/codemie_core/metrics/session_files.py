"""The folder of sessions, shared with CodeMie's own tools: {id}.json, {id}_metrics.jsonl, completed_ before old ones.

Whoever made {id}.json owns the session. Of one that CodeMie's tools made we read, and mark records as sent; we neither
write its metadata nor put records of ours into it, for its own hooks count the same turns. Everything here blocks.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from codemie_core.agents import SESSION_NAMESPACE
from codemie_core.metrics.journal import Journal
from codemie_core.metrics.plain_file import read_plain
from codemie_core.metrics.session import ACTIVE, Session, as_text, no_sync, parse_session
from codemie_core.places import Places

type Layout = Literal["current", "seed"]

_METRICS = "_metrics.jsonl"
_COMPLETED = "completed_"
_NAME = re.compile(r"(?!\.|completed_)[\w.-]{1,200}")
# CodeMie's CLI would have to rewrite the file in each of so many moments.
_TRIES = 5
# Its own writes empty the file first: a reader may find half of it.
_PATIENCE = (0.005, 0.02, 0.1)


@dataclass(frozen=True, slots=True)
class Found:
    """A session on disk."""

    session_id: str
    session: Session | None
    """None when the metadata is missing or damaged: whose it is and what to call it is unknown."""
    path: Path
    journal: Journal
    completed: bool
    """CodeMie's CLI has put it aside."""

    @property
    def ours(self) -> bool:
        """May we append to it and change its metadata?"""
        return self.session is not None and self.session.ours


class SessionFiles:
    """The sessions of one home. `current` is where CodeMie's tools keep them today, `seed` where they once did."""

    def __init__(self, places: Places, layout: Layout = "current") -> None:
        self._places = places
        self.folder = places.home / "metrics" / "sessions" if layout == "seed" else places.sessions

    def open(self, session: Session) -> Found:
        """The session's files, for a turn to be counted: made now if nobody has them, else what is there.

        A session of ours that had ended goes on; it notes which proxy opened it last. SettingsError when the folder
        cannot be used, OSError when the file cannot be written.
        """
        self._places.ensure_private(self.folder)
        found = self.find(session.session_id)
        if found is None or not found.path.exists():
            self._create(self.folder / f"{file_name(session.session_id)}.json", session)
        elif found.session is not None and (found.session.status, found.session.run_id) != (ACTIVE, session.run_id):
            self._update(found, lambda values: _go_on(values, session.run_id))
        for pause in (*_PATIENCE, 0):
            again = self.find(session.session_id)
            if again is not None and again.session is not None:
                return again
            time.sleep(pause)
        if again is None:
            raise FileNotFoundError(f"{self.folder}: somebody removes session files as they are made")
        return again

    def find(self, session_id: str) -> Found | None:
        """What is there of it; None when there is nothing."""
        name = file_name(session_id)
        for prefix in ("", _COMPLETED):
            if (self.folder / f"{prefix}{name}.json").exists():
                return self._found(name, self._journal_prefix(name, prefix))
        for prefix in ("", _COMPLETED):
            if (self.folder / f"{prefix}{name}{_METRICS}").exists():
                return self._found(name, prefix)
        return None

    def all(self) -> list[Found]:
        """Every metrics file with the session it belongs to, and the sessions that have none yet, by name."""
        names = sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []
        journals = [_split(name.removesuffix(_METRICS)) for name in names if name.endswith(_METRICS)]
        known = {name for _, name in journals}
        bare = [_split(name.removesuffix(".json")) for name in names if name.endswith(".json")]
        return [self._found(name, prefix) for prefix, name in journals] + [
            found
            for prefix, name in bare
            if name not in known and (found := self._found(name, prefix)).session is not None
        ]

    def conversations_of_others(self) -> frozenset[str]:
        """The agents' own ids of the sessions that CodeMie's tools have made and not put aside: they count those."""
        files = self.folder.glob("*.json") if self.folder.is_dir() else ()
        sessions = [_read(path) for path in files if not path.name.startswith(_COMPLETED)]
        theirs = (session for session in sessions if session is not None and not session.ours)
        active = (session.correlation.agent_session_id for session in theirs if session.status == ACTIVE)
        return frozenset(conversation for conversation in active if conversation)

    def note_synced(self, found: Found, *, synced: int, failed: int, at_ms: int) -> bool:
        """Add to the counters in a session of ours. False when it is not, or CodeMie's CLI would not let go of it."""
        return self._update(found, lambda values: _count(values, synced, failed, at_ms))

    def close(self, found: Found, *, status: str, reason: str, at_ms: int) -> bool:
        """Say in a session of ours that it ended, and why. False as above."""
        return self._update(found, lambda values: values.update(status=status, reason=reason, endTime=at_ms))

    def _found(self, name: str, prefix: str) -> Found:
        """`prefix` is the journal's; the metadata may still, or already, bear the other one."""
        others = (prefix, "" if prefix else _COMPLETED)
        path = next((path for other in others if (path := self._metadata(name, other)).exists()), None)
        path = path or self._metadata(name, prefix)
        session = _read(path)
        return Found(name, session, path, Journal(self.folder / f"{prefix}{name}{_METRICS}"), bool(prefix))

    def _metadata(self, name: str, prefix: str) -> Path:
        return self.folder / f"{prefix}{name}.json"

    def _journal_prefix(self, name: str, prefix: str) -> str:
        """The journal beside the metadata, unless only the other one is there: CodeMie's CLI moves them in turn."""
        other = "" if prefix else _COMPLETED
        here, there = (self.folder / f"{each}{name}{_METRICS}" for each in (prefix, other))
        return other if there.exists() and not here.exists() else prefix

    def _create(self, path: Path, session: Session) -> None:
        """Whole, or not at all, and never over somebody else's."""
        with _draft(path, session.text()) as draft:
            try:
                os.link(draft, path)
            except FileExistsError:
                pass  # CodeMie's CLI was quicker; it is its session.

    def _update(self, found: Found, change: Callable[[dict[str, Any]], None]) -> bool:
        """Read, change and replace, and begin anew when CodeMie's CLI has written in between."""
        for _ in range(_TRIES):
            current = self.find(found.session_id)
            if current is None:
                return False
            try:
                before, content = _status(current.path), read_plain(current.path)
            except FileNotFoundError:
                continue
            session = parse_session(content)
            if session is None:
                continue
            if not session.ours:
                return False
            values = json.loads(content)
            change(values)
            with _draft(current.path, as_text(values)) as draft:
                if _status(current.path) == before:
                    os.replace(draft, current.path)
                    return True
        return False


def file_name(session_id: str) -> str:
    """The id itself; where it cannot be a file's name, a uuid made of it."""
    return session_id if _NAME.fullmatch(session_id) else str(uuid.uuid5(SESSION_NAMESPACE, session_id))


def _split(name: str) -> tuple[str, str]:
    """The prefix that CodeMie's CLI may have put before it, and the session's name."""
    return (_COMPLETED, name.removeprefix(_COMPLETED)) if name.startswith(_COMPLETED) else ("", name)


def _read(path: Path) -> Session | None:
    try:
        return parse_session(read_plain(path))
    except OSError:
        return None


@contextmanager
def _draft(path: Path, content: bytes) -> Iterator[Path]:
    """A private file (0600) beside `path` that is gone afterwards, unless it was given that name."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _status(path: Path) -> tuple[int, int, int] | None:
    """Tells one state of a file from the next; None when it is not there."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _go_on(values: dict[str, Any], run_id: str) -> None:
    values.update(status=ACTIVE, runId=run_id)
    for ended in ("endTime", "reason"):
        values.pop(ended, None)


def _count(values: dict[str, Any], synced: int, failed: int, at_ms: int) -> None:
    metrics = _object(_object(values, "sync", {}), "metrics", no_sync())
    for name, more in (("totalDeltas", synced + failed), ("totalSynced", synced), ("totalFailed", failed)):
        counted = metrics.get(name)
        metrics[name] = more + (counted if isinstance(counted, int) else 0)
    metrics.update(lastSyncAt=at_ms, lastProcessedTimestamp=at_ms)


def _object(values: dict[str, Any], name: str, otherwise: dict[str, Any]) -> dict[str, Any]:
    """The object of that name within `values`; `otherwise` is put there when there is none."""
    found = values.get(name)
    if not isinstance(found, dict):
        found = values[name] = otherwise
    return found
