"""CodeMie's session metrics from a turn to its API: writes down, sends now and then, and once more at the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from codemie_core import __version__
from codemie_core.metrics.drafts import SyncPlan
from codemie_core.metrics.lease import Lease
from codemie_core.metrics.recorder import Recorder, recover
from codemie_core.metrics.round import Report
from codemie_core.metrics.session_files import SessionFiles
from codemie_core.metrics.switches import cli_sends
from codemie_core.metrics.sync import Syncer
from codemie_core.metrics.transport import TIMEOUT, Letter
from codemie_core.places import Places
from codemie_core.profile import Profile
from codemie_core.running import running_proxies
from codemie_core.sso.backend import Verdict, api_base
from codemie_core.sso.keeper import Keeper
from codemie_core.sso.session import Session
from codemie_core.sso.sources import gateway_session
from codemie_core.sso.store import CredentialStore
from codemie_core.store.place import store_exists
from codemie_core.store.shared import SharedStore, take_store
from codemie_core.web import client_for

if TYPE_CHECKING:
    import httpx
    from sqlalchemy import Connection

    from codemie_core.metrics.aggregate import Schema
    from codemie_core.metrics.session_files import Layout

logger = logging.getLogger(__name__)

CLOSING = 0.7
"""Seconds that the database gets at the end."""


class Chosen(Protocol):
    """The addon's settings, as far as they matter here."""

    @property
    def enabled(self) -> bool: ...
    @property
    def interval(self) -> float: ...
    @property
    def dry_run(self) -> bool: ...
    @property
    def max_retries(self) -> int: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def schema_version(self) -> Schema: ...
    @property
    def path(self) -> str: ...
    @property
    def api_url(self) -> str: ...


@dataclass(frozen=True)
class Wanted:
    """The settings, as far as they may change while it works: all but the layout and the place."""

    url: str
    """Base URL of the API; the session for this host goes there."""
    enabled: bool = True
    interval: float = 300.0
    dry_run: bool = False
    max_retries: int = 3
    layout: Layout = "current"
    schema: Schema = "v2"
    path: str = "/v1/metrics"
    cli: str = f"codemie-proxy/{__version__}"
    ca_file: str = ""

    @classmethod
    def of(cls, chosen: Chosen, gateway: str, ca_file: str = "", cli: str = "") -> Wanted:
        """From the addon's settings and what it takes from others: the gateway's URL, its authorities, our name."""
        return cls(
            url=chosen.api_url or gateway,
            enabled=chosen.enabled,
            interval=chosen.interval,
            dry_run=chosen.dry_run,
            max_retries=chosen.max_retries,
            layout=chosen.layout,
            schema=chosen.schema_version,
            path=chosen.path,
            cli=cli or cls.cli,
            ca_file=ca_file,
        )


