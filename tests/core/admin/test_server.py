"""The lazy server: with a small application of its own, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import httpx
import pytest
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from codemie_core.admin.server import Server, bind_or_any
from codemie_core.admin.serving import Serving
from support.cli import environ


class Room:
    """Counts how often it was asked to get ready, and keeps what went wrong."""

    def __init__(self) -> None:
        self.prepared = 0
        self.problem: BaseException | None = None
        self.lifespans: list[str] = []
        self.mishaps: list[str] = []
        self.hanging = asyncio.Event()
        self.server = Server(self._prepare, lambda place, error: self.mishaps.append(f"{place}: {error}"))

    def _prepare(self) -> Serving:
        self.prepared += 1
        if self.problem is not None:
            raise self.problem
        app = FastAPI(lifespan=self._lifespan)

        @app.get("/")
        async def answer() -> str:
            return "well"

        @app.get("/hangs")
        async def hang() -> str:
            self.hanging.set()
            await asyncio.Event().wait()
            return "never"

        return Serving(app, app)

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self.lifespans.append("begun")
        yield
        self.lifespans.append("ended")


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    found = Room()
    yield found
    await found.server.stop(60)


async def get(port: int, path: str = "/") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}")


async def test_nothing_is_prepared_until_somebody_connects_and_then_once(room: Room) -> None:
    port = room.server.bind(0)
    await asyncio.sleep(0)
    assert (room.prepared, room.server.loaded) == (0, False)
    answers = await asyncio.gather(*(get(port) for _ in range(5)))
    assert {answer.json() for answer in answers} == {"well"}
    assert (room.prepared, room.server.loaded, room.lifespans) == (1, True, ["begun"])


async def test_small_answers_are_not_held_back_for_the_next_packet(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each of them takes 40 ms longer."""
    at_once: list[int] = []
    made = H11Protocol.connection_made

    def noted(protocol: H11Protocol, transport: asyncio.Transport) -> None:
        at_once.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        made(protocol, transport)

    monkeypatch.setattr(H11Protocol, "connection_made", noted)
    assert (await get(room.server.bind(0))).json() == "well"
    assert at_once == [1]


async def test_it_listens_on_loopback_alone(room: Room) -> None:
    port = room.server.bind(0)
    for address in {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}:
        if not str(address).startswith("127."):
            with pytest.raises(OSError, match=r".*"):
                await asyncio.wait_for(asyncio.open_connection(str(address), port), 2)


async def test_after_its_end_nobody_is_answered_any_more(room: Room) -> None:
    port = room.server.bind(0)
    assert (await get(port)).json() == "well"
    await room.server.stop(60)
    assert room.lifespans == ["begun", "ended"]
    with pytest.raises(httpx.ConnectError):
        await get(port)


async def test_where_nobody_came_the_end_is_nothing_but_a_closed_port(room: Room) -> None:
    port = room.server.bind(0)
    await room.server.stop(5)
    assert room.prepared == 0
    with pytest.raises(httpx.ConnectError):
        await get(port)


async def test_an_answer_that_hangs_does_not_hold_up_the_end(room: Room) -> None:
    port = room.server.bind(0)
    hanging = asyncio.get_running_loop().create_task(get(port, "/hangs"))
    await asyncio.wait_for(room.hanging.wait(), 60)
    async with asyncio.timeout(50):
        await room.server.stop(600)
    with contextlib.suppress(httpx.HTTPError):
        await hanging
    assert room.lifespans == ["begun", "ended"]


async def test_a_server_that_is_ended_by_force_leaves_no_socket_to_the_loop(room: Room) -> None:
    port = room.server.bind(0)
    hanging = asyncio.get_running_loop().create_task(get(port, "/hangs"))
    await asyncio.wait_for(room.hanging.wait(), 60)
    [serving] = [task for task in asyncio.all_tasks() if task.get_name() == "admin server"]
    serving.cancel()
    with pytest.raises(httpx.HTTPError):
        await hanging
    await asyncio.wait([serving])
    assert room.lifespans == ["begun", "ended"]
    # Whatever opens next gets the number of the socket that was closed.
    other = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", other.sockets[0].getsockname()[1])
    writer.write(b"still here")
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 60) == b"still here"
    writer.close()
    other.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.close()


@pytest.mark.parametrize("problem", [ImportError("no such library"), SystemExit(3)], ids=repr)
async def test_what_cannot_be_prepared_is_a_mishap_and_closes_the_port(room: Room, problem: BaseException) -> None:
    room.problem = problem
    port = room.server.bind(0)
    with pytest.raises(httpx.HTTPError):
        await get(port)
    assert len(room.mishaps) == 1
    with pytest.raises(httpx.ConnectError):
        await get(port)


async def test_signals_stay_those_of_the_proxy(room: Room) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    port = room.server.bind(0)
    await get(port)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_port_that_is_taken_is_replaced_with_a_word() -> None:
    asked: list[int] = []

    class Taken:
        def bind(self, port: int) -> int:
            asked.append(port)
            if port:
                raise OSError(errno.EADDRINUSE, "Address already in use")
            return 1234

    port, words = bind_or_any(cast(Server, Taken()), 8377)
    assert (asked, port) == ([8377, 0], 1234)
    assert words == "port 8377 cannot be had (Address already in use): the admin API listens on 1234 instead"


def test_a_machine_without_sockets_is_a_problem_for_whoever_asked() -> None:
    class Broken:
        def bind(self, port: int) -> int:
            raise OSError(errno.EMFILE, "Too many open files")

    with pytest.raises(OSError, match="Too many open files"):
        bind_or_any(cast(Server, Broken()), 0)


def test_listening_loads_no_web_library() -> None:
    heavy = ("uvicorn", "fastapi", "nicegui", "sqlalchemy")
    code = f"import sys, codemie_core.admin.server; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ())
    assert done.stdout.strip() == "[]"
