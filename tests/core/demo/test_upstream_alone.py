"""The upstream on its own loop, as its own process, and upstreams that are not there."""

import asyncio
import signal
import ssl
import sys
from pathlib import Path

import httpx
import pytest

import codemie_core
from codemie_core.demo.absent import closed_port, mute_listener, resetting_listener
from codemie_core.demo.command import main
from codemie_core.demo.script import Step
from codemie_core.demo.threaded import UpstreamThread
from support.raw_client import raw_client

SOURCE_ROOT = Path(codemie_core.__file__).parents[1]


def test_the_upstream_serves_from_a_thread() -> None:
    with UpstreamThread(prefix="/p") as thread:
        thread.call(thread.upstream.script, Step(status=503))
        assert httpx.post(f"{thread.url}/v1/messages", json={}).status_code == 503
        port = thread.upstream.port
        with pytest.raises(OSError, match="in use"), UpstreamThread(port=port):
            pass


async def test_the_command_prints_its_url_first_and_ends_on_a_signal() -> None:
    command = ["-m", "codemie_core.demo.upstream", "--script", "overload", "--text-bytes", "2000"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=SOURCE_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout
        url = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        async with httpx.AsyncClient() as client:
            first = await client.post(f"{url}/v1/messages", json={})
            second = await client.post(f"{url}/v1/messages", json={})
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert (first.status_code, second.status_code) == (529, 200)
    assert len(second.json()["content"][0]["text"]) == 2000
    assert (process.returncode, errors) == (0, b"")


def test_the_command_names_the_faults_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--script", "nope"])
    assert "no fault is called 'nope'; there are: ok, overload" in capsys.readouterr().err


async def test_a_closed_port_refuses() -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", closed_port())


async def test_a_resetting_listener_resets() -> None:
    async def connect_and_read(port: int) -> None:
        async with raw_client(port) as client:  # the reset may be there before connect() has looked
            await client.rest()

    async with resetting_listener() as port:
        with pytest.raises(ConnectionResetError):
            await connect_and_read(port)


async def test_a_mute_listener_never_ends_the_handshake() -> None:
    async with mute_listener() as port:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context()), 0.1)
