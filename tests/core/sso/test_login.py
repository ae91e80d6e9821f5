"""The sign-in as a whole, against a scripted CodeMie; httpx is the browser."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import get_args

import httpx
import pytest
from pydantic import SecretStr

from codemie_core.demo.absent import closed_port
from codemie_core.demo.script import Cut, Step
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.sso.login import AUTH_STATUS, UNDATED_SECONDS, SignIn, SignInFailed, first_line
from codemie_core.sso.store import CredentialStore
from codemie_core.web import client_for
from support.codemie_backend import ACCESS, EMAIL, CodemieBackend, ExpiredAs, make_jwt


@pytest.fixture
def backend() -> Iterator[CodemieBackend]:
    with CodemieBackend() as scripted:
        yield scripted


class Room:
    """A sign-in and what is around it."""

    def __init__(self, url: str, home: Path, client: httpx.AsyncClient) -> None:
        self.places, self.said = Places(home), list[str]()
        self.store = CredentialStore(self.places)
        self.sign_in = SignIn(url, self.places, self.store, client, self.said.append)
        self.client, self.url = client, url
        self.page = ""

    async def browse(self, address: str) -> bool:
        """Go through the login page to the callback."""
        done = await self.client.post(f"{address}/done")
        self.page = (await self.client.get(done.headers["location"])).text
        return True

    def stored(self) -> dict[str, str]:
        session = self.store.read(self.url, "sso")
        return {name: value.get_secret_value() for name, value in session.cookies.items()} if session else {}


@pytest.fixture
async def room(backend: CodemieBackend, codemie_home: Path) -> AsyncIterator[Room]:
    async with client_for(backend.url, Places(codemie_home), {}) as client:
        yield Room(backend.url, codemie_home, client)


async def typed(*lines: str, forever: bool = True) -> AsyncGenerator[str, None]:
    for line in lines:
        yield line
    if forever:
        await asyncio.get_running_loop().create_future()


def payload(cookies: object) -> str:
    return base64.b64encode(json.dumps({"cookies": cookies}).encode()).decode()


async def test_a_note_that_cannot_be_removed_costs_no_sign_in(room: Room, backend: CodemieBackend) -> None:
    room.places.ensure_private(room.places.home / AUTH_STATUS)
    done = await room.sign_in.with_browser(room.browse, None)
    assert Path(done.stored).is_file()


async def test_the_browser_signs_in_and_the_session_is_kept(room: Room, backend: CodemieBackend) -> None:
    room.places.ensure_private(room.places.home)
    status = room.places.home / AUTH_STATUS
    status.write_text('{"status":"invalid"}')
    before = time.time()
    done = await room.sign_in.with_browser(room.browse, None)
    [cookies] = backend.sessions.values()
    assert (done.who, done.verified) == (EMAIL, True)
    assert room.stored() == cookies
    assert Path(done.stored).is_file()
    assert done.session.api_url == backend.api_url
    assert done.session.expires_at is not None
    # Its end is told in whole seconds.
    assert before - 1 <= done.session.expires_at - backend.lifetime <= time.time()
    assert not status.exists()
    assert f"{backend.api_url}/v1/auth/login/" in room.said[0]
    assert not any(value in " ".join(room.said) for value in cookies.values())


async def test_the_port_of_the_address_is_the_one_that_was_asked_for(room: Room) -> None:
    port = closed_port()
    await room.sign_in.with_browser(room.browse, None, port)
    assert f"/v1/auth/login/{port}" in room.said[0]


async def test_a_pasted_address_does_what_the_browser_would(room: Room, backend: CodemieBackend) -> None:
    cookies = backend.sign_in()
    done = await room.sign_in.with_browser(None, typed("", backend.callback_url(1234, cookies)))
    assert room.stored() == cookies
    assert done.who == EMAIL


async def test_after_a_bad_paste_one_may_paste_again(room: Room, backend: CodemieBackend) -> None:
    cookies = backend.sign_in()
    await room.sign_in.with_browser(None, typed("planted rubbish!", payload(cookies)))
    assert room.stored() == cookies
    assert "What you pasted cannot be used: it is no base64" in room.said[-1]
    assert "planted" not in " ".join(room.said)


async def test_the_browser_still_counts_when_the_terminal_has_gone(room: Room) -> None:
    await room.sign_in.with_browser(room.browse, typed(forever=False))
    assert room.stored()


async def test_without_a_browser_one_is_told_to_open_the_address(room: Room, backend: CodemieBackend) -> None:
    async def none(address: str) -> bool:
        return False

    with pytest.raises(SignInFailed, match=r"nobody signed in within 0.3 seconds; run it again, with --timeout"):
        await room.sign_in.with_browser(none, None, timeout=0.3)
    assert "No browser could be opened" in room.said[-1]
    assert not room.stored()
    assert not room.places.credentials.exists()


@pytest.mark.parametrize("shown_as", get_args(ExpiredAs.__value__))
async def test_a_session_that_codemie_refuses_is_not_kept(
    shown_as: ExpiredAs, room: Room, backend: CodemieBackend
) -> None:
    backend.expired_as = shown_as
    cookies = backend.sign_in()
    backend.expire(cookies)
    with pytest.raises(SignInFailed, match="does not accept this session; nothing was stored"):
        await room.sign_in.with_browser(None, typed(payload(cookies)))
    assert not room.places.credentials.exists()


async def test_the_page_in_the_browser_says_how_it_ended(room: Room, backend: CodemieBackend) -> None:
    loop, pages = asyncio.get_running_loop(), list[asyncio.Task[bool]]()

    async def apart(address: str) -> bool:
        pages.append(loop.create_task(room.browse(address)))
        return True

    await room.sign_in.with_browser(apart, None)
    await pages.pop()
    assert "You are signed in" in room.page
    backend.answers["/v1/user"] = Step(status=401)
    with pytest.raises(SignInFailed):
        await room.sign_in.with_browser(apart, None)
    await pages.pop()
    assert "You are not signed in" in room.page
    assert "does not accept this session" in room.page


@pytest.mark.parametrize("step", [Step(status=503), Step(cut=Cut.RESET)])
async def test_a_hiccup_of_codemie_does_not_cost_a_sign_in(step: Step, room: Room, backend: CodemieBackend) -> None:
    backend.answers["/v1/user"] = backend.answers["/config.js"] = step
    done = await room.sign_in.with_browser(room.browse, None)
    assert (done.verified, done.who) == (False, EMAIL)
    assert room.stored()


async def test_a_session_that_is_over_already_is_not_kept(room: Room, backend: CodemieBackend) -> None:
    with pytest.raises(SignInFailed, match="was over before it came"):
        await room.sign_in.with_browser(None, typed(payload(backend.sign_in(lifetime=-10))))
    assert not room.places.credentials.exists()


async def test_a_session_without_an_end_is_believed_for_a_day(room: Room, backend: CodemieBackend) -> None:
    cookies = {ACCESS: "planted-opaque"}
    backend.sessions["planted-opaque"] = cookies
    before = time.time()
    done = await room.sign_in.with_browser(None, typed(payload(cookies)))
    assert done.session.expires_at is not None
    assert before <= done.session.expires_at - UNDATED_SECONDS <= time.time()


async def test_the_api_is_where_config_js_says(room: Room, backend: CodemieBackend) -> None:
    backend.config_api_url = f"{backend.url}/moved"
    assert (await room.sign_in.with_browser(room.browse, None)).session.api_url == f"{backend.url}/moved"


async def test_one_line_of_a_pipe_is_enough(room: Room, backend: CodemieBackend) -> None:
    cookies = backend.sign_in()
    await room.sign_in.with_line(typed(backend.callback_url(1, cookies)))
    assert room.stored() == cookies


@pytest.mark.parametrize(
    "lines, forever, timeout, problem",
    [
        (("planted!",), True, 60.0, "the line on standard input cannot be used: it is no base64"),
        ((), False, 60.0, "standard input ended without the address"),
        ((), True, 0.1, "standard input did not bring the address .* within 0.1 seconds"),
    ],
)
async def test_a_pipe_without_a_session_is_an_error(
    lines: tuple[str, ...], forever: bool, timeout: float, problem: str, room: Room
) -> None:
    with pytest.raises(SignInFailed, match=problem) as error:
        await room.sign_in.with_line(typed(*lines, forever=forever), timeout=timeout)
    assert "planted" not in str(error.value)


async def test_a_jwt_is_verified_and_kept_as_such(room: Room, backend: CodemieBackend) -> None:
    token = backend.sign_in()[ACCESS]
    done = await room.sign_in.with_token(SecretStr(token))
    kept = room.store.read(backend.url, "jwt")
    assert done.verified
    assert kept is not None
    assert kept.token is not None
    assert kept.token.get_secret_value() == token
    assert kept.api_url == backend.api_url
    assert room.store.read(backend.url, "sso") is None


@pytest.mark.parametrize(
    "token, problem",
    [
        ("planted", "no JWT: it must have three parts"),
        ("", "no JWT: it must have three parts"),
        ("planted.a b.c", "the JWT cannot be used: "),
        (make_jwt(EMAIL, 1.0), "was over before it came"),
        (make_jwt(EMAIL, 9e9), "does not accept this session"),
    ],
)
async def test_a_jwt_that_cannot_sign_anybody_in_is_not_kept(token: str, problem: str, room: Room) -> None:
    with pytest.raises(SignInFailed, match=problem) as error:
        await room.sign_in.with_token(SecretStr(token))
    assert "planted" not in str(error.value)
    assert not room.places.credentials.exists()


def test_an_address_that_would_carry_a_session_in_the_clear_is_refused(codemie_home: Path) -> None:
    places = Places(codemie_home)
    with pytest.raises(SettingsError, match="must begin with https://"):
        SignIn("http://codemie.test", places, CredentialStore(places), httpx.AsyncClient(), print)


async def test_empty_lines_are_no_answer() -> None:
    assert await first_line(typed("", "", "abc"), 60, "it") == "abc"
