"""HTTPS_PROXY: model calls go where rules send them, control calls stay with the vendor, and no key goes astray."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anthropic
import openai
import pytest
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets

from codemie_core.demo.received import Received
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from codemie_core.places import Places
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from support.clients import Headers, Http1, Http2
from support.intercepting import Intercepting, intercepting
from support.stored import StoredHome
from support.websocket import WebSocketClient

CLAUDE, OPENAI, CHATGPT = "api.anthropic.com", "api.openai.com", "chatgpt.com"
GATEWAY, ANYWHERE, PREFIX = "gateway.test", "anywhere.test", "/code-assistant-api"
OWN = [
    ("authorization", "Bearer planted-own-1"),
    ("x-api-key", "planted-own-2"),
    ("x-goog-api-key", "planted-own-3"),
    ("api-key", "planted-own-4"),
    ("cookie", "sid=planted-own-5"),
    ("chatgpt-account-id", "planted-own-6"),
]
BODY = json.dumps({"model": "m", "messages": []}).encode()
HOSTS = (CLAUDE, OPENAI, CHATGPT, GATEWAY, ANYWHERE, "vendor.test")
CLAUDE_OAUTH = [
    ("authorization", "Bearer sk-ant-oat01-planted-own"),
    ("anthropic-beta", "oauth-2025-04-20"),
    ("anthropic-version", "2023-06-01"),
    ("user-agent", "claude-cli/2.1.197 (external, cli)"),
]
CODEX_CHATGPT = [
    ("authorization", "Bearer planted-own-jwt"),
    ("chatgpt-account-id", "planted-own-account"),
    ("originator", "codex_exec"),
]


def signed_in(home: Path) -> dict[str, object]:
    """A session for the gateway, an account for each vendor, and rules for two hosts."""
    url = f"https://{GATEWAY}{PREFIX}"
    CredentialStore(Places(home)).write(url, Session(url, {"codemie": SecretStr("planted-session")}))
    stored = StoredHome(home, {"CODEMIE_KEYRING": "0"})
    stored.key("claude", f"https://{CLAUDE}", "planted-claude", provider="anthropic-compatible")
    stored.key("chatgpt", f"https://{CHATGPT}", "planted-chatgpt", provider="openai-compatible")
    rules = [f"{OPENAI}={url}", f"vendor.test=https://{ANYWHERE}/base"]
    return {"codemie_sso_auth_url": url, "codemie_retargeting_rules": rules}


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intercepting]:
    folder = tmp_path_factory.mktemp("retargeting")
    with intercepting(folder, signed_in) as found:
        yield found


@asynccontextmanager
async def world(regular: Intercepting) -> AsyncIterator[dict[str, Upstream]]:
    """The vendors, the gateway and another host, each a server of its own."""
    places = {name: Upstream(regular.authority.server(name)) for name in HOSTS}
    places[GATEWAY] = Upstream(regular.authority.server(GATEWAY), prefix=PREFIX)
    places[ANYWHERE] = Upstream(regular.authority.server(ANYWHERE), prefix="/base")
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        for place in places.values():
            await stack.enter_async_context(place)
        ports = {name.replace(".", "_"): place.port for name, place in places.items()}
        await stack.enter_async_context(regular.world(**ports))
        yield places


async def ask(
    regular: Intercepting, host: str, method: str, path: str, headers: Headers = OWN, body: bytes = BODY
) -> int:
    async with Http1(regular.proxy.port, regular.trusting_us(), f"{host}:443") as client:
        return (await client.ask(method, path, headers, body if method == "POST" else b"")).status


def planted(request: Received) -> set[str]:
    """Whose secrets it holds."""
    text = f"{request.target} {request.headers}"
    return {name for name in ("own", "session", "claude", "chatgpt") if f"planted-{name}" in text}


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
async def test_model_calls_go_to_the_gateway_signed_in_and_without_the_clients_own_keys(
    regular: Intercepting, alpn: str
) -> None:
    path = "/v1/responses?x=1&key=planted-own-7"
    async with world(regular) as places:
        if alpn == "h2":
            # The vendor is one whose clients get HTTP/1.1 alone; another host speaks HTTP/2.
            async with Http2(regular.proxy.port, regular.trusting_us("h2"), through="vendor.test:443") as client:
                answer = await client.ask("POST", path, OWN, BODY)
            status, place, signs = answer.status, places[ANYWHERE], set()
        else:
            status, place, signs = await ask(regular, OPENAI, "POST", path), places[GATEWAY], {"session"}
        assert status == 200
        [request] = place.requests
        others = [name for name in HOSTS if places[name] is not place and places[name].requests]
    assert others == []
    assert planted(request) == signs
    assert request.path == "/v1/responses"
    assert request.target.endswith("/v1/responses?x=1")
    assert request.body == BODY
    hosts = [request.authority] if alpn == "h2" else [request.header("host")]
    assert hosts == [ANYWHERE if alpn == "h2" else GATEWAY]
    assert (request.header("x-codemie-request-id") is None) == (alpn == "h2")


async def test_control_calls_of_a_host_with_a_rule_stay_with_the_vendor(regular: Intercepting) -> None:
    async with world(regular) as places:
        for path in ("/v1/organization/costs", "/dashboard/billing"):
            assert await ask(regular, OPENAI, "GET", path) in (200, 404)
        assert [planted(request) for request in places[OPENAI].requests] == [{"own"}] * 2
        assert not places[GATEWAY].requests


async def test_sdks_never_notice_that_their_calls_went_elsewhere(
    regular: Intercepting, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in regular.environment().items():
        monkeypatch.setenv(name, value)
    async with world(regular) as places:
        async with openai.AsyncOpenAI(api_key="planted-own", max_retries=0) as gpt:
            assert (await gpt.responses.create(model="m", input="Hello")).output_text
            stream = await gpt.responses.create(model="m", input="Hello", stream=True)
            assert "response.completed" in [event.type async for event in stream]
        async with anthropic.AsyncAnthropic(
            api_key="planted-own", max_retries=0, base_url="https://vendor.test"
        ) as claude:
            hello: anthropic.types.MessageParam = {"role": "user", "content": "Hello"}
            await claude.messages.create(model="m", max_tokens=9, messages=[hello])
        assert [planted(request) for request in places[GATEWAY].requests] == [{"session"}] * 2
        assert [planted(request) for request in places[ANYWHERE].requests] == [set()]
        assert not places[OPENAI].requests


async def test_a_websocket_goes_where_the_rule_says(regular: Intercepting) -> None:
    async with world(regular) as places:
        tls = regular.trusting_us("h2", "http/1.1")
        async with WebSocketClient(regular.proxy.port, "/v1/responses", OWN, tls, f"{OPENAI}:443") as client:
            await client.say(json.dumps({"type": "response.create", "model": "m", "input": "Hello"}))
            assert json.loads(await client.hear())["type"] == "response.created"
        assert [planted(request) for request in places[GATEWAY].requests] == [{"session"}]


@pytest.mark.parametrize("to", [f"https://{ANYWHERE}/base/v1/files", f"https://{GATEWAY}/v1/files"])
async def test_a_client_follows_no_redirect_and_keeps_no_cookie_of_the_new_host(regular: Intercepting, to: str) -> None:
    """Following one, an SDK takes its vendor's `x-api-key` along."""
    async with world(regular) as places:
        places[ANYWHERE].script(Step(status=307, headers=[("location", to), ("set-cookie", "sid=1")], body=b""))
        async with Http1(regular.proxy.port, regular.trusting_us(), "vendor.test:443") as client:
            answer = await client.ask("POST", "/v1/messages", OWN, BODY)
    stays = to.startswith(f"https://{ANYWHERE}")
    assert (answer.status, answer.header("location")) == (307, "/v1/files" if stays else None)
    assert answer.header("set-cookie") is None


