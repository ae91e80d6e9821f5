"""Where the browser comes back to: what it takes, what it refuses, and what it shows."""

import asyncio
import base64
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest

from codemie_core.callback import CallbackServer
from codemie_core.errors import SettingsError
from codemie_core.sso.callback import session_callback
from codemie_core.sso.session import Session
from support.raw_client import raw_client

API = "https://codemie.test/code-assistant-api"
COOKIES = {"codemie_access_token": "planted-access", "codemie_session": "planted-session"}
TOKEN = base64.b64encode(json.dumps({"cookies": COOKIES}).encode()).decode()


@asynccontextmanager
async def serving(problem: str = "") -> AsyncIterator[CallbackServer[Session]]:
    """A server, and somebody who takes the session and says at once what became of it."""
    async with session_callback(API) as server:

        async def settling() -> None:
            await server.brought()
            server.settle(problem)

        task = asyncio.get_running_loop().create_task(settling())
        yield server
        task.cancel()


async def send(server: CallbackServer[Session], request: str) -> str:
    async with raw_client(server.port) as client:
        await client.send(request.format(port=server.port).encode())
        return (await client.rest()).decode()


def get(target: str, *headers: str, host: str = "localhost:{port}") -> str:
    return "\r\n".join([f"GET {target} HTTP/1.1", f"host: {host}", *headers, "", ""])


def found(session: Session) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in session.cookies.items()}


NAVIGATION = ("sec-fetch-mode: navigate", "sec-fetch-dest: document", "sec-fetch-site: cross-site")


@pytest.mark.parametrize(
    "request_text",
    [
        get(f"/?token={quote(TOKEN)}"),
        get(f"/any/path?x=1&auth={TOKEN}"),
        get(f"/?data={TOKEN}", *NAVIGATION),
        get(f"/?token={TOKEN}", host="127.0.0.1:{port}"),
        get(f"/?token={TOKEN}", host="LOCALHOST:{port}"),
    ],
)
async def test_a_good_request_brings_the_session(request_text: str) -> None:
    async with serving() as server:
        answer = await send(server, request_text)
        session = await asyncio.wait_for(server.brought(), 60)
    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    assert found(session) == COOKIES
    assert session.api_url == API


BAD = [
    (get(f"/?token={TOKEN}", host="localhost"), 400, "names another host"),
    (get(f"/?token={TOKEN}", host="localhost:1"), 400, "names another host"),
    (get(f"/?token={TOKEN}", host="evil.test:{port}"), 400, "names another host"),
    (get(f"/?token={TOKEN}", "host: localhost:{port}"), 400, "names another host"),
    (f"GET /?token={TOKEN} HTTP/1.1\r\n\r\n", 400, "names another host"),
    (get("/").replace("GET", "POST"), 400, "only GET"),
    (get(f"/?token={TOKEN}").replace("GET", "HEAD"), 400, "only GET"),
    (get("/favicon.ico"), 404, "no part of it"),
    (get("/"), 404, "no part of it"),
    (get(f"/?token={TOKEN}&token={TOKEN}"), 400, "more than one"),
    (get(f"/?token={TOKEN}&data={TOKEN}"), 400, "more than one"),
    (get("/?token=planted!"), 400, "no base64"),
    (get(f"/?token={base64.b64encode(b'[]').decode()}"), 400, "no cookies"),
    (get(f"/?token={TOKEN}", "sec-fetch-mode: no-cors", "sec-fetch-dest: image"), 400, "a web page sent for it"),
    (get(f"/?token={TOKEN}", "sec-fetch-mode: cors", "sec-fetch-dest: empty"), 400, "a web page sent for it"),
    (get(f"/?token={TOKEN}", "sec-fetch-mode: navigate", "sec-fetch-dest: iframe"), 400, "a web page sent for it"),
    (get(f"/?token={TOKEN}", "sec-fetch-mode: navigate", "sec-fetch-mode: cors"), 400, "a web page sent for it"),
    (get(f"/?token={'A' * 140_000}"), 400, "longer than"),
    (get(f"/?token={'A' * 200_000}"), 431, "too long"),
    ("garbage\r\n\r\n", 400, "no request of a browser"),
    (get(f"http://localhost/?token={TOKEN}"), 400, "no request of a browser"),
]


