"""The gate, in process: which requests pass, what they look like afterwards, and what happens beside HTTP."""

import base64
import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mitmproxy import connection, hooks, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.flow import Error
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import taddons, tflow, tutils

from codemie_core.access.client_keys import KeyStore
from codemie_core.access.own_address import LOOP
from codemie_core.core_addon import CoreAddon
from codemie_core.exchange import BOOK, exchange_of
from codemie_core.places import Places
from proxy_access import MOST_ADDRESSES, ProxyAccess

REVERSE = "reverse:https://api.anthropic.com"
PROVIDER = "Bearer sk-ant-planted"


class Clock:
    """Moves when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Room:
    """The addon in a mitmproxy."""

    def __init__(self, tctx: taddons.context, addon: ProxyAccess, clock: Clock) -> None:
        self.tctx, self.addon, self.clock = tctx, addon, clock

    @property
    def core(self) -> CoreAddon:
        core = self.tctx.master.addons.get(CoreAddon.name)
        assert isinstance(core, CoreAddon)
        return core

    async def fire(self, hook: str, data: Any) -> None:
        await self.tctx.master.addons.trigger_event(hooks.all_hooks[hook](data))

    async def pass_through(self, flow: http.HTTPFlow, hook: str = "requestheaders") -> http.HTTPFlow:
        await self.fire("client_connected", flow.client_conn)
        await self.fire(hook, flow)
        return flow

    async def later(self, change: Any, *args: Any) -> Any:
        """Change the file; the addon notices."""
        result = change(*args)
        self.clock.now += 2
        return result


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Room]:
    clock = Clock()
    addon = ProxyAccess(clock)
    with taddons.context(Proxyserver()) as tctx:
        tctx.options.update(server=False)
        tctx.master.addons.add(addon)
        tctx.configure(addon, **options)
        core = tctx.master.addons.get(CoreAddon.name)
        # It stands last in a real chain.
        tctx.master.addons.chain.remove(core)
        tctx.master.addons.chain.append(core)
        await tctx.master.addons.trigger_event(hooks.RunningHook())
        yield Room(tctx, addon, clock)
        await tctx.master.addons.trigger_event(hooks.DoneHook())


@pytest.fixture
def store() -> KeyStore:
    return KeyStore(Places.from_env(os.environ))


@pytest.fixture
def key(store: KeyStore) -> str:
    return store.add("ann")[1].get_secret_value()


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def request(mode: str = REVERSE, method: str = "POST", peer: str = "127.0.0.1", **headers: str) -> http.HTTPFlow:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    flow = tflow.tflow(
        req=tutils.treq(method=method.encode(), path=b"/v1/messages", host="api.anthropic.com", port=443)
    )
    flow.request.headers = http.Headers(fields)
    flow.client_conn = connection.Client(
        peername=(peer, 40000),
        sockname=("127.0.0.1", 8080),
        timestamp_start=1.0,
        proxy_mode=ProxyMode.parse(mode),
    )
    return flow


def said(flow: http.HTTPFlow) -> str:
    """The words of the answer."""
    assert flow.response is not None
    return flow.response.get_text() or ""


def refused(flow: http.HTTPFlow) -> tuple[int, str] | None:
    """Status and code of a refusal."""
    if flow.response is None:
        return None
    assert flow.response.content is not None
    return flow.response.status_code, exchange_of(flow).error or ""


async def test_without_keys_a_request_passes_as_it_is() -> None:
    async with running() as room:
        flow = await room.pass_through(request(authorization=PROVIDER))
        assert (refused(flow), exchange_of(flow).client_key) == (None, "")
        assert dict(flow.request.headers) == {"authorization": PROVIDER}
        assert not room.core.asks_for_keys()


async def test_a_key_is_never_sent_on_even_where_nobody_asks_for_it() -> None:
    async with running() as room:
        flow = await room.pass_through(request(x_api_key="cmk_abcd1234_of-a-proxy-elsewhere", authorization=PROVIDER))
        assert (refused(flow), dict(flow.request.headers)) == (None, {"authorization": PROVIDER})


@pytest.mark.parametrize("mode", [REVERSE, "regular", "socks5", "transparent", "upstream:http://127.0.0.1:9"])
async def test_with_a_key_a_request_passes_and_bears_its_name_and_not_the_key(key: str, mode: str) -> None:
    async with running() as room:
        flow = await room.pass_through(request(mode, x_api_key=key, authorization=PROVIDER))
        assert (refused(flow), exchange_of(flow).client_key) == (None, "ann")
        assert dict(flow.request.headers) == {"authorization": PROVIDER}
        assert key not in json.dumps(flow.metadata)


@pytest.mark.parametrize(
    "mode, status",
    [
        (REVERSE, 401),
        ("regular", 407),
        ("upstream:http://127.0.0.1:9", 407),
        ("socks5", 401),
        ("transparent", 401),
        ("local", 401),
    ],
)
async def test_without_a_key_a_request_is_refused_and_told_what_to_do(key: str, mode: str, status: int) -> None:
    async with running() as room:
        flow = await room.pass_through(request(mode, authorization=PROVIDER))
        assert refused(flow) == (status, "client_key_missing")
        assert "codemie-proxy keys add" in said(flow)
        assert flow.response is not None
        challenge = 'Basic realm="codemie-proxy"' if status == 407 else None
        assert flow.response.headers.get("proxy-authenticate") == challenge


async def test_a_wrong_and_a_revoked_key_are_refused_and_taken_off_all_the_same(store: KeyStore, key: str) -> None:
    store.revoke("ann")
    async with running() as room:
        for offered in (key, "cmk_abcd1234_wrong"):
            flow = await room.pass_through(request(x_api_key=offered))
            assert refused(flow) == (401, "client_key_invalid")
            assert not flow.request.headers


async def test_an_answer_that_another_addon_gave_stays_and_the_key_goes(key: str) -> None:
    async with running() as room:
        flow = request(x_api_key=key)
        flow.response = answer = tutils.tresp()
        await room.pass_through(flow)
        assert flow.response is answer
        assert not flow.request.headers


async def test_a_replay_by_the_operator_needs_no_key(key: str) -> None:
    async with running() as room:
        flow = request()
        flow.is_replay = "request"
        await room.fire("requestheaders", flow)
        dial = ServerConnectionHookData(connection.Server(address=("a", 1)), flow.client_conn.copy())
        await room.fire("server_connect", dial)
        assert (refused(flow), dial.server.error) == (None, None)


async def test_a_tunnel_needs_a_key_and_vouches_for_the_requests_inside(key: str) -> None:
    async with running() as room:
        tunnel = request("regular", "CONNECT", proxy_authorization=basic("ann", key))
        await room.pass_through(tunnel, "http_connect")
        assert (refused(tunnel), len(tunnel.request.headers)) == (None, 0)
        inside = request("regular", authorization=PROVIDER)
        inside.client_conn = tunnel.client_conn
        await room.fire("requestheaders", inside)
        assert (refused(inside), exchange_of(inside).client_key) == (None, "ann")
        assert dict(inside.request.headers) == {"authorization": PROVIDER}


@pytest.mark.parametrize("authorization", [None, basic("ann", "cmk_abcd1234_wrong"), basic("ann", "secret")])
async def test_a_tunnel_without_a_good_key_is_refused_with_a_challenge(key: str, authorization: str | None) -> None:
    async with running() as room:
        headers = {"proxy_authorization": authorization} if authorization else {}
        tunnel = await room.pass_through(request("regular", "CONNECT", **headers), "http_connect")
        assert tunnel.response is not None
        assert tunnel.response.status_code == 407
        assert tunnel.response.headers["proxy-authenticate"] == 'Basic realm="codemie-proxy"'
        assert len(BOOK) == 0


async def test_a_revoked_key_stops_the_tunnel_at_its_next_request(store: KeyStore, key: str) -> None:
    async with running() as room:
        tunnel = request("regular", "CONNECT", proxy_authorization=basic("ann", key))
        await room.pass_through(tunnel, "http_connect")
        await room.later(store.revoke, "ann")
        inside = request("regular")
        inside.client_conn = tunnel.client_conn
        await room.fire("requestheaders", inside)
        # No challenge: whoever is inside a tunnel speaks to a model API and not to a proxy.
        assert refused(inside) == (401, "client_key_missing")


async def test_a_gate_that_closes_stops_the_tunnels_that_needed_no_key(store: KeyStore) -> None:
    async with running() as room:
        tunnel = await room.pass_through(request("regular", "CONNECT"), "http_connect")
        secret = (await room.later(store.add, "ann"))[1].get_secret_value()
        assert room.core.asks_for_keys()
        inside, allowed = request("regular"), request("regular", authorization=f"Bearer {secret}")
        inside.client_conn = allowed.client_conn = tunnel.client_conn
        await room.fire("requestheaders", inside)
        await room.fire("requestheaders", allowed)
        assert (refused(tunnel), refused(inside), refused(allowed)) == (None, (401, "client_key_missing"), None)


async def test_nothing_is_dialed_for_a_connection_without_a_key(key: str) -> None:
    async with running() as room:
        stranger, holder = request(), request(x_api_key=key)
        errors = []
        for flow in (stranger, holder):
            await room.pass_through(flow)
            dial = ServerConnectionHookData(connection.Server(address=("a", 1)), flow.client_conn)
            await room.fire("server_connect", dial)
            errors.append(dial.server.error)
        assert errors == ["the client has shown no client key", None]


async def test_without_keys_everything_is_dialed() -> None:
    async with running() as room:
        flow = request("reverse:tcp://127.0.0.1:9")
        await room.fire("client_connected", flow.client_conn)
        dial = ServerConnectionHookData(connection.Server(address=("a", 1)), flow.client_conn)
        await room.fire("server_connect", dial)
        assert dial.server.error is None


async def test_nothing_is_dialed_that_leads_back_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CoreAddon, "listening", lambda _: [("127.0.0.1", 8080)])
    async with running() as room:
        dials = [
            ServerConnectionHookData(connection.Server(address=(host, port)), request("regular").client_conn)
            for host, port in (("LOCALHOST", 8080), ("LOCALHOST", 8081))
        ]
        for dial in dials:
            await room.fire("server_connect", dial)
        assert [dial.server.error for dial in dials] == [LOOP, None]


async def test_raw_tcp_in_a_tunnel_ends_with_its_key(store: KeyStore, key: str) -> None:
    async with running() as room:
        tunnel = request("regular", "CONNECT", proxy_authorization=basic("ann", key))
        await room.pass_through(tunnel, "http_connect")
        raw = tflow.ttcpflow()
        raw.client_conn = tunnel.client_conn
        await room.fire("tcp_message", raw)
        assert raw.messages[-1].content
        await room.later(store.revoke, "ann")
        await room.fire("tcp_message", raw)
        assert raw.messages[-1].content == b""


async def test_udp_that_began_without_keys_ends_with_the_first_key(store: KeyStore) -> None:
    async with running() as room:
        raw = tflow.tudpflow()
        await room.fire("udp_message", raw)
        assert raw.messages[-1].content
        await room.later(store.add, "ann")
        await room.fire("udp_message", raw)
        assert raw.messages[-1].content == b""


async def test_dns_queries_are_answered_only_without_keys(store: KeyStore) -> None:
    async with running() as room:
        before, after = tflow.tdnsflow(), tflow.tdnsflow()
        await room.fire("dns_request", before)
        await room.later(store.add, "ann")
        await room.fire("dns_request", after)
        assert before.error is None
        assert after.error is not None
        assert after.error.msg == Error.KILLED_MESSAGE


async def test_a_websocket_carries_nothing_once_its_key_is_revoked(store: KeyStore, key: str) -> None:
    async with running() as room:
        flow = tflow.twebsocketflow()
        flow.request.headers["x-api-key"] = key
        flow.client_conn.proxy_mode = ProxyMode.parse(REVERSE)
        flow.response = None
        await room.fire("requestheaders", flow)
        await room.fire("websocket_message", flow)
        assert flow.websocket is not None
        before = flow.websocket.messages[-1].dropped
        await room.later(store.revoke, "ann")
        await room.fire("websocket_message", flow)
        assert (before, flow.websocket.messages[-1].dropped) == (False, True)


async def test_a_file_that_cannot_be_used_while_running_stops_everybody(store: KeyStore, key: str) -> None:
    async with running() as room:
        await room.later(store.path.write_text, "{")
        flow = await room.pass_through(request(x_api_key=key))
        assert refused(flow) == (503, "client_keys_unusable")
        assert "operator must look at proxy/keys.json" in said(flow)


async def test_a_file_that_cannot_be_used_at_the_start_is_a_problem_in_one_line(
    store: KeyStore, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.path.write_text("{")
    async with running() as room:
        assert not room.core.running_since
        assert refused(await room.pass_through(request(x_api_key=key))) == (503, "client_keys_unusable")
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert line.startswith(f"{store.path} is no list of client keys")


async def test_while_it_is_switched_off_it_asks_nobody_so_other_machines_stay_out(key: str) -> None:
    async with running() as room:
        assert room.core.asks_for_keys()
        room.addon.status.enabled = False
        assert not room.core.asks_for_keys()


async def test_health_says_whether_keys_are_asked_for_and_what_is_wrong_with_them(store: KeyStore) -> None:
    async with running() as room:
        assert room.addon.health() == {"asks_for_keys": False, "keys": 0, "problem": ""}
        await room.later(store.add, "ann")
        await room.later(store.add, "bob")
        await room.later(store.revoke, "ann")
        assert room.addon.health() == {"asks_for_keys": True, "keys": 1, "problem": ""}
        await room.later(store.path.write_text, "{")
        found = room.addon.health()
        assert (found["asks_for_keys"], found["keys"]) == (True, 0)
        assert "is no list of client keys" in str(found["problem"])


async def test_it_cannot_be_switched_off_while_the_proxy_runs() -> None:
    async with running() as room:
        with pytest.raises(Exception, match="proxy_access cannot be switched while the proxy runs"):
            room.tctx.configure(room.core, codemie_disabled=["proxy_access"])


async def test_refusals_are_logged_once_a_minute_for_each_address_and_without_the_key(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as room:
        for peer in ["10.0.0.1"] * 3 + ["10.0.0.2"]:
            await room.pass_through(request(peer=peer, x_api_key="cmk_abcd1234_wrong"))
        room.clock.now += 61
        await room.pass_through(request(peer="10.0.0.1"))
    lines = [record.getMessage() for record in caplog.records if "Refused a request" in record.getMessage()]
    assert [line.split()[4].rstrip(":") for line in lines] == ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
    assert "cmk_" not in caplog.text


async def test_no_flood_of_addresses_grows_the_memory_of_who_was_told(key: str) -> None:
    async with running() as room:
        for n in range(MOST_ADDRESSES + 50):
            await room.pass_through(request(peer=f"10.0.{n // 256}.{n % 256}"))
        assert len(room.addon._told) == MOST_ADDRESSES


async def ask_as(room: Room, host: str, mode: str = REVERSE, **headers: str) -> tuple[int, str] | None:
    flow = request(mode, **headers)
    BOOK.note_asked_host(flow.request, host)
    return refused(await room.pass_through(flow))


async def test_without_keys_web_pages_are_kept_out() -> None:
    async with running() as room:
        assert await ask_as(room, "127.0.0.1:8080") is None
        assert await ask_as(room, "evil.example:8080") == (421, "misdirected_request")
        assert await ask_as(room, "127.0.0.1:8080", origin="https://evil.example") == (400, "cross_site_request")
        assert await ask_as(room, "127.0.0.1:8080", sec_fetch_site="cross-site") == (400, "cross_site_request")
        assert await ask_as(room, "127.0.0.1:8080", sec_fetch_mode="cors") is None


async def test_the_guard_does_not_ask_whoever_has_a_key(key: str) -> None:
    async with running() as room:
        assert await ask_as(room, "build-box:8080", x_api_key=key) is None
        assert await ask_as(room, "build-box:8080", x_api_key=key, origin="https://tool.example.com") is None


async def test_the_guard_leaves_regular_mode_alone() -> None:
    async with running() as room:
        assert await ask_as(room, "", "regular", origin="https://example.org") is None


@pytest.mark.parametrize(
    "options, host",
    [
        ({}, "host.docker.internal:8080"),
        ({"codemie_proxy_access_names": ["build-box"]}, "build-box:8080"),
        ({"listen_host": "build-box"}, "build-box:8080"),
        ({"mode": ["reverse:https://api.anthropic.com@build-box:9090"]}, "build-box:9090"),
    ],
)
async def test_the_machines_own_names_pass(options: dict[str, Any], host: str) -> None:
    async with running(**options) as room:
        assert await ask_as(room, host) is None
        assert await ask_as(room, f"evil.{host}") == (421, "misdirected_request")


async def test_an_origin_that_the_operator_names_passes() -> None:
    async with running(codemie_proxy_access_origins=["https://Tool.example.com"]) as room:
        assert await ask_as(room, "localhost", origin="https://tool.example.com", sec_fetch_site="cross-site") is None
        assert await ask_as(room, "localhost", origin="https://evil.example") == (400, "cross_site_request")


@pytest.mark.parametrize("option, value", [("names", "http://build-box"), ("origins", "tool.example.com")])
async def test_a_name_or_origin_that_is_none_is_a_problem(
    option: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(**{f"codemie_proxy_access_{option}": [value]}) as room:
        assert not room.core.running_since
    assert f"codemie_proxy_access_{option}" in caplog.text


async def test_nothing_is_dialed_before_a_request_has_passed() -> None:
    async with running() as room:
        assert room.tctx.options.connection_strategy == "lazy"
