"""Agents before a CodeMie that wants a session: signed while there is one, told what to run when there is none."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anthropic
import httpx
import openai
import pytest
from pydantic import SecretStr

from codemie_core.demo.script import Step
from codemie_core.places import Places
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from support import certificates
from support.certificates import Authority, ca_of
from support.clients import Http1, Http2
from support.codemie_backend import CodemieBackend, ExpiredAs, make_jwt
from support.proxy import Mitmproxy, failing_start
from support.signing import DUMMIES, SCRIPTS, cookie_of, keep, sign_in, signing
from support.websocket import WebSocketClient

PATIENCE = 60.0
WAYS: tuple[ExpiredAs, ...] = ("redirect", "401", "403", "html")
UPGRADE = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "cGxhbnRlZC1ub25jZS0xMg=="),
]
PAGE = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<html>no</html>"


@pytest.fixture
def backend() -> Iterator[CodemieBackend]:
    with CodemieBackend() as running:
        yield running


@pytest.fixture
def proxy(backend: CodemieBackend) -> Iterator[Mitmproxy]:
    with signing(backend) as running:
        yield running


def claude(proxy: Mitmproxy) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=proxy.url, api_key="proxy-handled", max_retries=0, timeout=PATIENCE)


def gpt(proxy: Mitmproxy) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="proxy-handled", max_retries=0, timeout=PATIENCE)


def hello(proxy: Mitmproxy) -> str:
    with claude(proxy) as client:
        message = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])
    return message.type


def ask(proxy: Mitmproxy, method: str = "POST", path: str = "/v1/messages", **kwargs: object) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=PATIENCE, headers=DUMMIES) as client:
        return client.request(method, f"{proxy.url}{path}", **kwargs)  # type: ignore[arg-type] # handed on as they are


def refusal(proxy: Mitmproxy) -> str:
    """What the person in front of the agent reads."""
    with pytest.raises(anthropic.AuthenticationError) as raised:
        hello(proxy)
    body = raised.value.body
    assert isinstance(body, dict)
    assert body["error"]["type"] == "authentication_error"
    message: str = body["error"]["message"]
    return message


def test_every_model_api_is_signed_streaming_and_not(backend: CodemieBackend, proxy: Mitmproxy) -> None:
    cookies = sign_in(backend)
    with claude(proxy) as client:
        assert client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]).content
        with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as stream:
            assert "".join(stream.text_stream)
    with gpt(proxy) as other:
        assert other.responses.create(model="m", input="Hi").output_text
        assert [event.type for event in other.responses.create(model="m", input="Hi", stream=True)]
        assert other.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).choices
        assert list(other.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}], stream=True))
    assert [request.path for request in backend.requests] == [
        *["/v1/messages"] * 2,
        *["/v1/responses"] * 2,
        *["/v1/chat/completions"] * 2,
    ]
    for request in backend.requests:
        assert request.signed
        assert request.all("cookie") == [cookie_of(cookies)]
        assert "proxy-handled" not in str(request.headers)


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/v1/metrics"),
        ("PUT", "/v1/conversations/c-1/history"),
        ("GET", "/v1/llm_models?include_all=true"),
        ("GET", "/v1/user"),
        ("GET", "/code-assistant-api/v1/user"),
    ],
)
def test_codemies_own_calls_are_signed_too(backend: CodemieBackend, proxy: Mitmproxy, method: str, path: str) -> None:
    cookies = sign_in(backend)
    answer = ask(proxy, method, path, json={} if method != "GET" else None)
    assert answer.status_code == 200, answer.text
    [request] = backend.requests
    assert request.all("cookie") == [cookie_of(cookies)]
    assert "planted-dummy" not in str(request.headers)


def test_without_a_session_nothing_leaves_and_the_error_names_the_command(
    backend: CodemieBackend, proxy: Mitmproxy
) -> None:
    message = refusal(proxy)
    command = f"codemie-proxy auth login --url {backend.api_url}"
    assert f"is missing. Run: {command} (no restart is needed)." in message
    with pytest.raises(openai.AuthenticationError, match="codemie-proxy auth login"), gpt(proxy) as client:
        client.responses.create(model="m", input="Hi")
    assert ask(proxy, "GET", "/v1/user").json()["error"]["code"] == "AUTH_FAILED"
    assert backend.requests == []
    assert "codemie-proxy auth login" in proxy.log, "told once at the start, too"
    sign_in(backend)
    assert hello(proxy) == "message"


def test_a_session_replaced_while_the_proxy_runs_is_used_without_a_restart(
    backend: CodemieBackend, proxy: Mitmproxy
) -> None:
    sign_in(backend)
    assert hello(proxy) == "message"
    second = sign_in(backend)
    deadline = time.monotonic() + PATIENCE
    while backend.requests[-1].header("cookie") != cookie_of(second):
        assert time.monotonic() < deadline
        assert hello(proxy) == "message"
    assert all(request.signed for request in backend.requests)


def test_after_a_logout_nothing_is_signed_any_more(backend: CodemieBackend, proxy: Mitmproxy) -> None:
    stored = keep(backend, backend.sign_in())
    assert hello(proxy) == "message"
    stored.unlink()
    deadline = time.monotonic() + PATIENCE
    while ask(proxy).status_code != 401:
        assert time.monotonic() < deadline
    assert "is missing" in refusal(proxy)


@pytest.mark.parametrize("how", ["stored time", "exp of the JWT"])
def test_a_session_that_ends_in_mid_day_is_not_sent_any_more(
    backend: CodemieBackend, proxy: Mitmproxy, how: str
) -> None:
    for lifetime in (2, 10, 30):
        if how == "stored time":
            keep(backend, backend.sign_in(), expires_at=time.time() + lifetime)
        else:
            sign_in(backend, lifetime)
        # A busy machine may come too late for a short one.
        if (first := ask(proxy).status_code) == 200:
            break
    assert first == 200
    deadline = time.monotonic() + PATIENCE
    while ask(proxy).status_code == 200:
        assert time.monotonic() < deadline
    sent = len(backend.requests)
    message = refusal(proxy)
    assert "has expired. Run: codemie-proxy auth login" in message
    assert len(backend.requests) == sent, "the backend would still have taken it"


@pytest.mark.parametrize("way", WAYS)
def test_a_session_that_the_backend_ends_in_mid_day_becomes_one_clear_error(
    backend: CodemieBackend, proxy: Mitmproxy, way: ExpiredAs
) -> None:
    cookies = sign_in(backend)
    assert hello(proxy) == "message"
    backend.expire(cookies)
    backend.expired_as = way
    assert "has expired. Run: codemie-proxy auth login" in refusal(proxy)
    with pytest.raises(openai.AuthenticationError, match="no restart is needed"), gpt(proxy) as client:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}], stream=True)
    head = ask(proxy, "HEAD", "/v1/user")
    assert (head.status_code, head.content) == (401, b"")
    sign_in(backend)
    assert hello(proxy) == "message"


@pytest.mark.parametrize("way", ["redirect", "401", "403"])
async def test_a_websocket_handshake_with_an_ended_session_is_refused_in_json(
    backend: CodemieBackend, proxy: Mitmproxy, way: ExpiredAs
) -> None:
    cookies = sign_in(backend)
    async with WebSocketClient(proxy.port, "/v1/responses") as socket:
        await socket.say('{"type": "response.create"}')
        assert await socket.hear()
    assert backend.requests[-1].all("cookie") == [cookie_of(cookies)]
    backend.expire(cookies)
    backend.expired_as = way
    async with asyncio.timeout(PATIENCE), Http1(proxy.port) as client:
        answer = await client.ask("GET", "/v1/responses", UPGRADE)
    assert (answer.status, answer.header("content-type")) == (401, "application/json")
    assert "codemie-proxy auth login" in json.loads(answer.body)["error"]["message"]


async def test_a_page_instead_of_a_websocket_is_refused_in_json() -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PAGE)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        session = Session(url, {"planted": SecretStr("planted-1")})
        CredentialStore(Places.from_env(os.environ)).write(url, session)
        with Mitmproxy("--mode", f"reverse:{url}", scripts=SCRIPTS, options={"codemie_sso_auth_url": url}) as proxy:
            async with asyncio.timeout(PATIENCE), Http1(proxy.port) as client:
                answer = await client.ask("GET", "/v1/responses", UPGRADE)
    assert (answer.status, answer.header("content-type")) == (401, "application/json")


@pytest.mark.parametrize("status", [401, 403])
def test_a_session_renewed_between_attempt_and_answer_saves_the_very_same_request(
    backend: CodemieBackend, proxy: Mitmproxy, status: int
) -> None:
    first = sign_in(backend)
    hold = backend.gate()
    backend.answers["/v1/messages"] = Step(status=status, body="{}", hold=hold)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(hello, proxy)
        backend.wait_requests(1, PATIENCE)
        second = sign_in(backend)
        del backend.answers["/v1/messages"]
        backend.call(hold.open)
        assert asked.result(PATIENCE) == "message"
    assert [request.header("cookie") for request in backend.requests] == [cookie_of(first), cookie_of(second)]


def test_twenty_requests_at_once_survive_a_change_of_the_session(backend: CodemieBackend, proxy: Mitmproxy) -> None:
    first = sign_in(backend)
    assert hello(proxy) == "message"
    sign_in(backend)
    backend.expire(first)
    with ThreadPoolExecutor(20) as pool:
        found = [task.result(PATIENCE) for task in [pool.submit(hello, proxy) for _ in range(20)]]
    assert found == ["message"] * 20


DENIED = b'{"error": {"message": "This model is not for you"},   "odd": "\xc3\xa9"}'


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_403_of_a_good_session_passes_byte_for_byte(tls: bool, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = {"codemie_upstream_attempts_ca_file": authority.pem}
    with CodemieBackend(tls=authority.server() if tls else None) as backend, signing(backend, options=options) as proxy:
        sign_in(backend)
        headers = [("content-type", "application/json; odd"), ("X-Odd", "one"), ("set-cookie", "planted=rotated")]
        backend.answers["/v1/messages"] = Step(status=403, body=DENIED, headers=headers)
        trusted = certificates.client(ca_of(proxy.confdir)) if tls else False
        url = proxy.url.replace("http://127.0.0.1", "https://localhost") if tls else proxy.url
        with httpx.Client(trust_env=False, verify=trusted, timeout=PATIENCE) as client:
            answers = [client.post(f"{url}/v1/messages", json={}) for _ in range(3)]
        for answer in answers:
            assert (answer.status_code, answer.content) == (403, DENIED)
            assert answer.headers["content-type"] == "application/json; odd"
            assert answer.headers["x-odd"] == "one"
            assert "set-cookie" not in answer.headers
        assert [request.path for request in backend.requests].count("/v1/user") == 1, "the verdict is remembered"


def test_a_403_counts_as_expired_where_nobody_shall_ask(backend: CodemieBackend) -> None:
    with signing(backend, options={"codemie_sso_auth_verify_403": False}) as proxy:
        sign_in(backend)
        backend.answers["/v1/messages"] = Step(status=403, body=DENIED)
        assert "has expired" in refusal(proxy)
    assert [request.path for request in backend.requests] == ["/v1/messages"]


def test_the_gateways_cookies_stay_with_us(backend: CodemieBackend, proxy: Mitmproxy) -> None:
    sign_in(backend)
    backend.script(Step(headers=[("set-cookie", "planted=1"), ("Set-Cookie", "planted=2"), ("x-kept", "yes")]))
    answer = ask(proxy, json={"model": "m"})
    assert (answer.status_code, answer.headers["x-kept"]) == (200, "yes")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("damage", ["garbage", "unreadable"])
def test_a_store_that_cannot_be_read_is_a_401_with_the_fix(backend: CodemieBackend, damage: str) -> None:
    stored = keep(backend, backend.sign_in())
    if damage == "garbage":
        stored.write_text("no cipher text")
    else:
        stored.unlink()
        stored.mkdir()
    with signing(backend) as proxy:
        assert "cannot be read. Run: codemie-proxy auth login" in refusal(proxy)
        proxy.wait_for_log(f"{stored}: the credential cannot be used")
        if damage == "unreadable":
            stored.rmdir()
        sign_in(backend)
        assert hello(proxy) == "message"


async def test_many_cookie_headers_of_an_http2_client_become_one(backend: CodemieBackend, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = {"codemie_upstream_attempts_ca_file": authority.pem}
    with CodemieBackend(tls=authority.server()) as secure, signing(secure, options=options) as proxy:
        cookies = await asyncio.to_thread(sign_in, secure)
        several = [("cookie", "a=planted-dummy"), ("cookie", "b=planted-dummy"), ("Authorization", "planted-dummy")]
        for offers in ("h2",), ("http/1.1",):
            tls = certificates.client(ca_of(proxy.confdir), *offers)
            async with Http2(proxy.port, tls) if offers == ("h2",) else Http1(proxy.port, tls) as client:
                answer = await client.ask("POST", "/v1/messages", several, b'{"model": "m"}')
            assert answer.status == 200
            [version] = {secure.requests[-1].received.http_version}
            assert version == ("2" if offers == ("h2",) else "1.1")
            assert secure.requests[-1].all("cookie") == [cookie_of(cookies)]
            assert "planted-dummy" not in str(secure.requests[-1].headers)


def profile(home: Path, **values: object) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "codemie-cli.config.json").write_text(json.dumps(values))


def test_a_profile_alone_says_where_and_its_name_is_in_the_command(backend: CodemieBackend, codemie_home: Path) -> None:
    profiles = {name: {"provider": "ai-run-sso", "baseUrl": backend.api_url} for name in ("usual", "at work")}
    profile(codemie_home, version=2, activeProfile="usual", profiles=profiles)
    named = {"codemie_profile": "at work"}
    for options, command in ({}, "codemie-proxy auth login"), (named, "codemie-proxy auth login --profile 'at work'"):
        with Mitmproxy("--mode", f"reverse:{backend.url}", scripts=SCRIPTS, options=options) as proxy:
            assert f"Run: {command} (no restart is needed)." in refusal(proxy)


def test_a_jwt_of_the_environment_signs_and_its_end_names_the_variable(
    backend: CodemieBackend, codemie_home: Path
) -> None:
    profile(codemie_home, provider="bearer-auth", baseUrl=backend.api_url, authMethod="jwt")
    token = next(iter(backend.sign_in().values()))
    with Mitmproxy("--mode", f"reverse:{backend.url}", scripts=SCRIPTS, env={"CODEMIE_JWT_TOKEN": token}) as proxy:
        assert hello(proxy) == "message"
        assert ask(proxy, json={"model": "m"}).status_code == 200
        for request in backend.requests:
            assert request.all("authorization") == [f"Bearer {token}"]
            assert "planted-dummy" not in str(request.headers)
            assert request.header("cookie") is None
    over = make_jwt("ada", time.time() - 1)
    with Mitmproxy("--mode", f"reverse:{backend.url}", scripts=SCRIPTS, env={"CODEMIE_JWT_TOKEN": over}) as proxy:
        assert "has expired. Put a new token into CODEMIE_JWT_TOKEN and restart the proxy." in refusal(proxy)
        assert over not in proxy.log


@pytest.mark.parametrize("source", ["option", "profile"])
def test_a_gateway_over_plain_http_stops_the_start_with_the_fix(codemie_home: Path, source: str) -> None:
    url = "http://codemie.example.com/code-assistant-api"
    options = {"codemie_sso_auth_url": url} if source == "option" else {}
    if source == "profile":
        profile(codemie_home, provider="ai-run-sso", baseUrl=url)
    code, log = failing_start("--mode", "reverse:https://codemie.example.com", scripts=SCRIPTS, options=options)
    assert code != 0
    key = "codemie_sso_auth_url" if source == "option" else "gateway_url"
    assert f"{key}: '{url}' would carry the session unencrypted: begin it with https://" in log
    assert "Traceback" not in log


def test_a_folder_that_says_where_a_token_goes_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: CodemieBackend
) -> None:
    profile(tmp_path / ".codemie", provider="bearer-auth", baseUrl=backend.api_url, authMethod="jwt")
    monkeypatch.chdir(tmp_path)
    token = next(iter(backend.sign_in().values()))
    code, log = failing_start(
        "--mode", f"reverse:{backend.url}", scripts=SCRIPTS, env={**os.environ, "CODEMIE_JWT_TOKEN": token}
    )
    assert code != 0
    assert "says where requests go, and a folder's file may come from anyone" in log
    assert token not in log
    assert backend.requests == []
