"""What CodeMie's backend says about a session, asked over real HTTP."""

import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import get_args

import brotli  # type: ignore[import-untyped]  # ships no type information
import httpx
import pytest
from pydantic import SecretStr

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import COMMENT
from codemie_core.demo.script import Cut, Step
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.sso.backend import Backend, Verdict, api_base
from codemie_core.sso.session import Session
from codemie_core.web import client_for
from support.codemie_backend import EMAIL, CodemieBackend, ExpiredAs, make_jwt


@pytest.fixture
def backend() -> Iterator[CodemieBackend]:
    with CodemieBackend() as scripted:
        yield scripted


@pytest.fixture
async def client(codemie_home: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for("http://127.0.0.1", Places(codemie_home), {}, timeout=60) as made:
        yield made


def session_of(backend: CodemieBackend, cookies: dict[str, str] | None = None) -> Session:
    found = backend.sign_in() if cookies is None else cookies
    return Session(backend.api_url, {name: SecretStr(value) for name, value in found.items()})


@pytest.mark.parametrize(
    "url, base",
    [
        ("https://codemie.test", "https://codemie.test/code-assistant-api"),
        ("https://codemie.test/", "https://codemie.test/code-assistant-api"),
        (" https://CodeMie.test:443 ", "https://codemie.test/code-assistant-api"),
        ("https://codemie.test/code-assistant-api", "https://codemie.test/code-assistant-api"),
        ("https://codemie.test/code-assistant-api/", "https://codemie.test/code-assistant-api"),
        ("https://codemie.test/code-assistant-api/v1", "https://codemie.test/code-assistant-api"),
        ("https://codemie.test/eu", "https://codemie.test/eu/code-assistant-api"),
        ("https://code-assistant-api/", "https://code-assistant-api/code-assistant-api"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/code-assistant-api"),
        ("http://localhost:8080", "http://localhost:8080/code-assistant-api"),
    ],
)
def test_the_api_is_below_the_gateways_path(url: str, base: str) -> None:
    assert api_base(url) == base


@pytest.mark.parametrize(
    "url, problem",
    [
        ("http://codemie.test", "must begin with https://"),
        ("codemie.test", "must be like https://host"),
        ("https://me:planted@codemie.test", "must be like https://host"),
        ("https://codemie.test/?planted=1", "must be like https://host"),
        ("ftp://codemie.test", "must be like https://host"),
        ("https://" + "\u00e4" * 70 + ".test", "must be like https://host"),
    ],
)
def test_no_session_is_asked_of_an_unsafe_address(url: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as error:
        api_base(url)
    assert "planted" not in str(error.value)


async def test_a_valid_session_has_a_name(backend: CodemieBackend, client: httpx.AsyncClient) -> None:
    assert await Backend(backend.api_url, client).check(session_of(backend)) == (Verdict.VALID, EMAIL)
    [asked] = backend.requests
    assert (asked.method, asked.path, asked.signed) == ("GET", "/v1/user", True)


async def test_a_jwt_is_checked_as_bearer(backend: CodemieBackend, client: httpx.AsyncClient) -> None:
    token = SecretStr(backend.sign_in()["codemie_access_token"])
    session = Session(backend.api_url, token=token)
    assert await Backend(backend.api_url, client).check(session) == (Verdict.VALID, EMAIL)
    assert backend.requests[0].header("cookie") is None


@pytest.mark.parametrize("shown_as", get_args(ExpiredAs.__value__))
async def test_an_expired_session_is_seen_however_it_shows(
    shown_as: ExpiredAs, backend: CodemieBackend, client: httpx.AsyncClient
) -> None:
    backend.expired_as = shown_as
    cookies = backend.sign_in()
    backend.expire(cookies)
    assert await Backend(backend.api_url, client).check(session_of(backend, cookies)) == (Verdict.EXPIRED, None)
    assert len(backend.requests) == 1


@pytest.mark.parametrize(
    "step",
    [
        Step(status=500),
        Step(status=503, body="<html>", headers=[("content-type", "text/html")]),
        Step(status=404),
        Step(status=429),
        Step(body="no json"),
        Step(body=b""),
        Step(body="[" * 100_000),
        Step(cut=Cut.RESET),
        Step(raw=b"garbage\r\n\r\n"),
    ],
    ids=["500", "503 html", "404", "429", "text", "empty", "deep", "reset", "garbage"],
)
async def test_what_says_nothing_about_the_session_is_unknown(
    step: Step, backend: CodemieBackend, client: httpx.AsyncClient
) -> None:
    backend.answers["/v1/user"] = step
    assert await Backend(backend.api_url, client).check(session_of(backend)) == (Verdict.UNKNOWN, None)


async def test_a_backend_that_is_not_there_says_nothing(backend: CodemieBackend, client: httpx.AsyncClient) -> None:
    api_url = f"http://127.0.0.1:{closed_port()}/code-assistant-api"
    session = Session(api_url, {"a": SecretStr("b")})
    assert await Backend(api_url, client).check(session) == (Verdict.UNKNOWN, None)


@pytest.mark.parametrize(
    "user, name",
    [
        ('{"name": "Ada"}', "Ada"),
        ('{"email": "", "username": "ada"}', "ada"),
        ('{"email": "\\u001b[2J", "user_id": "u-1"}', "u-1"),
        ("{}", None),
        ("[]", None),
    ],
)
async def test_who_it_is_is_never_more_than_printable(
    user: str, name: str | None, backend: CodemieBackend, client: httpx.AsyncClient
) -> None:
    backend.answers["/v1/user"] = Step(body=user)
    assert await Backend(backend.api_url, client).check(session_of(backend)) == (Verdict.VALID, name)


async def test_an_endless_answer_is_not_read_to_its_end(backend: CodemieBackend, client: httpx.AsyncClient) -> None:
    backend.answers["/v1/user"] = step = Step(big=32 * 1024 * 1024)
    assert await Backend(backend.api_url, client).check(session_of(backend)) == (Verdict.UNKNOWN, None)
    assert step.sent_events * 16384 < 16 * 1024 * 1024


@pytest.mark.parametrize("coding, packed", [("gzip", gzip.compress), ("br", brotli.compress)])
async def test_an_answer_that_unpacks_without_end_is_not_unpacked_to_its_end(
    coding: str, packed: Callable[[bytes], bytes], backend: CodemieBackend, client: httpx.AsyncClient
) -> None:
    bomb = packed(b" " * (64 * 1024 * 1024) + b'{"name": "Ada"}')
    headers = [("content-type", "application/json"), ("content-encoding", coding)]
    backend.answers["/v1/user"] = Step(body=bomb, headers=headers)
    tracemalloc.start()
    try:
        assert await Backend(backend.api_url, client).check(session_of(backend)) == (Verdict.UNKNOWN, None)
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding, name", [("gzip", "Ada"), ("x-own", None)])
async def test_an_answer_that_is_packed_unasked_is_read_where_its_coding_is_known(
    coding: str, name: str | None, backend: CodemieBackend, client: httpx.AsyncClient
) -> None:
    headers = [("content-type", "application/json"), ("content-encoding", coding)]
    backend.answers["/v1/user"] = Step(body=gzip.compress(b'{"name": "Ada"}'), headers=headers)
    assert await Backend(backend.api_url, client).check(session_of(backend)) == (
        Verdict.VALID if name else Verdict.UNKNOWN,
        name,
    )


async def test_an_answer_in_drops_is_given_up(backend: CodemieBackend, client: httpx.AsyncClient) -> None:
    drops = Step(events=[COMMENT] * 100, interval=0.02, headers=[("content-type", "text/html")])
    backend.answers["/v1/user"] = backend.answers["/config.js"] = drops
    asked, session = Backend(backend.api_url, client, timeout=0.2), session_of(backend)
    assert await asked.check(session) == (Verdict.UNKNOWN, None)
    assert await asked.api_url_of(session) == backend.api_url


@pytest.mark.parametrize(
    "named, taken",
    [
        ("{root}/code-assistant-api", "{root}/code-assistant-api"),
        ("{root}/other/api/", "{root}/other/api"),
        ("/other", "{root}/other"),
        ("https://elsewhere.test/code-assistant-api", None),
        ("http://localhost:{port}/code-assistant-api", None),
        ("http://127.0.0.1:1/code-assistant-api", None),
        ("//elsewhere.test/api", None),
        ("http://me:planted@127.0.0.1:{port}/api", None),
        ("javascript:alert(1)", None),
        ("{root}/api?x=1", None),
    ],
)
async def test_the_api_may_move_on_its_own_host_only(
    named: str, taken: str | None, backend: CodemieBackend, client: httpx.AsyncClient
) -> None:
    places = {"root": backend.url, "port": backend.port}
    backend.config_api_url = named.format(**places)
    wanted = backend.api_url if taken is None else taken.format(**places)
    assert await Backend(backend.api_url, client).api_url_of(session_of(backend)) == wanted


@pytest.mark.parametrize("step", [Step(status=404), Step(body="nothing in it"), Step(cut=Cut.RESET)])
async def test_without_a_usable_config_js_the_api_is_where_it_was(
    step: Step, backend: CodemieBackend, client: httpx.AsyncClient
) -> None:
    backend.answers["/config.js"] = step
    assert await Backend(backend.api_url, client).api_url_of(session_of(backend)) == backend.api_url


async def test_a_session_of_another_host_is_not_sent_here(backend: CodemieBackend, client: httpx.AsyncClient) -> None:
    session = Session("https://elsewhere.test/api", token=SecretStr(make_jwt(EMAIL, 9e9)))
    asked = Backend(backend.api_url, client)
    assert await asked.check(session) == (Verdict.UNKNOWN, None)
    assert await asked.api_url_of(session) == backend.api_url
    assert backend.requests == []
