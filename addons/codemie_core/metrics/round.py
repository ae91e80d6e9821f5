"""One walk through all that is to be sent, so that wherever it breaks off the next one knows how far it had come.

First what was begun before, then what is new. Of new records a batch is made, written down with the ids of its records,
sent, noted as confirmed and marked in the session's file, in this order. What is written down and not confirmed goes
out again byte for byte; what is confirmed is only marked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import httpx

from codemie_core.metrics import batches
from codemie_core.metrics.batches import Batch
from codemie_core.metrics.drafts import SyncPlan, letter_of, new_batches
from codemie_core.metrics.journal import Entry
from codemie_core.metrics.session_files import Found, SessionFiles
from codemie_core.metrics.transport import Letter, MetricsApi, Outcome, Verdict
from codemie_core.sso.session import Session
from codemie_core.store import tables

if TYPE_CHECKING:
    from sqlalchemy import Connection

REST = 3600.0
"""Seconds for which a batch that CodeMie has refused is left alone."""
SEVERAL = 3
"""Batches that are answered with an error of the server's own until the server is taken to be down."""
KEPT = 30 * 86400.0
"""Seconds for which what has been delivered stays in the database."""
FORGET_EVERY = 3600.0

type Waiting = list[tuple[Found, tuple[Entry, ...]]]
"""Sessions with what is to be sent of them."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a round came to; counts are records."""

    sent: int = 0
    marked: int = 0
    """Among them those that had been confirmed before."""
    waiting: int = 0
    problem: str = ""
    """Why something still waits, in one line; "" when nothing went wrong."""
    busy: bool = False
    """Somebody else is at it."""
    expired: bool = False
    """The problem is the sign-in."""


class Ledger(Protocol):
    """The database, as far as this goes."""

    @property
    def shared(self) -> bool:
        """Do other homes write into it?"""

    async def call[Result](self, work: Callable[[Connection], Result], writing: bool = True) -> Result:
        """One transaction. DatabaseTrouble when there can be none now."""


class SignIn(Protocol):
    """Where the session comes from."""

    async def current(self) -> Session | None:
        """The usable one."""

    async def renewed(self) -> Session | None:
        """The same after another look: somebody may have signed in."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a round works with, and what is remembered from one to the next."""

    files: SessionFiles
    sign_in: SignIn
    connect: Callable[[], Awaitable[httpx.AsyncClient]]
    clock: Callable[[], float]
    """Seconds since the epoch."""
    sleep: Callable[[float], Awaitable[object]]
    resting: dict[str, float] = field(default_factory=dict)
    """Refused batches, and until when they are left alone."""
    forgotten: dict[str, float] = field(default_factory=dict)
    """When old batches were last taken out, by the name of the table."""


