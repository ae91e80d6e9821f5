import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from codemie_core.demo import proxy_process
from codemie_core.demo.proxy_process import CommandFailed, ProxyProcess, StartFailed, clean_environ

TARGET = "http://127.0.0.1:9"


def all_children() -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process().children(recursive=True)
    return found


@pytest.fixture
def before() -> list[psutil.Process]:
    """Those that other tests share."""
    return all_children()


@pytest.fixture
def children(before: list[psutil.Process]) -> Callable[[], list[psutil.Process]]:
    return lambda: [process for process in all_children() if process not in before]


async def test_it_serves_and_leaves_nothing_behind(
    tmp_path: Path, children: Callable[[], list[psutil.Process]]
) -> None:
    async with ProxyProcess(tmp_path / "demo", TARGET) as proxy, httpx.AsyncClient(trust_env=False) as client:
        await proxy.ready()
        assert (await proxy.health(client))["mode"] == [f"reverse:{TARGET}"]
        (process,) = children()
    assert not process.is_running()
    assert not list((tmp_path / "demo" / "proxy" / "run").iterdir())


@pytest.mark.parametrize("deaf", [False, True], ids=["plain", "deaf to SIGINT"])
async def test_it_is_ended_when_the_demo_is_interrupted_while_it_starts(
    deaf: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Callable[[], list[psutil.Process]]
) -> None:
    if deaf:
        words = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
        monkeypatch.setattr(proxy_process, "_MITMDUMP", words)
        monkeypatch.setattr(proxy_process, "STOP_SECONDS", 1.0)
    entered = asyncio.Event()

    async def play() -> None:
        async with ProxyProcess(tmp_path / "demo", TARGET) as proxy:
            entered.set()
            await proxy.ready()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(play())
        await entered.wait()
        (process,) = children()
        task.cancel()
    assert not process.is_running()


async def test_a_second_interruption_kills_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Callable[[], list[psutil.Process]]
) -> None:
    words = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(120)"
    )
    monkeypatch.setattr(proxy_process, "_MITMDUMP", words)
    monkeypatch.setattr(proxy_process, "STOP_SECONDS", 600.0)
    log = tmp_path / "demo" / "proxy.log"

    async def play() -> None:
        async with ProxyProcess(tmp_path / "demo", TARGET):
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(play())
        while not (log.is_file() and "deaf" in log.read_text()):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        (process,) = children()
        task.cancel()
        await asyncio.wait([task], timeout=0.2)
        assert process.is_running(), "the first interruption is polite"
        task.cancel()
    process.wait(60)


async def test_a_proxy_that_does_not_start_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_process, "_MITMDUMP", "print('what went wrong'); raise SystemExit(3)")
    with pytest.raises(StartFailed, match=r"(?s)did not start.*what went wrong"):
        async with ProxyProcess(tmp_path / "demo", TARGET) as proxy:
            await proxy.ready()


def test_its_environment_leads_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEMIE_UPSTREAM_ATTEMPTS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    found = clean_environ(tmp_path)
    assert found["CODEMIE_HOME"] == str(tmp_path)
    assert found["PATH"] == os.environ["PATH"]
    assert [name for name in found if name.startswith("CODEMIE_")] == ["CODEMIE_HOME", "CODEMIE_KEYRING"]
    # Nobody's keyring keeps what was made for the demo.
    assert found["CODEMIE_KEYRING"] == "0"
    assert not [name for name in found if name.lower().endswith("_proxy")]


async def test_a_command_runs_in_the_home_of_the_proxy_and_says_what_is_wrong(tmp_path: Path) -> None:
    async with ProxyProcess(tmp_path / "demo", TARGET) as proxy:
        arguments = ("--provider", "anthropic-compatible", "--base-url", TARGET)
        assert "Added one" in await proxy.command("accounts", "add", "one", *arguments, typed="planted-key\n")
        with pytest.raises(CommandFailed, match="'one' already"):
            await proxy.command("accounts", "add", "one", *arguments, typed="planted-key\n")
    # Beside the database and not in the keyring of whoever watches: it goes with the rest of the demo.
    assert {path.name for path in (tmp_path / "demo" / "proxy").iterdir()} >= {"proxy.db", "vault.key"}