@pytest.mark.parametrize("request_text, status, words", BAD, ids=[f"{row[2]}-{n}" for n, row in enumerate(BAD)])
async def test_a_bad_request_is_explained_and_waiting_goes_on(request_text: str, status: int, words: str) -> None:
    async with serving() as server:
        answer = await send(server, request_text)
        waiting = asyncio.get_running_loop().create_task(server.brought())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert words in answer
        assert "planted" not in answer
        assert TOKEN not in answer
        assert (await send(server, get(f"/?token={TOKEN}"))).startswith("HTTP/1.1 200 ")
        assert found(await asyncio.wait_for(waiting, 60)) == COOKIES


async def test_the_first_session_counts() -> None:
    other = base64.b64encode(json.dumps({"cookies": {"a": "other"}}).encode()).decode()
    async with serving() as server:
        await send(server, get(f"/?token={TOKEN}"))
        await send(server, get(f"/?token={other}"))
        assert found(await server.brought()) == COOKIES


async def test_what_a_request_says_is_shown_escaped() -> None:
    async with serving() as server:
        answer = await send(server, get("/").replace("GET", "<script>x</script>"))
    assert "&lt;script&gt;x&lt;/script&gt;" in answer
    assert "<script" not in answer


async def test_the_page_needs_nothing_and_tells_nobody() -> None:
    async with serving() as server:
        answer = await send(server, get(f"/?token={TOKEN}"))
    head, _, body = answer.partition("\r\n\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["content-length"] == str(len(body))
    assert "You are signed in" in body
    assert not re.search(r"<script|src=|href=|url\(", body)


async def test_a_browser_that_does_not_stay_for_the_page_is_signed_in_all_the_same() -> None:
    async with serving() as server:
        async with raw_client(server.port) as client:
            await client.send(get(f"/?token={TOKEN}").format(port=server.port).encode())
        assert found(await asyncio.wait_for(server.brought(), 60)) == COOKIES


async def test_the_page_comes_when_it_is_known_how_the_sign_in_ended() -> None:
    async with session_callback(API) as server, raw_client(server.port) as client:
        await client.send(get(f"/?token={TOKEN}").format(port=server.port).encode())
        assert found(await asyncio.wait_for(server.brought(), 60)) == COOKIES
        reading = asyncio.get_running_loop().create_task(client.rest())
        await asyncio.sleep(0.05)
        assert not reading.done()
        server.settle()
        await server.__aexit__()
        assert b"You are signed in" in await reading


async def test_a_sign_in_that_fails_is_not_called_one() -> None:
    async with serving("codemie.test does <not> accept it") as server:
        answer = await send(server, get(f"/?token={TOKEN}"))
    assert answer.startswith("HTTP/1.1 400 ")
    assert "You are not signed in" in answer
    assert "does &lt;not&gt; accept it." in answer


async def test_giving_up_waits_for_nobody() -> None:
    async with asyncio.timeout(60), session_callback(API) as server, raw_client(server.port) as client:
        await client.send(get(f"/?token={TOKEN}").format(port=server.port).encode())
        await server.brought()
        await server.__aexit__()
        assert await client.arrived() == b""


async def test_idle_connections_hold_nobody_up() -> None:
    async with asyncio.timeout(60):
        async with serving() as server, raw_client(server.port), raw_client(server.port):
            await send(server, get(f"/?token={TOKEN}"))


async def test_it_listens_on_loopback_alone() -> None:
    async with serving() as server:
        [listening] = server._server.sockets
        assert listening.getsockname() == ("127.0.0.1", server.port)


async def test_a_taken_port_is_named() -> None:
    async with serving() as server:
        with pytest.raises(SettingsError, match=f"--port {server.port} cannot be used .*leave it out"):
            async with session_callback(API, server.port):
                pass


async def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as server:
        for request_text, _, _ in BAD:
            await send(server, request_text)
        await send(server, get(f"/?token={TOKEN}"))
        assert repr(await server.brought()).count("planted") == 0
    assert "planted" not in caplog.text
    assert TOKEN not in caplog.text