async def test_a_page_in_a_browser_is_not_sent_elsewhere(regular: Intercepting) -> None:
    async with world(regular) as places:
        await ask(regular, OPENAI, "POST", "/v1/responses", [*OWN, ("sec-fetch-site", "cross-site")])
        assert [planted(request) for request in places[OPENAI].requests] == [{"own"}]
        assert not places[GATEWAY].requests


CONTROL = [
    (CLAUDE, "GET", "/api/claude_code/policy_limits", CLAUDE_OAUTH),
    (CLAUDE, "GET", "/api/claude_code/settings", CLAUDE_OAUTH),
    (CLAUDE, "GET", "/api/oauth/usage", CLAUDE_OAUTH),
    (CLAUDE, "POST", "/api/event_logging/batch", CLAUDE_OAUTH),
    (CLAUDE, "POST", "/v1/oauth/token", CLAUDE_OAUTH),
    (CLAUDE, "POST", "/v1/code/sessions/abc/v1/messages", CLAUDE_OAUTH),
    (CLAUDE, "POST", "/v1/ultrareview/preflight", CLAUDE_OAUTH),
    (CHATGPT, "GET", "/backend-api/wham/accounts/check", CODEX_CHATGPT),
    (CHATGPT, "GET", "/backend-api/codex/models?client_version=1", CODEX_CHATGPT),
    (CHATGPT, "POST", "/backend-api/ps/mcp", CODEX_CHATGPT),
]
TURNS = [
    (CLAUDE, "POST", "/v1/messages?beta=true", CLAUDE_OAUTH, "claude"),
    (CLAUDE, "POST", "/v1/messages/count_tokens?beta=true", CLAUDE_OAUTH, "claude"),
    (CHATGPT, "POST", "/backend-api/codex/responses", CODEX_CHATGPT, "chatgpt"),
]


