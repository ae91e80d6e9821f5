"""A real proxy process of the demo's own: mitmdump with the bundle, a free port, a home that nobody else uses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from codemie_core.places import Places
from codemie_core.running import running_proxies

BUNDLE = Path(__file__).parents[2] / "codemie.py"
START_SECONDS = 20.0
STOP_SECONDS = 5.0

_COMMAND = f"import sys; sys.path.insert(0, {str(BUNDLE.parent)!r}); from codemie_core.cli.app import main; main()"
_MITMDUMP = "from mitmproxy.tools.main import mitmdump; mitmdump()"


class StartFailed(Exception):
    """The proxy did not come up; the message holds the end of its log."""


class CommandFailed(Exception):
    """A command of the demo's did not go well; the message is what it said."""


class ProxyProcess:
    """`async with ProxyProcess(...) as proxy: await proxy.ready()`; leaving ends it, whatever happened."""

    def __init__(self, home: Path, target: str, *scripts: Path) -> None:
        self.url = ""
        self._places = Places(home)
        self._log = home / "proxy.log"
        self._arguments = ["--mode", f"reverse:{target}", "--listen-host", "127.0.0.1", "--listen-port", "0"]
        self._arguments += ["--set", f"confdir={home / 'mitmproxy'}"]
        for script in (BUNDLE, *scripts):
            self._arguments += ["-s", str(script)]

    async def __aenter__(self) -> Self:
        self._places.home.mkdir(parents=True)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _MITMDUMP, *self._arguments),
                env=clean_environ(self._places.home),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except BaseException as trouble:
            # Too slow, or interrupted a second time: nothing of the demo may stay behind.
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            if not isinstance(trouble, TimeoutError):
                raise
            await self._process.wait()

    async def ready(self) -> None:
        """Wait until it has entered the register; StartFailed when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while not (found := [proxy for proxy in running_proxies(self._places) if proxy.pid == self._process.pid]):
            if self._process.returncode is not None or time.monotonic() > deadline:
                ended = self._log.read_text(errors="replace").splitlines()[-12:]
                raise StartFailed("The proxy did not start. Its log ends with:\n" + "\n".join(ended))
            await asyncio.sleep(0.02)
        self.url = f"http://{found[0].addresses[0]}"

    async def command(self, *arguments: str, typed: str = "") -> str:
        """Run `codemie-proxy ARGUMENTS` in the proxy's home; what it printed. `typed` comes through a pipe."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _COMMAND, *arguments),
            env=clean_environ(self._places.home),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await asyncio.wait_for(process.communicate(typed.encode()), START_SECONDS)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if process.returncode:
            raise CommandFailed((errors or output).decode(errors="replace").strip())
        return output.decode(errors="replace")

    async def health(self, client: httpx.AsyncClient) -> dict[str, Any]:
        """What /health says."""
        answer = await client.get(f"{self.url}/health")
        body: dict[str, Any] = answer.raise_for_status().json()
        return body


def clean_environ(home: Path) -> dict[str, str]:
    """Ours, without what would lead the demo's proxy away from this machine or to somebody's settings.

    Nor to the keyring: what is made for the demo ends with it.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("CODEMIE_") and not name.upper().endswith("_PROXY")
    }
    return {**kept, "CODEMIE_HOME": str(home), "CODEMIE_KEYRING": "0", "PYTHONUNBUFFERED": "1"}
