"""Where an account's secret must not go, and what must not go with it: servers that write everything down prove it.

The account's API is http://127.0.0.1:PORT/gateway. Clients send credentials of their own in every header there is:
these go with a request that no account serves, and never with one that an account does.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from pydantic import SecretStr

from codemie_core.accounts.account import Kind
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.demo.absent import closed_port
from codemie_core.demo.received import Received
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from codemie_core.egress import parse_proxy
from codemie_core.oauth.tokens import Tokens
from support import certificates, recorder, steer, stray
from support.certificates import Authority, ca_of
from support.connect_proxy import ConnectProxy
from support.matrix import HOSTS, all_of, ask, paths_outside, upgrade
from support.proxy import BUNDLE, Mitmproxy
from support.shared import shared_proxy
from support.stored import StoredHome, new_account

SECRET = "planted-secret-of-main-0123456789"
SPARE = "planted-secret-of-spare-0123456789"
PREFIX = "/gateway"
PATH = f"{PREFIX}/v1/messages"
OWN = [
    ("authorization", "Bearer planted-own-1"),
    ("x-api-key", "planted-own-2"),
    ("x-goog-api-key", "planted-own-3"),
    ("api-key", "planted-own-4"),
    ("cookie", "sid=planted-own-5"),
    ("x-litellm-api-key", "planted-own-6"),
]
CARRIED = {
    "anthropic": ("x-api-key", "{}"),
    "openai": ("authorization", "Bearer {}"),
    "gemini": ("x-goog-api-key", "{}"),
    "codemie": ("authorization", "Bearer {}"),
    "anthropic-compatible": ("x-api-key", "{}"),
    "openai-compatible": ("authorization", "Bearer {}"),
}
"""Provider -> the header its key goes in."""
SCRIPTS = (BUNDLE, Path(steer.__file__), Path(stray.__file__))
OPTIONS: dict[str, object] = {"codemie_hosts": HOSTS, "codemie_upstream_attempts_backoff": "1ms"}


def fill(home: Path, url: str) -> StoredHome:
    """One account that serves all models but those named like a provider, and one for each provider."""
    stored = StoredHome(home, {"CODEMIE_KEYRING": "0"})
    stored.key("main", url, SECRET, deny=tuple(PROVIDERS))
    for provider in PROVIDERS:
        stored.key(provider, url, f"{SECRET}-{provider}", provider=provider, priority=1, allow=(provider,))
    return stored


@pytest.fixture(scope="module")
def port() -> int:
    return closed_port()


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Mitmproxy]:
    home = tmp_path_factory.mktemp("regular")
    fill(home / ".codemie", f"http://127.0.0.1:{port}{PREFIX}")
    with shared_proxy(home, options=OPTIONS, scripts=SCRIPTS) as running:
        yield running
        assert SECRET not in running.log
        assert "planted-own" not in running.log


@pytest.fixture(scope="module")
def reverse(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Mitmproxy]:
    home = tmp_path_factory.mktemp("reverse")
    fill(home / ".codemie", f"http://127.0.0.1:{port}{PREFIX}")
    options = OPTIONS | {"codemie_upstream_attempts_target_path": PREFIX}
    with shared_proxy(home, "--mode", f"reverse:http://127.0.0.1:{port}", options=options, scripts=SCRIPTS) as running:
        yield running
        assert SECRET not in running.log
        assert "planted-own" not in running.log


@pytest.fixture
async def gateway(port: int) -> AsyncIterator[Upstream]:
    async with Upstream(port=port, prefix=PREFIX) as running:
        yield running
        assert not mixed(running)


@pytest.fixture
async def elsewhere() -> AsyncIterator[Upstream]:
    async with Upstream(prefix=PREFIX) as running:
        yield running
        assert not mixed(running)


@pytest.fixture
def home(codemie_home: Path) -> StoredHome:
    return StoredHome(codemie_home)


def mixed(server: Upstream) -> bool:
    """Did a client's own credential and an account's come in one request?"""
    texts = [str(request.headers) + request.target for request in server.requests]
    return any("planted-secret" in text and "planted-own" in text for text in texts)


def credentials(request: Received) -> list[tuple[str, str]]:
    """All headers of it that hold anything planted."""
    return [(name.lower(), value) for name, value in request.headers if "planted" in value]


@pytest.mark.parametrize("provider", CARRIED)
@pytest.mark.parametrize("mode", ["regular", "reverse"])
async def test_the_accounts_own_api_gets_its_secret_and_nothing_of_the_clients(
    gateway: Upstream, regular: Mitmproxy, reverse: Mitmproxy, mode: str, provider: str
) -> None:
    """The counter-test of all others: here it has to arrive."""
    proxy, target = (regular, f"{gateway.url}/v1/messages") if mode == "regular" else (reverse, "/v1/messages")
    assert (await ask(proxy, target, OWN, body=b'{"model": "%s"}' % provider.encode())).status == 200
    [request] = gateway.requests
    name, value = CARRIED[provider]
    assert credentials(request) == [(name, value.format(f"{SECRET}-{provider}"))]
    assert request.target == PATH


async def test_of_a_sign_in_only_the_access_token_goes_to_the_api(gateway: Upstream, home: StoredHome) -> None:
    tokens = Tokens(SecretStr(SECRET), SecretStr(SPARE), None, time.time(), "", "anthropic")
    home.add(new_account("main", gateway.url, kind=Kind.OAUTH), tokens.dump())
    with Mitmproxy(options=OPTIONS, scripts=SCRIPTS) as proxy:
        assert (await ask(proxy, f"{gateway.url}/v1/messages", OWN)).status == 200
    [request] = gateway.requests
    assert credentials(request) == [("authorization", f"Bearer {SECRET}")]
    assert request.header("anthropic-beta")


@pytest.mark.parametrize("parameter", ["key", "access_token", "k%65y"])
@pytest.mark.parametrize("mode", ["regular", "reverse"])
async def test_a_clients_own_key_in_the_query_goes_only_where_no_account_does(
    gateway: Upstream, elsewhere: Upstream, regular: Mitmproxy, reverse: Mitmproxy, mode: str, parameter: str
) -> None:
    path = f"/v1beta/models/gemini:generateContent?alt=sse&{parameter}=planted-own-7&x=y"
    proxy, target = (regular, f"{gateway.url}{path}") if mode == "regular" else (reverse, path)
    await ask(proxy, target, body=b"{}")
    [request] = gateway.requests
    assert request.target == f"{PREFIX}/v1beta/models/gemini:generateContent?alt=sse&x=y"
    assert SECRET in str(request.headers)
    if mode == "regular":
        await ask(proxy, f"{elsewhere.url}{path}", body=b"{}")
        assert elsewhere.requests[0].target == PREFIX + path


@pytest.mark.parametrize(
    "host, same_port",
    [("127.0.0.1", False), ("127.0.0.2", True), ("localhost", False), ("::1", True)],
    ids=["another port", "another address", "another name and port", "another family"],
)
async def test_another_host_or_port_gets_the_clients_own_credentials(
    gateway: Upstream, regular: Mitmproxy, host: str, same_port: bool
) -> None:
    spoofed = [("Host", f"127.0.0.1:{gateway.port}"), *OWN]
    async with Upstream(host=host, port=gateway.port if same_port else 0, prefix=PREFIX) as other:
        address = f"[{host}]" if ":" in host else host
        assert (await ask(regular, f"http://{address}:{other.port}{PATH}", spoofed)).status == 200
        [request] = other.requests
        assert credentials(request) == OWN


async def test_another_name_of_the_accounts_own_server_gets_no_secret(gateway: Upstream, regular: Mitmproxy) -> None:
    assert (await ask(regular, f"http://localhost:{gateway.port}{PATH}", OWN)).status == 200
    [request] = gateway.requests
    assert credentials(request) == OWN


async def test_the_same_address_over_another_scheme_gets_no_secret(
    gateway: Upstream, tmp_path: Path, home: StoredHome
) -> None:
    authority = Authority(tmp_path)
    options = OPTIONS | {"codemie_upstream_attempts_ca_file": authority.pem}
    async with Upstream(authority.server(), prefix=PREFIX) as secure:
        home.key("other scheme", f"https://127.0.0.1:{gateway.port}{PREFIX}", SPARE)
        home.key("main", f"https://localhost:{secure.port}{PREFIX}", SECRET)
        with Mitmproxy(options=options, scripts=SCRIPTS) as proxy:
            verify = certificates.client(ca_of(proxy.confdir))
            async with httpx.AsyncClient(proxy=proxy.url, verify=verify, trust_env=False) as client:
                for name in "localhost", "127.0.0.1":
                    await client.post(f"https://{name}:{secure.port}{PATH}", json={}, headers=OWN)
            await ask(proxy, f"http://127.0.0.1:{gateway.port}{PATH}", OWN)
            await ask(proxy, f"http://localhost:{gateway.port}{PATH}", OWN)
        assert [credentials(request) for request in secure.requests] == [[("x-api-key", SECRET)], OWN]
        assert [credentials(request) for request in gateway.requests] == [OWN, OWN]


# The last ones are a model's turns for `call_of`, so that an account is chosen before anybody looks at where they lead.
PATHS = [*paths_outside(PREFIX), f"{PREFIX}/../v1/messages", f"{PREFIX}/%2e%2e/v1/messages", "/v1/messages"]


@pytest.mark.parametrize("path", PATHS)
async def test_another_path_gets_no_secret(gateway: Upstream, regular: Mitmproxy, path: str) -> None:
    await ask(regular, f"http://127.0.0.1:{gateway.port}{path}", OWN)
    for request in gateway.requests:
        # A model's turn is sent below the account's base URL, wherever it was to go.
        below = request.target == f"{PREFIX}{path}" and ".." not in unquote(path)
        assert below or SECRET not in str(request.headers)


@pytest.mark.parametrize("path", ["/../v1/messages", "/x/../../v1/messages", "/%2e%2e/v1/messages", *PATHS[6:12]])
async def test_a_path_that_leaves_the_base_url_gets_no_secret_in_reverse_mode(
    gateway: Upstream, reverse: Mitmproxy, path: str
) -> None:
    await ask(reverse, path, OWN)
    assert SECRET not in all_of(gateway)


async def test_a_redirect_to_another_host_is_followed_by_nobody(
    gateway: Upstream, elsewhere: Upstream, regular: Mitmproxy, reverse: Mitmproxy
) -> None:
    location = [("location", f"{elsewhere.url}/v1/messages")]
    gateway.script(then=Step(status=307, headers=location, body=b""))
    for proxy, target in (regular, f"{gateway.url}/v1/messages"), (reverse, "/v1/messages"):
        answer = await ask(proxy, target, OWN)
        assert answer.status == 307
        assert "planted-" not in str(answer)
    assert elsewhere.requests == []
    assert SECRET in all_of(gateway)
    # A client that follows it takes its own credentials there.
    await ask(regular, f"{elsewhere.url}/v1/messages", OWN)
    assert credentials(elsewhere.requests[0]) == OWN


@pytest.mark.parametrize("failure", [Step(status=503), Step(cut=Cut.RESET)], ids=["503", "reset"])
async def test_a_further_attempt_gets_the_secret_again(gateway: Upstream, regular: Mitmproxy, failure: Step) -> None:
    gateway.script(failure, failure)
    assert (await ask(regular, f"{gateway.url}/v1/messages", OWN)).status == 200
    assert [credentials(request) for request in gateway.requests] == [[("x-api-key", SECRET)]] * 3


@pytest.mark.parametrize("status", [429, 401, 529, 503])
async def test_the_next_account_at_another_host_takes_only_its_own_secret_there(
    gateway: Upstream, elsewhere: Upstream, home: StoredHome, status: int
) -> None:
    home.key("main", gateway.url, SECRET)
    serves = (f"http://127.0.0.1:{gateway.port}",)
    home.key("spare", elsewhere.url, SPARE, provider="openai-compatible", priority=1, serves=serves)
    gateway.script(then=Step(status=status))
    with Mitmproxy(options=OPTIONS, scripts=SCRIPTS) as proxy:
        assert (await ask(proxy, f"{gateway.url}/v1/messages", OWN)).status == 200
    assert {str(credentials(request)) for request in gateway.requests} == {str([("x-api-key", SECRET)])}
    assert [credentials(request) for request in elsewhere.requests] == [[("authorization", f"Bearer {SPARE}")]]
    assert elsewhere.requests[0].header("host") == f"127.0.0.1:{elsewhere.port}"


async def test_the_next_account_at_the_same_host_takes_the_place_of_the_first(
    gateway: Upstream, home: StoredHome
) -> None:
    home.key("main", gateway.url, SECRET)
    home.key("spare", gateway.url, SPARE, provider="openai-compatible", priority=1)
    gateway.script(Step(status=429))
    with Mitmproxy(options=OPTIONS, scripts=SCRIPTS) as proxy:
        assert (await ask(proxy, f"{gateway.url}/v1/messages", OWN)).status == 200
    first, second = map(credentials, gateway.requests)
    assert (first, second) == ([("x-api-key", SECRET)], [("authorization", f"Bearer {SPARE}")])


async def test_when_the_clients_own_credentials_stand_in_no_secret_goes_with_them(
    gateway: Upstream, elsewhere: Upstream, home: StoredHome
) -> None:
    home.key("main", elsewhere.url, SECRET, serves=(f"http://127.0.0.1:{gateway.port}",))
    home.key("spare", gateway.url, SPARE, priority=1)
    for server, secret in (elsewhere, SECRET), (gateway, SPARE):
        server.script_for(secret, then=Step(status=429, headers=[("retry-after", "600")]))
    options = OPTIONS | {"codemie_account_rotation_passthrough": True}
    with Mitmproxy(options=options, scripts=SCRIPTS) as proxy:
        for _ in range(2):
            assert (await ask(proxy, f"{gateway.url}/v1/messages", OWN)).status == 200
    assert [credentials(request) for request in elsewhere.requests] == [[("x-api-key", SECRET)]]
    assert [credentials(request) for request in gateway.requests] == [[("x-api-key", SPARE)], OWN, OWN]
    assert gateway.requests[1].target == PATH


@pytest.mark.parametrize("mode", ["regular", "reverse"])
async def test_an_addon_that_changes_the_target_after_us_takes_no_secret_along(
    gateway: Upstream, elsewhere: Upstream, regular: Mitmproxy, reverse: Mitmproxy, mode: str
) -> None:
    proxy, target = (regular, f"{gateway.url}/v1/messages") if mode == "regular" else (reverse, "/v1/messages")
    await ask(proxy, target, [("x-test-target", elsewhere.url)])
    assert gateway.requests == []
    assert SECRET not in all_of(elsewhere)


@pytest.mark.parametrize("path", [PATH, "/admin"])
@pytest.mark.parametrize("mode", ["regular", "reverse"])
async def test_an_addon_that_changes_the_target_between_attempts_takes_no_secret_along(
    gateway: Upstream, elsewhere: Upstream, regular: Mitmproxy, reverse: Mitmproxy, mode: str, path: str
) -> None:
    gateway.script(then=Step(status=503))
    proxy, target = (regular, f"{gateway.url}/v1/messages") if mode == "regular" else (reverse, "/v1/messages")
    await ask(proxy, target, [*OWN, ("x-test-after-failure", f"http://127.0.0.1:{elsewhere.port}{path}")])
    assert credentials(gateway.requests[0]) == [("x-api-key", SECRET)]
    assert SECRET not in all_of(elsewhere)


async def test_a_websocket_takes_a_secret_only_to_the_accounts_own_api(
    gateway: Upstream, elsewhere: Upstream, regular: Mitmproxy
) -> None:
    for server in gateway, elsewhere:
        assert (await upgrade(regular, f"{server.url}/v1/responses", OWN)).status == 101
    assert credentials(gateway.requests[0]) == [("x-api-key", SECRET)]
    assert credentials(elsewhere.requests[0]) == OWN


CONTROL = ["/api/oauth/profile", "/v1/organizations", "/api/claude_code/settings", "/backend-api/wham/usage"]


@pytest.mark.parametrize("path", CONTROL)
async def test_a_clients_own_business_goes_with_its_own_credentials(
    gateway: Upstream, regular: Mitmproxy, reverse: Mitmproxy, path: str
) -> None:
    await ask(regular, f"{gateway.url}{path}", OWN, "GET")
    await ask(reverse, path, OWN, "GET")
    assert [credentials(request) for request in gateway.requests] == [OWN, OWN]


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "PUT", "OPTIONS"])
async def test_a_method_that_no_model_call_has_gets_no_secret(
    gateway: Upstream, regular: Mitmproxy, method: str
) -> None:
    await ask(regular, f"{gateway.url}/v1/messages", OWN, method)
    assert SECRET not in all_of(gateway)


async def test_a_page_in_a_browser_behind_the_proxy_spends_no_account(gateway: Upstream, regular: Mitmproxy) -> None:
    await ask(regular, f"{gateway.url}/v1/messages", [*OWN, ("sec-fetch-site", "cross-site")])
    assert SECRET not in all_of(gateway)


async def test_through_an_outbound_proxy_secrets_go_only_inside_the_tunnel(tmp_path: Path, home: StoredHome) -> None:
    """The second account has a way out of its own, with a password: it goes there, and nobody else gets it."""
    authority = Authority(tmp_path)
    names = ("main.test", "spare.test")
    async with (
        Upstream(authority.server(*names), prefix=PREFIX) as secure,
        ConnectProxy(dict.fromkeys(names, secure.port)) as common,
        ConnectProxy(dict.fromkeys(names, secure.port)) as own,
    ):
        home.key("main", f"https://main.test:8443{PREFIX}", SECRET)
        way = parse_proxy(own.url("someone:planted-passw0rd"), "test")
        about = {"serves": ("https://main.test:8443",), "priority": 1, "outbound_proxy": way}
        home.key("spare", f"https://spare.test:8443{PREFIX}", SPARE, **about)
        secure.script_for(SECRET, then=Step(status=429))
        options = OPTIONS | {"codemie_upstream_attempts_ca_file": authority.pem}
        args = ("--mode", "reverse:https://main.test:8443")
        env = {"HTTPS_PROXY": common.url("other:planted-common")}
        with Mitmproxy(*args, options=options, env=env) as proxy:
            for _ in range(2):
                assert (await ask(proxy, PATH, [*OWN, ("proxy-authorization", "Basic planted-own-6")])).status == 200
            shown = proxy.log
    assert (common.targets, own.targets) == (["main.test:8443"], ["spare.test:8443"] * len(own.targets))
    assert set(common.authorizations) == {"Basic " + base64.b64encode(b"other:planted-common").decode()}
    assert set(own.authorizations) == {"Basic " + base64.b64encode(b"someone:planted-passw0rd").decode()}
    assert "planted" not in str(common.heads + own.heads)
    assert [credentials(request) for request in secure.requests] == [
        [("x-api-key", SECRET)],
        [("x-api-key", SPARE)],
        [("x-api-key", SPARE)],
    ]
    assert not any(request.header("proxy-authorization") for request in secure.requests)
    assert "planted" not in shown


async def test_saved_flows_hold_the_clients_own_credentials_alone_and_replayed_ones_are_refused(
    gateway: Upstream, tmp_path: Path, home: StoredHome
) -> None:
    home.key("main", gateway.url, SECRET)
    saved, notes = tmp_path / "flows", tmp_path / "notes"
    gateway.script(Step(status=503))
    with Mitmproxy("-w", str(saved), options=OPTIONS) as proxy:
        assert (await ask(proxy, f"{gateway.url}/v1/messages", OWN)).status == 200
        assert (await upgrade(proxy, f"{gateway.url}/v1/responses", OWN)).status == 101
    assert SECRET in all_of(gateway)
    assert SECRET.encode() not in saved.read_bytes()
    assert b"planted-own-5" in saved.read_bytes()
    sent = gateway.request_count
    scripts, env = (BUNDLE, Path(recorder.__file__)), recorder.env(notes)
    with Mitmproxy("-C", str(saved), options=OPTIONS, scripts=scripts, env=env):
        [record, *_] = await asyncio.to_thread(recorder.wait_for_records, notes, 1)
    assert (record["terminal"], record["error"]) == ("refused", "pool_cannot_serve")
    assert gateway.request_count == sent


async def test_mitmweb_shows_no_secret(gateway: Upstream, home: StoredHome) -> None:
    home.key("main", gateway.url, SECRET)
    port = closed_port()
    with Mitmproxy("--web-port", str(port), tool="mitmweb", options=OPTIONS) as proxy:
        assert (await ask(proxy, f"{gateway.url}/v1/messages", OWN)).status == 200
        assert SECRET in all_of(gateway)
        headers = {"authorization": "Bearer test", "x-xsrftoken": "00" * 16}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as web:
            pages = [(await web.get(page)).text for page in ("/flows", "/options", "/events", "/state", "/flows/dump")]
            web.cookies.set("_mitmproxy_xsrf", headers["x-xsrftoken"])
            pages.append((await web.post("/commands/codemie.accounts.show", json={"arguments": ["main"]})).text)
    [flow] = json.loads(pages[0])
    assert flow["request"]["path"] == PATH
    assert "main" in pages[-1]
    assert not any(SECRET in page for page in pages)