class Round:
    """One walk through all that is to be done."""

    def __init__(self, tools: Tools, ledger: Ledger, plan: SyncPlan, open_now: AsyncExitStack) -> None:
        self._tools, self._ledger, self._plan, self._open_now = tools, ledger, plan, open_now
        self._files = tools.files
        self._api: MetricsApi | None = None
        self._session: Session | None = None
        self._report = Report()
        self._quiet: set[str] = set()
        self._failed: list[str] = []
        self._marked: set[tuple[str, str]] = set()

    async def run(self, waiting: Waiting) -> Report:
        """Do what can be done."""
        if await self._unfinished():
            await self._fresh(waiting)
        if self._report.sent:
            # Others were taken: it is these that CodeMie chokes on, and they must not hold up the rest.
            self._rest(*self._failed)
        await self._forget()
        left = sum(len(entries) for _, entries in waiting) - self._report.marked
        return replace(self._report, waiting=max(0, left))

    async def _unfinished(self) -> bool:
        """What was begun before. May one go on to what is new?"""
        for batch in await self._ledger.call(batches.unfinished, writing=False):
            found = await asyncio.to_thread(self._files.find, batch.session_id)
            if found is None and self._ledger.shared:
                continue  # Another machine's.
            if batch.state == batches.POSTED:
                await self._mark(batch, found)
            elif self._tools.resting.get(batch.id, 0.0) > self._tools.clock():
                self._quiet.add(batch.session_id)
            elif not await self._deliver(batch, found):
                return False
        return True

    async def _fresh(self, waiting: Waiting) -> None:
        for found, entries in waiting:
            known = await known_states(self._ledger, found, entries)
            settled = [one for one, state in known.items() if state in (batches.POSTED, batches.MARKED)]
            if not self._marked.issuperset((found.session_id, one) for one in settled):
                await self._mark_in_file(found, settled)
            if found.session_id in self._quiet:
                continue  # More of the same would be refused as well.
            fresh = [entry for entry in entries if entry.delta.record_id not in known]
            for batch, ids in await asyncio.to_thread(new_batches, found, fresh, self._plan):
                if await self._sign_in() is None:
                    return
                if await self._write_down(batch, ids) and not await self._deliver(batch, found):
                    return

    async def _write_down(self, batch: Batch, ids: Sequence[str]) -> bool:
        now = self._now()
        return await self._ledger.call(lambda c: batches.journal(c, batch, ids, now))

    async def _deliver(self, batch: Batch, found: Found | None) -> bool:
        """Send it and see to what follows. Is it worth while to go on with others?"""
        verdict = await self._send(letter_of(batch, found, self._plan))
        if verdict is None:
            return False
        attempts, now = verdict.attempts, self._now()
        if verdict.outcome is Outcome.SENT:
            await self._ledger.call(lambda c: batches.posted(c, batch.id, attempts=attempts, now_ms=now))
            await self._mark(batch, found, sent=True)
            return True
        refused = verdict.outcome is Outcome.REFUSED
        await self._ledger.call(
            lambda c: batches.failed(c, batch.id, refused=refused, attempts=attempts, why=verdict.why)
        )
        self._trouble(verdict.why, expired=verdict.outcome is Outcome.EXPIRED)
        if refused:
            self._rest(batch.id)
            return True
        if verdict.answered:
            self._failed.append(batch.id)
        return verdict.answered and len(self._failed) < SEVERAL

    def _rest(self, *ids: str) -> None:
        self._tools.resting.update(dict.fromkeys(ids, self._tools.clock() + REST))

    async def _send(self, letter: Letter) -> Verdict | None:
        """None without a sign-in."""
        session = await self._sign_in()
        if session is None:
            return None
        if self._api is None:
            client = await self._open_now.enter_async_context(await self._tools.connect())
            self._api = MetricsApi(self._plan.url, client, sleep=self._tools.sleep, max_retries=self._plan.max_retries)
        verdict = await self._api.post(letter, session)
        if verdict.outcome is Outcome.EXPIRED:
            newer = await self._tools.sign_in.renewed()
            if newer is not None and newer is not session:
                self._session = newer
                verdict = await self._api.post(letter, newer)
        return verdict

    async def _sign_in(self) -> Session | None:
        if self._session is None:
            self._session = await self._tools.sign_in.current()
        if self._session is None:
            self._trouble("nobody is signed in to CodeMie: codemie-proxy auth login", expired=True)
        return self._session

    async def _mark(self, batch: Batch, found: Found | None, sent: bool = False) -> None:
        """It is confirmed: have the file say so, and then the database."""
        ids = await self._ledger.call(lambda c: batches.records_of(c, batch.id), writing=False)
        if sent:
            self._report = replace(self._report, sent=self._report.sent + len(ids))
        if found is None or await self._mark_in_file(found, ids):
            now = self._now()
            await self._ledger.call(lambda c: batches.marked(c, batch.id, now))

    async def _mark_in_file(self, found: Found, ids: Sequence[str]) -> bool:
        try:
            await asyncio.to_thread(self._mark_now, found, ids)
        except OSError as problem:
            self._trouble(f"{found.journal.path} cannot be marked: {problem.strerror or problem}")
            return False
        self._marked.update((found.session_id, one) for one in ids)
        self._report = replace(self._report, marked=len(self._marked))
        return True

    def _mark_now(self, found: Found, ids: Sequence[str]) -> None:
        # CodeMie's CLI may have put the file aside meanwhile.
        current = self._files.find(found.session_id) or found
        marked = current.journal.mark_synced(ids)
        if current.ours and marked:
            self._files.note_synced(current, synced=len(marked), failed=0, at_ms=self._now())

    async def _forget(self) -> None:
        now = self._tools.clock()
        if now >= self._tools.forgotten.get(tables.metrics_batches.name, 0.0) + FORGET_EVERY:
            self._tools.forgotten[tables.metrics_batches.name] = now
            await self._ledger.call(lambda c: batches.forget(c, round((now - KEPT) * 1000)))

    def _trouble(self, why: str, expired: bool = False) -> None:
        if not self._report.problem:
            self._report = replace(self._report, problem=why, expired=expired)

    def _now(self) -> int:
        return round(self._tools.clock() * 1000)


async def unsent(ledger: Ledger | None) -> list[Batch]:
    """What is written down and not confirmed, the oldest first."""
    found = await ledger.call(batches.unfinished, writing=False) if ledger else []
    return [batch for batch in found if batch.state != batches.POSTED]


async def known_states(ledger: Ledger, found: Found, entries: Sequence[Entry]) -> dict[str, str]:
    """Those of these records that are in a batch, with its state."""
    ids = [entry.delta.record_id for entry in entries]
    return await ledger.call(lambda c: batches.states(c, found.session_id, ids), writing=False)
