"""The address on this machine to which a login page sends the browser with what it brings: a session, a code.

Who waits says how to read an address. Everything else about a request is checked here. What is wrong is shown in the
browser, and the server goes on waiting; the first good request ends it. Nothing of a request is ever logged or
repeated.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from codemie_core.errors import SettingsError

HOST = "127.0.0.1"
_HEAD_SECONDS = 10.0
_HEAD_LIMIT = 160 * 1024
"""CodeMie's sessions come in the address, and are long."""

_STYLE = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto;padding:0 1rem}"
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Connection", "close"),
)
_DONE = "You are signed in", "codemie-proxy has what it needs. Close this page and go back to the terminal."
_FAILED = "You are not signed in"
_LAST_PAGE_SECONDS = 2.0
_NOTHING_HERE = "Nothing here", "codemie-proxy waits here for a sign-in; this address is no part of it."
_REFUSED = "This is no sign-in"


@dataclass(frozen=True, slots=True, repr=False)
class _Request:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


class CallbackServer[Brought]:
    """`async with CallbackServer(read) as server`: what the browser brings comes out of `await server.brought()`.

    `read` gets the path and query of a request; it returns what that brings, None when it brings nothing, and raises
    ValueError with the reason when it does not count. The browser waits until `settle` says what became of it. It
    listens on 127.0.0.1 only, on `port` or with 0 on any free one. SettingsError when the port is taken.
    """

    def __init__(self, read: Callable[[str], Brought | None], port: int = 0) -> None:
        self._reading, self.port = read, port
        self._tasks: set[asyncio.Task[None]] = set()
        self._bringing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._found: asyncio.Future[Brought] = loop.create_future()
        self._problem: asyncio.Future[str] = loop.create_future()
        try:
            self._server = await asyncio.start_server(self._accept, HOST, self.port, limit=_HEAD_LIMIT)
        except OSError as problem:
            words = problem.strerror or problem
            raise SettingsError(
                f"--port {self.port} cannot be used ({words}); leave it out to take a free one"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        if self._problem.done() and self._bringing:
            await asyncio.wait(self._bringing, timeout=_LAST_PAGE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def brought(self) -> Brought:
        """Wait for the browser."""
        return await asyncio.shield(self._found)

    def settle(self, problem: str = "") -> None:
        """Say how the sign-in ended; `problem` is shown in the browser."""
        if not self._problem.done():
            self._problem.set_result(problem)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass  # a connection that a browser opened ahead and never used, or left early
        finally:
            writer.transport.abort()
            self._tasks.discard(task)
            self._bringing.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                request = _read(await reader.readuntil(b"\r\n\r\n"))
            status, page, brought = self._judge(request)
            if brought is not None:
                status, page = await self._outcome(brought)
        except asyncio.LimitOverrunError:
            status, page = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, (_REFUSED, "The address is too long.")
        except ValueError as problem:
            status, page = HTTPStatus.BAD_REQUEST, (_REFUSED, f"The address cannot be used: {problem}.")
        writer.write(_answer(status, *page))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _outcome(self, brought: Brought) -> tuple[HTTPStatus, tuple[str, str]]:
        """Hand it over, and wait for what becomes of it."""
        task = asyncio.current_task()
        assert task is not None
        self._bringing.add(task)
        if not self._found.done():
            self._found.set_result(brought)
        problem = await asyncio.shield(self._problem)
        return (HTTPStatus.BAD_REQUEST, (_FAILED, f"{problem}.")) if problem else (HTTPStatus.OK, _DONE)

    def _judge(self, request: _Request) -> tuple[HTTPStatus, tuple[str, str], Brought | None]:
        """What to answer, and what the request brings. ValueError says why it does not count."""
        # A page of any other name would be one whose name somebody has pointed at this machine.
        if [host.lower() for host in request.all("host")] not in ([f"localhost:{self.port}"], [f"{HOST}:{self.port}"]):
            raise ValueError("it names another host")
        if request.method != "GET":
            raise ValueError(f"only GET is answered here, not {request.method}")
        brought = self._reading(request.target)
        if brought is None:
            return HTTPStatus.NOT_FOUND, _NOTHING_HERE, None
        # Browsers say what a request is for: a page of somebody else must not sign us in with an image or a frame.
        for name, wanted in (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")):
            if any(value != wanted for value in request.all(name)):
                raise ValueError("the browser did not come here itself, a web page sent for it")
        return HTTPStatus.OK, _DONE, brought


def _read(head: bytes) -> _Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[1].startswith("/") or not words[2].startswith("HTTP/1."):
        raise ValueError("this is no request of a browser")
    pairs = (line.partition(":") for line in lines if line)
    return _Request(words[0], words[1], tuple((name.strip().lower(), value.strip()) for name, _, value in pairs))


def _answer(status: HTTPStatus, title: str, text: str) -> bytes:
    body = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head>"
        f"<body><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p></body></html>\n"
    ).encode()
    headers = "".join(f"{name}: {value}\r\n" for name, value in (*_HEADERS, ("Content-Length", str(len(body)))))
    return f"HTTP/1.1 {status} {status.phrase}\r\n{headers}\r\n".encode() + body