class Service:
    """One per process. `run_id` is the process's; a command line has none."""

    def __init__(
        self,
        places: Places,
        environ: Mapping[str, str],
        profile: Profile,
        wanted: Wanted,
        run_id: str = "",
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.wanted = wanted
        self._places, self._environ, self._profile, self._run_id = places, environ, profile, run_id
        self._clock, self._sleep = clock, sleep
        self.files = SessionFiles(places, wanted.layout)
        self.recorder = Recorder(self.files, profile.provider, sleep)
        self._credentials = CredentialStore(places)
        keeper = Keeper(self._load, self._signature, _unasked, now=clock)
        self._syncer = Syncer(
            self.files,
            Lease(places),
            keeper,
            open_ledger=self._open_ledger,
            has_ledger=lambda: self._ledger is not None or store_exists(places, environ),
            connect=self._connect,
            clock=clock,
            sleep=sleep,
        )
        self._ledger: _StoreLedger | None = None
        self._one = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self.report = Report()
        """The last round that came to something."""
        self.sent = 0
        self._last_ms: int | None = None

    @property
    def plan(self) -> SyncPlan:
        """What a round is to do now."""
        wanted = self.wanted
        return SyncPlan(
            f"{api_base(wanted.url)}{wanted.path}",
            wanted.schema,
            __version__,
            wanted.cli,
            foreign=not cli_sends(self._profile, self._environ),
            max_retries=wanted.max_retries,
        )

    def begin(self) -> None:
        """Send what an earlier process has left, and then now and then."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def round(self) -> Report:
        """Send what waits, now."""
        async with self._one:
            report = await self._syncer.run(self.plan)
        self._tell(report)
        return report

    async def preview(self) -> list[Letter]:
        """What would be sent, byte for byte."""
        return await self._syncer.preview(self.plan)

    async def end(self, within: float) -> None:
        """Send what is left, for so many seconds at most. What is not sent then is sent by whoever starts next."""
        self._ending = True
        try:
            async with asyncio.timeout(within):
                await self.recorder.drain()
                await self.recorder.close(round(self._clock() * 1000))
                if self.wanted.enabled and not self.wanted.dry_run:
                    await self.round()
        except TimeoutError:
            logger.warning(
                "CodeMie did not take the last session metrics within %g s: the next start sends them", within
            )
        finally:
            await self.close()

    async def close(self) -> None:
        """Give back what is held."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            await asyncio.to_thread(ledger.store.release, CLOSING)

    def shown(self) -> Mapping[str, object]:
        """For /health: numbers and short words."""
        recorder, report = self.recorder, self.report
        return {
            "written": recorder.written,
            "unwritten": recorder.waiting,
            "lost": recorder.lost,
            "counted_by_cli": recorder.theirs,
            "sent": self.sent,
            "waiting": report.waiting,
            "last_sync_ms": self._last_ms,
            "problem": recorder.trouble or report.problem,
            "sync": "off" if not self.wanted.enabled else "dry run" if self.wanted.dry_run else "on",
        }

    async def _run(self) -> None:
        await self._safely(self._recover)
        while not self._ending:
            if self.wanted.enabled:
                await self._safely(self._rehearse if self.wanted.dry_run else self.round)
            await self._sleep(self.wanted.interval)

    async def _recover(self) -> None:
        await asyncio.to_thread(
            lambda: recover(self.files, [self._run_id, *(proxy.run_id for proxy in running_proxies(self._places))])
        )

    async def _rehearse(self) -> None:
        letters = await self.preview()
        self._tell(Report(waiting=len(letters)))
        if letters:
            logger.info("%d session metrics would be sent: codemie-proxy metrics sync --dry-run", len(letters))

    async def _safely(self, work: Callable[[], Awaitable[Any]]) -> None:
        """The next round is no worse for it."""
        try:
            await work()
        except Exception as error:  # A task that ended here would send nothing any more.
            self._tell(Report(problem=f"{type(error).__name__} in our own code; please report it"))

    def _tell(self, report: Report) -> None:
        if report.busy:
            return
        before, self.report = self.report.problem, report
        self.sent += report.sent
        self._last_ms = round(self._clock() * 1000)
        if report.problem and report.problem != before:
            logger.warning("Session metrics wait and are tried again: %s", report.problem)
        elif before and not report.problem:
            logger.warning("Session metrics are delivered again")

    async def _open_ledger(self) -> _StoreLedger:
        if self._ledger is None:
            self._ledger = _StoreLedger(await asyncio.to_thread(take_store, self._places, self._environ))
        return self._ledger

    async def _connect(self) -> httpx.AsyncClient:
        url, ca_file = self.plan.url, self.wanted.ca_file
        # Reading the authorities takes long enough to be felt.
        return await asyncio.to_thread(client_for, url, self._places, self._environ, ca_file, timeout=TIMEOUT)

    def _load(self) -> tuple[Session | None, str]:
        store = self._credentials
        session = gateway_session(self._profile, self.wanted.url, self._environ, store)
        return session, " ".join(store.problems)

    def _signature(self) -> object:
        return self._credentials.signature(self.wanted.url)


class _StoreLedger:
    """The process's one database."""

    def __init__(self, store: SharedStore) -> None:
        self.store = store

    @property
    def shared(self) -> bool:
        return not self.store.database.is_sqlite

    async def call[Result](self, work: Callable[[Connection], Result], writing: bool = True) -> Result:
        return await self.store.worker.call(work, writing)


async def _unasked(_: Session) -> Verdict:
    """Whether the session is good is seen from the answers."""
    return Verdict.UNKNOWN