async def test_first_party_calls_keep_the_clients_own_login_and_every_byte(regular: Intercepting) -> None:
    async with world(regular) as places:
        for host, method, path, login in CONTROL:
            own = [*login, ("x-codemie-own", "1"), ("content-type", "application/json")]
            await ask(regular, host, method, path, own)
            request = places[host].requests[-1]
            assert (request.method, request.target) == (method, path)
            sent = own + ([("content-length", str(len(BODY)))] if method == "POST" else [])
            assert request.headers == [("host", "localhost"), *sent]
            assert request.body == (BODY if method == "POST" else b"")
            assert planted(request) == {"own"}
    names = {request.header("x-codemie-request-id") for place in places.values() for request in place.requests}
    assert names == {None}


async def test_remote_control_keeps_its_websocket_and_the_clients_own_login(regular: Intercepting) -> None:
    seen: list[tuple[str, str | None]] = []

    async def serve(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append((socket.request.path, socket.request.headers.get("authorization")))
        async for message in socket:
            await socket.send(message)

    server = regular.authority.server(CLAUDE)
    tls, path = regular.trusting_us("h2", "http/1.1"), "/v1/sessions/ws/abc/subscribe"
    async with asyncio.timeout(60), serve_websockets(serve, "127.0.0.1", 0, ssl=server) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        async with (
            regular.world(api_anthropic_com=port),
            WebSocketClient(regular.proxy.port, path, CLAUDE_OAUTH, tls, f"{CLAUDE}:443") as client,
        ):
            await client.say("first")
            assert await client.hear() == "first"
    assert seen == [(path, "Bearer sk-ant-oat01-planted-own")]


async def test_a_control_call_is_never_tried_twice(regular: Intercepting) -> None:
    """A token that renews itself may be used once."""
    async with world(regular) as places:
        places[CLAUDE].script(Step(status=503), Step(status=503))
        assert await ask(regular, CLAUDE, "POST", "/v1/oauth/token", CLAUDE_OAUTH) == 503
        assert places[CLAUDE].request_count == 1


async def test_turns_at_the_same_hosts_are_served_by_the_pool(regular: Intercepting) -> None:
    async with world(regular) as places:
        for host, method, path, login, account in TURNS:
            await ask(regular, host, method, path, login)
            assert planted(places[host].requests[-1]) == {account}


async def test_no_secret_is_in_the_log(regular: Intercepting) -> None:
    """Stands last."""
    regular.proxy.stop()
    assert "planted-" not in regular.proxy.log
    assert "Traceback" not in regular.proxy.log
