"""Brings what waits in the session files to CodeMie: at least once, with a key by which a repetition is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx

from codemie_core.errors import SettingsError
from codemie_core.metrics.drafts import SyncPlan, letter_of, new_batches
from codemie_core.metrics.lease import Lease
from codemie_core.metrics.round import Ledger, Report, Round, SignIn, Tools, Waiting, known_states, unsent
from codemie_core.metrics.session_files import Found, SessionFiles
from codemie_core.metrics.transport import Letter
from codemie_core.redact import redact_text


class Syncer:
    """One per process. `open_ledger` may raise SettingsError: then nothing is sent, and nothing is lost."""

    def __init__(
        self,
        files: SessionFiles,
        lease: Lease,
        sign_in: SignIn,
        *,
        open_ledger: Callable[[], Awaitable[Ledger]],
        has_ledger: Callable[[], bool],
        connect: Callable[[], Awaitable[httpx.AsyncClient]],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._files, self._lease = files, lease
        self._open_ledger, self._has_ledger = open_ledger, has_ledger
        self._tools = Tools(files, sign_in, connect, clock, sleep)
        self._idle: dict[str, tuple[int, int]] = {}
        self._running = False
        self._trouble = ""
        """Why a session's file was passed over in the last look."""

    async def run(self, plan: SyncPlan) -> Report:
        """One round. Never two at a time, in whatever process."""
        if self._running:
            return Report(busy=True)
        self._running = True
        taking = asyncio.get_running_loop().run_in_executor(None, self._lease.take)
        try:
            return await self._alone(plan) if await asyncio.shield(taking) else Report(busy=True)
        except (SettingsError, OSError) as problem:
            return Report(problem=redact_text(str(problem)))
        finally:
            if taking.done():
                self._end()
            else:  # Cancelled while the thread is at it: the lock would be kept for as long as this process lives.
                taking.add_done_callback(lambda _: self._end())

    async def preview(self, plan: SyncPlan) -> list[Letter]:
        """What a round would send now, byte for byte. Touches nothing."""
        waiting, letters = await asyncio.to_thread(self.waiting, plan.foreign), []
        ledger = await self._open_ledger() if self._has_ledger() else None
        for batch in await unsent(ledger):
            found = await asyncio.to_thread(self._files.find, batch.session_id)
            letters.append(letter_of(batch, found, plan))
        for found, entries in waiting:
            known = await known_states(ledger, found, entries) if ledger else {}
            fresh = [entry for entry in entries if entry.delta.record_id not in known]
            made = await asyncio.to_thread(new_batches, found, fresh, plan)
            letters += [letter_of(batch, found, plan) for batch, _ in made]
        return letters

    def waiting(self, foreign: bool) -> Waiting:
        """Look through the folder. Blocks."""
        found: Waiting = []
        self._trouble = ""
        seen: dict[str, tuple[int, int]] = {}
        for session in self._files.all():
            if session.session is None or not session.session.may_sync or not (session.ours or foreign):
                continue
            name, stamp = str(session.journal.path), _stamp(session)
            if stamp is None:
                continue
            try:
                entries = () if self._idle.get(name) == stamp else session.journal.read().pending
            except OSError as problem:
                self._trouble = f"{name} cannot be read: {problem.strerror or problem}"
                continue
            if entries:
                found.append((session, entries))
            else:
                seen[name] = stamp
        # A file in which the last look found nothing, and that has not changed since, need not be read again.
        self._idle = seen
        return found

    async def _alone(self, plan: SyncPlan) -> Report:
        waiting = await asyncio.to_thread(self.waiting, plan.foreign)
        trouble = self._trouble
        if not waiting and not self._has_ledger():
            return Report(problem=trouble)
        ledger = await self._open_ledger()
        async with AsyncExitStack() as open_now:
            report = await Round(self._tools, ledger, plan, open_now).run(waiting)
        return replace(report, problem=report.problem or trouble)

    def _end(self) -> None:
        self._lease.release()
        self._running = False


def _stamp(found: Found) -> tuple[int, int] | None:
    try:
        status = found.journal.path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
