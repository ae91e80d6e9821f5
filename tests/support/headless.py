"""A whole mitmproxy in this process, started the way mitmdump starts: `--set`, scripts, and its check for errors.

`async with headless("codemie_disabled=local_endpoints") as proxy: ...` raises Refused when mitmdump would exit with 1.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from mitmproxy import log, optmanager
from mitmproxy.options import Options
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.tools.dump import DumpMaster

from codemie_core.core_addon import CoreAddon
from codemie_core.exchange import BOOK

FRESH_BUNDLE = Path(__file__).with_name("fresh_bundle.py")


class Refused(Exception):
    """The start was refused; `lines` are the messages of level ERROR."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Recorded(log.MitmLogHandler):
    """Keeps what is logged from WARNING on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)  # type: ignore[no-untyped-call] # mitmproxy's own has no annotations
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def lines(self, level: int) -> list[str]:
        """The messages of this level, with the traceback where there is one."""
        return [self.format(record) for record in self.records if record.levelno == level]


class StartCheck:
    """In the place of mitmproxy's own, which would end the process."""

    name = "errorcheck"

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.passed = asyncio.Event()

    async def shutdown_if_errored(self) -> None:
        await asyncio.sleep(0)
        if errors := self.recorded.lines(logging.ERROR):
            raise Refused(errors)

    def finish(self) -> None:
        self.passed.set()


class Headless:
    """A running proxy that listens nowhere."""

    def __init__(self, master: DumpMaster, recorded: Recorded) -> None:
        self.master, self.options, self._recorded = master, master.options, recorded

    @property
    def core(self) -> CoreAddon:
        core = self.master.addons.get(CoreAddon.name)
        assert isinstance(core, CoreAddon)
        return core

    @property
    def errors(self) -> list[str]:
        return self._recorded.lines(logging.ERROR)

    @property
    def warnings(self) -> list[str]:
        return self._recorded.lines(logging.WARNING)


@asynccontextmanager
async def headless(*settings: str, confdir: Path, scripts: Sequence[Path] = (FRESH_BUNDLE,)) -> AsyncIterator[Headless]:
    """Start, and end with the context."""
    recorded = Recorded()
    recorded.install()
    layers, tasks = dict(vars(http_layers)), asyncio.all_tasks()
    master = DumpMaster(Options(confdir=str(confdir)), with_termlog=False, with_dumper=False)
    try:
        stock = master.addons.get("errorcheck")
        stock.finish()
        master.addons.remove(stock)
        check = StartCheck(recorded)
        master.addons.add(check)
        options = master.options
        options.set("server=false", *(f"scripts={script}" for script in scripts), *settings, defer=True)
        optmanager.load_paths(options, str(confdir / "config.yaml"))
        running = asyncio.get_running_loop().create_task(master.run())
        passed = asyncio.get_running_loop().create_task(check.passed.wait())
        await asyncio.wait([running, passed], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        passed.cancel()
        if check.passed.is_set():
            yield Headless(master, recorded)
            master.shutdown()
        await running
    finally:
        master._legacy_log_events.uninstall()
        recorded.uninstall()
        # mitmproxy leaves some for the end of the process.
        leftover = asyncio.all_tasks() - tasks
        for task in leftover:
            task.cancel()
        await asyncio.gather(*leftover, return_exceptions=True)
        vars(http_layers).update(layers)
        BOOK.__init__()  # type: ignore[misc] # one process runs one proxy; the next one starts with a new book
