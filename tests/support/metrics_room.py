"""A home with sessions in it, an API to send them to, and a syncer between the two, on a clock moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from codemie_core.metrics import batches
from codemie_core.metrics.batches import Batch
from codemie_core.metrics.delta import Delta
from codemie_core.metrics.round import Report
from codemie_core.metrics.service import Service, Wanted
from codemie_core.metrics.session import Session, new_session
from codemie_core.metrics.session_files import Found, SessionFiles
from codemie_core.places import Places
from codemie_core.profile import Profile
from codemie_core.store.database import open_database
from support.metrics_api import MetricsApi
from support.records import new_record

SESSION = "5e551071-0000-4000-8000-000000000001"


class SimulatedTime:
    """Seconds since the epoch; sleeping moves it."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def delta(record_id: str, branch: str = "main", **fields: Any) -> Delta:
    """One tool call in one turn."""
    return Delta(record_id=record_id, session_id=SESSION, timestamp=1_800_000_000_000, git_branch=branch,
                 tools={"Edit": 1}, models=("claude-sonnet-4-5",), **fields)  # fmt: skip


class MetricsRoom:
    """One home. `service()` is a process's worth of it."""

    def __init__(self, home: Path, api: MetricsApi) -> None:
        self.places, self.api = Places(home), api
        self.time = SimulatedTime()
        self.environ: dict[str, str] = {}
        self.profile = Profile(name="sso", provider="ai-run-sso", base_url=api.url, auth_method="sso")
        self.wanted = Wanted(url=api.url)
        self.files = SessionFiles(self.places)
        self._open: list[Service] = []

    def service(self) -> Service:
        """One more; `end` ends them all."""
        made = Service(
            self.places, self.environ, self.profile, self.wanted, "run", clock=self.time, sleep=self.time.sleep
        )
        self._open.append(made)
        return made

    def session(self, session_id: str = SESSION, **fields: Any) -> Found:
        """A session of ours."""
        return self.files.open(new_session(new_record(session_id=session_id, **fields), "ai-run-sso"))

    def foreign(self, session_id: str, **fields: Any) -> Found:
        """A session that CodeMie's own CLI has made."""
        made = new_session(new_record(session_id=session_id), "ai-run-sso").on_disk()
        kept = {name: value for name, value in made.items() if name not in ("createdBy", "runId")}
        return self.files.open(Session.model_validate({**kept, **fields}))

    def add(self, found: Found, *record_ids: str, branch: str = "main") -> None:
        """Have these wait."""
        for record_id in record_ids:
            found.journal.append(delta(record_id, branch))

    def marks(self, session_id: str = SESSION) -> dict[str, str]:
        """The state of each record in the session's file."""
        found = self.files.find(session_id)
        assert found is not None
        return {entry.delta.record_id: entry.delta.sync_status for entry in found.journal.read().entries}

    async def round(self) -> Report:
        """One round of a process of its own."""
        service = self.service()
        try:
            return await service.round()
        finally:
            await service.close()

    def read[Result](self, work: Callable[[Connection], Result]) -> Result:
        """Ask the database."""
        database = open_database(self.places, self.environ)
        try:
            with database.reading() as connection:
                return work(connection)
        finally:
            database.close()

    def write[Result](self, work: Callable[[Connection], Result]) -> Result:
        """Change the database."""
        database = open_database(self.places, self.environ)
        try:
            with database.writing() as connection:
                return work(connection)
        finally:
            database.close()

    def batches(self, session_id: str = SESSION) -> list[Batch]:
        """Those of a session, the oldest first."""
        return self.read(lambda connection: batches.newest(connection, session_id))[::-1]

    async def end(self) -> None:
        """All services, as at the end of their processes."""
        for service in self._open:
            await service.close()
