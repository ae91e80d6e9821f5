"""Where a session must not go: each time a server that writes everything down stands there and proves it got none.

The gateway is http://127.0.0.1:PORT/code-assistant-api. Paths outside of it are a 404, which is written down too.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from codemie_core.demo.absent import closed_port
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from codemie_core.places import Places
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from support import certificates, recorder, steer, stray
from support.certificates import Authority, ca_of
from support.matrix import HOSTS, all_of, ask, paths_outside, upgrade
from support.proxy import BUNDLE, Mitmproxy
from support.shared import shared_proxy

PLANTED = "planted-session-0123456789"
PREFIX = "/code-assistant-api"
PATH = f"{PREFIX}/v1/messages"
SCRIPTS = (BUNDLE, Path(steer.__file__), Path(stray.__file__))
OPTIONS: dict[str, object] = {"codemie_hosts": HOSTS, "codemie_upstream_attempts_backoff": "1ms"}


def store(home: Path, url: str) -> None:
    session = Session(url, {"codemie_access_token": SecretStr(PLANTED), "other": SecretStr("planted-2")})
    CredentialStore(Places(home)).write(url, session)


@pytest.fixture(scope="module")
def port() -> int:
    return closed_port()


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Mitmproxy]:
    home = tmp_path_factory.mktemp("regular")
    url = f"http://127.0.0.1:{port}{PREFIX}"
    store(home / ".codemie", url)
    with shared_proxy(home, options=OPTIONS | {"codemie_sso_auth_url": url}, scripts=SCRIPTS) as running:
        yield running
        assert PLANTED not in running.log


@pytest.fixture(scope="module")
def reverse(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Mitmproxy]:
    home = tmp_path_factory.mktemp("reverse")
    url = f"http://127.0.0.1:{port}{PREFIX}"
    store(home / ".codemie", url)
    own = {"codemie_sso_auth_url": url, "codemie_upstream_attempts_target_path": PREFIX}
    mode = ("--mode", f"reverse:http://127.0.0.1:{port}")
    with shared_proxy(home, *mode, options=OPTIONS | own, scripts=SCRIPTS) as running:
        yield running
        assert PLANTED not in running.log


@pytest.fixture
async def gateway(port: int) -> AsyncIterator[Upstream]:
    async with Upstream(port=port, prefix=PREFIX) as running:
        yield running


@pytest.fixture
async def elsewhere() -> AsyncIterator[Upstream]:
    async with Upstream(prefix=PREFIX) as running:
        yield running


def got(server: Upstream) -> bool:
    """Does anything that arrived there hold the session?"""
    return PLANTED in all_of(server)


async def test_the_gateway_itself_gets_the_session(gateway: Upstream, regular: Mitmproxy, reverse: Mitmproxy) -> None:
    """The counter-test of all others: here it has to arrive."""
    await ask(regular, f"{gateway.url}/v1/messages")
    await ask(reverse, "/v1/messages")
    assert [request.target for request in gateway.requests] == [PATH, PATH]
    for request in gateway.requests:
        cookies = [value for name, value in request.headers if name.lower() == "cookie"]
        assert cookies == [f"codemie_access_token={PLANTED}; other=planted-2"]


@pytest.mark.parametrize(
    "host, same_port",
    [("127.0.0.1", False), ("127.0.0.2", True), ("localhost", False), ("::1", True)],
    ids=["another port", "another address", "another name and port", "another family"],
)
async def test_another_host_or_port_gets_no_session(
    gateway: Upstream, regular: Mitmproxy, host: str, same_port: bool
) -> None:
    spoofed = [("Host", f"127.0.0.1:{gateway.port}"), ("cookie", "the=agents-own")]
    async with Upstream(host=host, port=gateway.port if same_port else 0, prefix=PREFIX) as other:
        address = f"[{host}]" if ":" in host else host
        answer = await ask(regular, f"http://{address}:{other.port}{PATH}", spoofed)
        assert answer.status == 200
        [request] = other.requests
        assert request.header("cookie") == "the=agents-own"
        assert not got(other)


async def test_another_name_of_the_gateways_own_server_gets_no_session(gateway: Upstream, regular: Mitmproxy) -> None:
    assert (await ask(regular, f"http://localhost:{gateway.port}{PATH}")).status == 200
    assert gateway.request_count == 1
    assert not got(gateway)


async def test_the_same_address_over_another_scheme_gets_no_session(
    gateway: Upstream, tmp_path: Path, codemie_home: Path
) -> None:
    url = f"https://127.0.0.1:{gateway.port}{PREFIX}"
    store(codemie_home, url)
    with Mitmproxy(options=OPTIONS | {"codemie_sso_auth_url": url}, scripts=SCRIPTS) as proxy:
        await ask(proxy, f"http://127.0.0.1:{gateway.port}{PATH}")
        assert gateway.request_count == 1
        assert not got(gateway)
    authority = Authority(tmp_path)
    trust = {"codemie_upstream_attempts_ca_file": authority.pem}
    async with Upstream(authority.server(), prefix=PREFIX) as secure:
        url = f"https://localhost:{secure.port}{PREFIX}"
        store(codemie_home, url)
        with Mitmproxy(options=OPTIONS | trust | {"codemie_sso_auth_url": url}, scripts=SCRIPTS) as proxy:
            verify = certificates.client(ca_of(proxy.confdir))
            async with httpx.AsyncClient(proxy=proxy.url, verify=verify, trust_env=False) as client:
                for name in "localhost", "127.0.0.1":
                    await client.post(f"https://{name}:{secure.port}{PATH}", json={})
            await ask(proxy, f"http://localhost:{gateway.port}{PATH}")
        assert [PLANTED in str(request.headers) for request in secure.requests] == [True, False]
        assert not got(gateway)


PATHS = paths_outside(PREFIX)


@pytest.mark.parametrize("path", PATHS)
async def test_another_path_gets_no_session(gateway: Upstream, regular: Mitmproxy, path: str) -> None:
    await ask(regular, f"http://127.0.0.1:{gateway.port}{path}")
    [request] = gateway.requests
    assert request.target == path
    assert not got(gateway)


@pytest.mark.parametrize(
    "path", ["/../admin", "/v1/../../admin", "/..%2fadmin", "/%2e%2e/admin", "/..;/admin", *PATHS[6:12]]
)
async def test_a_path_that_leaves_the_gateway_gets_no_session_in_reverse_mode(
    gateway: Upstream, reverse: Mitmproxy, path: str
) -> None:
    await ask(reverse, path)
    [request] = gateway.requests
    assert request.target.endswith(path)
    assert not got(gateway)


async def test_a_redirect_to_another_host_is_followed_by_nobody(
    gateway: Upstream, elsewhere: Upstream, regular: Mitmproxy, reverse: Mitmproxy
) -> None:
    location = [("location", f"{elsewhere.url}/v1/messages")]
    gateway.script(then=Step(status=307, headers=location, body=b""))
    answers = [await ask(regular, f"{gateway.url}/v1/messages"), await ask(reverse, "/v1/messages")]
    assert [answer.status for answer in answers] == [401, 401]
    assert elsewhere.requests == []
    assert got(gateway)


async def test_a_further_attempt_is_signed_for_the_gateway_again(gateway: Upstream, regular: Mitmproxy) -> None:
    gateway.script(Step(status=503), Step(status=529))
    assert (await ask(regular, f"{gateway.url}/v1/messages")).status == 200
    assert [PLANTED in str(request.headers) for request in gateway.requests] == [True] * 3


@pytest.mark.parametrize("mode", ["regular", "reverse"])
async def test_an_addon_that_changes_the_target_after_us_takes_no_session_along(
    gateway: Upstream, elsewhere: Upstream, regular: Mitmproxy, reverse: Mitmproxy, mode: str
) -> None:
    proxy, target = (regular, f"{gateway.url}/v1/messages") if mode == "regular" else (reverse, "/v1/messages")
    assert (await ask(proxy, target, [("x-test-target", elsewhere.url)])).status == 200
    assert (elsewhere.request_count, gateway.request_count) == (1, 0)
    assert not got(elsewhere)


@pytest.mark.parametrize("path", [PATH, "/admin"])
@pytest.mark.parametrize("to", ["elsewhere", "gateway"])
@pytest.mark.parametrize("mode", ["regular", "reverse"])
async def test_an_addon_that_changes_the_target_between_attempts_takes_a_session_only_to_the_gateway(
    gateway: Upstream, elsewhere: Upstream, regular: Mitmproxy, reverse: Mitmproxy, mode: str, to: str, path: str
) -> None:
    gateway.script(Step(status=503), then=Step(body="{}"))
    proxy, target = (regular, f"{gateway.url}/v1/messages") if mode == "regular" else (reverse, "/v1/messages")
    other = elsewhere if to == "elsewhere" else gateway
    answer = await ask(proxy, target, [("x-test-after-failure", f"http://127.0.0.1:{other.port}{path}")])
    assert answer.status in (200, 404)
    first, second = [*gateway.requests, *elsewhere.requests]
    assert PLANTED in str(first.headers)
    assert second.target == path
    assert (PLANTED in str(second.headers)) is (to == "gateway" and path == PATH)


async def test_a_websocket_takes_a_session_only_to_the_gateway(
    gateway: Upstream, elsewhere: Upstream, regular: Mitmproxy
) -> None:
    for server in gateway, elsewhere:
        assert (await upgrade(regular, f"{server.url}/v1/responses")).status == 101
    assert got(gateway)
    assert not got(elsewhere)


async def test_a_proxy_for_another_target_signs_nothing(
    gateway: Upstream, elsewhere: Upstream, codemie_home: Path
) -> None:
    url = gateway.url
    store(codemie_home, url)
    options = OPTIONS | {"codemie_sso_auth_url": url, "codemie_upstream_attempts_target_path": PREFIX}
    with Mitmproxy("--mode", f"reverse:http://127.0.0.1:{elsewhere.port}", options=options, scripts=SCRIPTS) as proxy:
        assert (await ask(proxy, "/v1/messages", [("cookie", "the=agents-own")])).status == 200
    [request] = elsewhere.requests
    assert request.header("cookie") == "the=agents-own"
    assert not got(elsewhere)


async def test_neither_saved_flows_nor_replayed_ones_hold_a_session(
    gateway: Upstream, tmp_path: Path, codemie_home: Path
) -> None:
    url, saved, notes = gateway.url, tmp_path / "flows", tmp_path / "notes"
    store(codemie_home, url)
    options = OPTIONS | {"codemie_sso_auth_url": url}
    gateway.script(Step(status=503, headers=[("set-cookie", f"a={PLANTED}")]))
    with Mitmproxy("-w", str(saved), options=options) as proxy:
        assert (await ask(proxy, f"{url}/v1/messages", [("cookie", "the=agents-own")])).status == 200
        assert (await upgrade(proxy, f"{url}/v1/responses")).status == 101
    assert got(gateway)
    assert PLANTED.encode() not in saved.read_bytes()
    assert b"the=agents-own" in saved.read_bytes()
    sent = gateway.request_count
    scripts, env = (BUNDLE, Path(recorder.__file__)), recorder.env(notes)
    with Mitmproxy("-C", str(saved), options=options, scripts=scripts, env=env) as proxy:
        [record, *_] = await asyncio.to_thread(recorder.wait_for_records, notes, 1)
    assert (record["terminal"], record["error"]) == ("refused", "cannot_sign_in")
    assert gateway.request_count == sent


async def test_mitmweb_shows_no_session(gateway: Upstream, codemie_home: Path) -> None:
    url, port = gateway.url, closed_port()
    store(codemie_home, url)
    options = OPTIONS | {"codemie_sso_auth_url": url}
    with Mitmproxy("--web-port", str(port), tool="mitmweb", options=options) as proxy:
        assert (await ask(proxy, f"{url}/v1/messages")).status == 200
        assert got(gateway)
        headers = {"authorization": "Bearer test"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as web:
            pages = [(await web.get(page)).text for page in ("/flows", "/options", "/events", "/state", "/flows/dump")]
    [flow] = json.loads(pages[0])
    assert flow["request"]["path"] == PATH
    assert not any(PLANTED in page for page in pages)
