"""`codemie-proxy top` before real proxies: by textual's own driver, and on a terminal of its own."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import struct
import termios
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest
from textual.events import Paste

from codemie_core.demo.absent import closed_port
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from codemie_core.places import Places
from codemie_core.running import process_started, running_proxies
from codemie_core.top.app import Top
from codemie_core.top.attachment import Wanted
from support.cli import COMMAND, environ
from support.histories import until
from support.proxy import Mitmproxy, reverse
from support.terminal import Terminal
from support.top_screen import SIZE, Screen

pytestmark = pytest.mark.slow

BODY = {"model": "claude-opus-4-5", "stream": True, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
AGENT = {"user-agent": "claude-cli/2.1.0 (external, cli)", "x-api-key": "planted-own", "x-claude-code-session-id": "s"}
PATIENCE = 90.0
LIVE = "● live"


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as made:
        yield made


@pytest.fixture
async def proxy(upstream: Upstream) -> AsyncIterator[Mitmproxy]:
    with reverse(upstream.url, options={"codemie_hosts": "127.0.0.1"}) as made:
        yield made


async def post(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return await client.post(f"{url}/v1/messages", json=BODY, headers=AGENT)


async def health(port: int) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return await client.get(f"http://127.0.0.1:{port}/health")


@asynccontextmanager
async def watched(home: Path) -> AsyncIterator[Screen]:
    app = Top(Wanted(Places(home), os.environ, may_start=False))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        seen = Screen(app, pilot)
        await seen.shows("● live", within=PATIENCE)
        yield seen


async def add(seen: Screen, name: str, key: str, url: str) -> None:
    await seen.press("a")
    await seen.shows("Add an account", within=PATIENCE)
    for text, then in ((name, "tab"), (key, "tab"), (url, "enter")):
        # As people do it who have it elsewhere: each key that is pressed waits for the screen.
        seen.app.post_message(Paste(text))
        await seen.press(then)
    await seen.shows(f"\n{name} ", within=PATIENCE)


async def test_accounts_that_are_added_and_paused_there_change_what_the_next_request_uses(
    codemie_home: Path, upstream: Upstream, proxy: Mitmproxy
) -> None:
    async with watched(codemie_home) as seen:
        await seen.shows("None. a adds one")
        await add(seen, "first", "planted-first", upstream.url)
        await seen.shows("1/1 accounts ready")
        assert (await post(proxy.url)).status_code == 200
        await add(seen, "second", "planted-second", upstream.url)
        await seen.press("1", "home", "space")
        await seen.shows("1/2 accounts ready", "paused")
        assert (await post(proxy.url)).status_code == 200
        await seen.press("space")
        await seen.shows("2/2 accounts ready")
        await seen.press("0")
        await seen.shows("Requests (2)", "Sessions (1)")
        assert "planted" not in seen.text
    assert [request.keys for request in upstream.requests] == [["planted-first"], ["planted-second"]]


async def test_a_row_is_there_while_the_stream_is_open_and_tells_its_cost_afterwards(
    codemie_home: Path, upstream: Upstream, proxy: Mitmproxy
) -> None:
    gate = upstream.gate()
    upstream.script(Step(events=6, gate=gate))
    async with watched(codemie_home) as seen, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(post(proxy.url))
        # It waits for its head or streams by now: a slow machine sees only the second.
        await seen.shows("claude-opus-4-5", "1 open", "Requests (1)")
        gate.release(2)
        await seen.shows("streaming")
        gate.open()
        assert (await asked).status_code == 200
        await seen.shows("200", "$0.", "0 open", "1 requests, 100% ok")
        await seen.press("3", "enter")
        await seen.shows("Why", "POST /v1/messages")
        await seen.press("escape", "2", "enter")
        await seen.shows("Turns", "claude-opus-4-5")


async def test_an_operator_who_comes_late_sees_what_is_under_way(
    codemie_home: Path, upstream: Upstream, proxy: Mitmproxy
) -> None:
    gate = upstream.gate()
    upstream.script(Step(events=6, gate=gate))
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(post(proxy.url))
        await upstream.wait_requests(1, PATIENCE)
        async with watched(codemie_home) as seen:
            await seen.shows("1 open", "claude-opus-4-5")
            gate.open()
            await seen.shows("0 open")
        assert (await asked).status_code == 200


@contextmanager
def top(*arguments: str, size: tuple[int, int] = SIZE) -> Iterator[Terminal]:
    """The command as somebody runs it."""
    with Terminal([*COMMAND, "top", *arguments], environ(TERM="xterm-256color")) as terminal:
        fcntl.ioctl(terminal.program, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        yield terminal


def pids(home: Path) -> Sequence[int]:
    return [one.pid for one in running_proxies(Places(home))]


def plain(terminal: Terminal) -> str:
    """Without what steers the terminal."""
    return re.sub(r"\x1b\[[0-9;?<=>]*[A-Za-z]", "", terminal.screen)


async def test_a_proxy_is_started_where_none_runs_and_ends_with_it(codemie_home: Path) -> None:
    port = closed_port()
    with top("http://127.0.0.1:9", "--port", str(port)) as terminal:
        await until(lambda: "started by top" in plain(terminal) and LIVE in plain(terminal), PATIENCE)
        [pid] = pids(codemie_home)
        terminal.type("q")
        assert await asyncio.to_thread(terminal.wait, PATIENCE) == 0
    assert process_started(pid) is None
    assert pids(codemie_home) == []


async def test_one_that_stays_goes_on_and_is_named(codemie_home: Path) -> None:
    port = closed_port()
    with top("http://127.0.0.1:9", "--port", str(port), "--stay") as terminal:
        await until(lambda: LIVE in plain(terminal), PATIENCE)
        [pid] = pids(codemie_home)
        try:
            terminal.type("q")
            assert await asyncio.to_thread(terminal.wait, PATIENCE) == 0
            assert f"The proxy goes on, process {pid}" in plain(terminal)
            assert (await health(port)).status_code == 200
        finally:
            os.kill(pid, signal.SIGTERM)
    await until(lambda: process_started(pid) is None, PATIENCE)


async def test_one_that_agents_use_is_not_ended_unasked(codemie_home: Path, upstream: Upstream) -> None:
    port = closed_port()
    with top(upstream.url, "--port", str(port)) as terminal:
        await until(lambda: LIVE in plain(terminal), PATIENCE)
        [pid] = pids(codemie_home)
        try:
            assert (await post(f"http://127.0.0.1:{port}")).status_code == 200
            await until(lambda: "200" in plain(terminal), PATIENCE)
            terminal.type("q")
            await until(lambda: "ends with this" in plain(terminal), PATIENCE)
            terminal.type("\t\r")
            assert await asyncio.to_thread(terminal.wait, PATIENCE) == 0
            assert process_started(pid) is not None
        finally:
            os.kill(pid, signal.SIGTERM)
    await until(lambda: process_started(pid) is None, PATIENCE)


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
async def test_a_line_that_breaks_ends_the_proxy_too(codemie_home: Path, how: signal.Signals) -> None:
    with top("http://127.0.0.1:9", "--port", str(closed_port())) as terminal:
        await until(lambda: LIVE in plain(terminal), PATIENCE)
        [pid] = pids(codemie_home)
        terminal.process.send_signal(how)
        await asyncio.to_thread(terminal.wait, PATIENCE)
    await until(lambda: process_started(pid) is None, PATIENCE)


async def test_a_port_that_is_taken_is_told_on_the_terminal(codemie_home: Path, upstream: Upstream) -> None:
    port = upstream.url.rpartition(":")[2]
    with top("http://127.0.0.1:9", "--port", port) as terminal:
        assert await asyncio.to_thread(terminal.wait, PATIENCE) == 1
    assert f"127.0.0.1:{port} is in use" in plain(terminal)
