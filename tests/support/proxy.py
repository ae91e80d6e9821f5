"""A real mitmdump (or mitmweb) process with scripts of ours, on a free loopback port."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from support import forged

ADDONS = Path(__file__).parents[2] / "addons"
BUNDLE = ADDONS / "codemie.py"
START_SECONDS = 60.0

_LISTENING = re.compile(r"(?:proxy|Proxy).*? listening at \S*?:(\d+)|listening at .*?:(\d+)")


class Mitmproxy:
    """`with Mitmproxy("--mode", f"reverse:{upstream.url}") as proxy: httpx.get(proxy.url)`"""

    def __init__(
        self,
        *args: str,
        tool: str = "mitmdump",
        scripts: Sequence[Path] = (BUNDLE,),
        options: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
        fresh: bool = False,
    ) -> None:
        """`fresh`: no fork of a process that has the libraries imported already; see support/forged.py."""
        program = list(command) if command else [str(Path(sys.executable).parent / tool)]
        self.confdir = Path(os.environ["HOME"]) / "mitmproxy"
        self.command = [*program, "--listen-host", "127.0.0.1", "--listen-port", "0"]
        self.command += ["--set", f"confdir={self.confdir}"]
        for script in scripts:
            self.command += ["-s", str(script)]
        for name, value in (options or {}).items():
            for item in value if isinstance(value, list) else [value]:
                self.command += ["--set", f"{name}={str(item).lower() if isinstance(item, bool) else item}"]
        if tool == "mitmweb":
            self.command += ["--no-web-open-browser", "--web-port", "0", "--set", "web_password=test"]
        self.command += args
        self.bundled = any(script.is_relative_to(ADDONS) for script in scripts)
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.fresh = fresh
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self.port = 0

    def __enter__(self) -> Self:
        _give_authority(self.confdir)
        self.process = forged.start(self.command, self.env, self.fresh, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            match = self.wait_for_log(_LISTENING.pattern, START_SECONDS)
            self.port = int(match[1] or match[2])
            if self.bundled:
                self.wait_for_log("codemie-proxy .* is running", START_SECONDS)
        except BaseException:
            # Without this nobody would: what `with` cannot enter it does not leave.
            self.process.kill()
            self.process.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All it has printed so far."""
        return "\n".join(self.lines)

    def health(self) -> dict[str, Any]:
        """What /health says."""
        with httpx.Client(trust_env=False, timeout=60) as client:
            body: dict[str, Any] = client.get(f"{self.url}/health").json()
        return body

    def memory(self) -> int:
        """Resident bytes of the process."""
        import psutil

        assert self.fresh, "of a fork's memory, half is the parent's"
        resident: int = psutil.Process(self.process.pid).memory_info().rss
        return resident

    def wait_for_log(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """The first match in what it printed; fails with the whole log when the process ends or time is up."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self.lines:
                    if match := re.search(pattern, line):
                        return match
                ended = self.process.poll() is not None and not self._reader.is_alive()
                left = deadline - time.monotonic()
                if ended or left <= 0:
                    raise AssertionError(f"no line like {pattern!r} in the log:\n{self.log}")
                self._changed.wait(min(0.5, left))

    def stop(self, how: signal.Signals = signal.SIGINT, timeout: float = 60.0) -> int:
        """End it and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end within {timeout} s after {how.name}:\n{self.log}") from None
        finally:
            self._reader.join(30)
        return self.process.returncode

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


_GIVING = threading.Lock()


@functools.cache
def _authority() -> dict[str, bytes]:
    """The files of a certificate authority as mitmproxy makes them at its first start; the key takes it long."""
    from mitmproxy import certs

    with tempfile.TemporaryDirectory() as folder:
        certs.CertStore.create_store(Path(folder), "mitmproxy", 2048)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _give_authority(confdir: Path) -> None:
    with _GIVING:  # Several proxies of one home may start at once, in threads.
        if confdir.exists():
            return
        confdir.mkdir()
        for name, content in _authority().items():
            (confdir / name).touch(0o600)
            (confdir / name).write_bytes(content)


def failing_start(*args: str, timeout: float = START_SECONDS, **kwargs: Any) -> tuple[int, str]:
    """Start something that must refuse to: its exit code and all it printed."""
    proxy = Mitmproxy(*args, **kwargs)
    _give_authority(proxy.confdir)
    done = forged.run(proxy.command, proxy.env, proxy.fresh, timeout)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def reverse(upstream_url: str, **kwargs: Any) -> Iterator[Mitmproxy]:
    """The bundle in reverse mode before this upstream."""
    with Mitmproxy("--mode", f"reverse:{upstream_url}", **kwargs) as proxy:
        yield proxy
