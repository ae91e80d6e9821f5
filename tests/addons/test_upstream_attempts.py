"""The policy of the attempt machine, in process: plans, paths, ways out, and what it asks of mitmproxy."""

from __future__ import annotations

import base64
import json
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import certifi
import pytest
import trustme
from mitmproxy import connection, exceptions, hooks, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow, tutils

from codemie_core import loading
from codemie_core.core_addon import CoreAddon, core_of
from codemie_core.errors import UnsupportedMitmproxy
from codemie_core.exchange import BOOK, exchange_of
from codemie_core.policy import AttemptPlan
from codemie_core.seams import install
from upstream_attempts import UpstreamAttempts, addons

OPTION = "codemie_upstream_attempts"
REVERSE = "reverse:https://api.anthropic.com"
STREAM = json.dumps({"model": "m", "stream": True}).encode()


@pytest.fixture(autouse=True)
def new_book() -> Iterator[None]:
    yield
    BOOK.__init__()  # type: ignore[misc] # one process runs one proxy; the next test starts with a new book


@asynccontextmanager
async def running(addon: UpstreamAttempts | None = None, **options: Any) -> AsyncIterator[taddons.context]:
    """The addon at work, with mitmproxy's own that declare the options it looks at."""
    addon = addon or UpstreamAttempts()
    script = SimpleNamespace(name="script", addons=[addon])
    with taddons.context(Proxyserver(), script) as tctx:
        tctx.options.update(**options)
        tctx.master.addons.invoke_addon_sync(script, hooks.ConfigureHook(tctx.options.keys()))
        core = tctx.master.addons.get(CoreAddon.name)
        tctx.master.addons.chain.remove(core)
        tctx.master.addons.chain.append(core)
        await tctx.master.addons.invoke_addon(script, hooks.RunningHook())
        core.running()
        yield tctx
        await tctx.master.addons.trigger_event(hooks.DoneHook())


def request(mode: str = REVERSE, host: str = "api.anthropic.com", **kwargs: Any) -> http.HTTPFlow:
    wanted = {"host": host, "port": 443, "scheme": b"https", "path": b"/v1/messages", "content": STREAM, **kwargs}
    flow = tflow.tflow(req=tutils.treq(**wanted))
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    flow.server_conn = connection.Server(address=(host, 443))
    return flow


async def adopted(tctx: taddons.context, flow: http.HTTPFlow) -> AttemptPlan | None:
    for hook in ("requestheaders", "request"):
        await tctx.master.addons.trigger_event(hooks.all_hooks[hook](flow))
    return exchange_of(flow).plan


async def test_the_defaults_are_those_of_the_machine() -> None:
    async with running() as tctx:
        assert await adopted(tctx, request()) == AttemptPlan(first_byte_timeout=300)
        assert await adopted(tctx, request(content=b"{}")) == AttemptPlan(first_byte_timeout=900)


async def test_every_setting_reaches_the_plan() -> None:
    options: dict[str, Any] = {
        "max_attempts": 5,
        "retry_statuses": ["500", "529"],
        "backoff": "1s",
        "backoff_max": "2s",
        "budget": "3s",
        "connect_timeout": "4s",
        "first_byte_timeout": "5s",
        "first_byte_timeout_plain": "6s",
        "idle_timeout": "7s",
        "keepalive": "8s",
        "max_request_size": "9k",
    }
    async with running(None, **{f"{OPTION}_{name}": value for name, value in options.items()}) as tctx:
        plan = await adopted(tctx, request())
        assert plan == AttemptPlan(5, frozenset({500, 529}), 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 8.0, max_request_bytes=9216)
        plain = await adopted(tctx, request(content=b"{}"))
        assert plain is not None
        assert plain.first_byte_timeout == 6.0


async def test_a_live_change_reaches_the_next_request() -> None:
    async with running() as tctx:
        tctx.options.update(**{f"{OPTION}_max_attempts": 9})
        plan = await adopted(tctx, request())
        assert plan is not None
        assert plan.max_attempts == 9


@pytest.mark.parametrize("kind", ["out of scope", "replayed", "answered"])
async def test_what_the_machine_does_not_run(kind: str) -> None:
    async with running() as tctx:
        flow = request("regular", "other.example.com") if kind == "out of scope" else request()
        if kind == "replayed":
            flow.is_replay = "request"
        await tctx.master.addons.trigger_event(hooks.all_hooks["requestheaders"](flow))
        before = exchange_of(flow).plan
        if kind == "answered":
            flow.response = tutils.tresp()
            assert before is not None
        else:
            assert before is None
        await tctx.master.addons.trigger_event(hooks.all_hooks["request"](flow))
        assert exchange_of(flow).plan is before


async def test_every_response_streams() -> None:
    async with running() as tctx:
        flow = request()
        flow.response = tutils.tresp()
        await tctx.master.addons.trigger_event(hooks.all_hooks["responseheaders"](flow))
        assert flow.response.stream is True


@pytest.mark.parametrize(
    "mode, path, target_path, expected",
    [
        (REVERSE, "/v1/messages?x=1", "", "/v1/messages?x=1"),
        (REVERSE, "/v1/messages?x=1", "/code-assistant-api/", "/code-assistant-api/v1/messages?x=1"),
        (REVERSE, "/code-assistant-api/v1/messages", "/code-assistant-api", "/code-assistant-api/v1/messages"),
        ("regular", "/v1/messages", "/code-assistant-api", "/v1/messages"),
    ],
)
async def test_the_path_of_the_target_comes_first_in_reverse_mode(
    mode: str, path: str, target_path: str, expected: str
) -> None:
    async with running(None, **{f"{OPTION}_target_path": target_path}) as tctx:
        for _ in range(2):
            flow = request(mode, path=path.encode())
            await adopted(tctx, flow)
            assert flow.request.path == expected


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("reverse:https://codemie.example.com", "/code-assistant-api/v1/messages"),
        ("reverse:https://codemie.example.com:8443", "/v1/messages"),
        ("reverse:https://other.example.com", "/v1/messages"),
    ],
)
async def test_the_profile_says_the_path_of_its_own_host(mode: str, expected: str, codemie_home: Path) -> None:
    codemie_home.mkdir()
    profile = {"provider": "ai-run-sso", "baseUrl": "https://codemie.example.com/code-assistant-api"}
    (codemie_home / "codemie-cli.config.json").write_text(json.dumps(profile))
    async with running() as tctx:
        flow = request(mode)
        await adopted(tctx, flow)
        assert flow.request.path == expected


async def test_a_live_change_of_the_path_counts_at_once() -> None:
    async with running() as tctx:
        await adopted(tctx, request())
        tctx.options.update(**{f"{OPTION}_target_path": "/api"})
        flow = request()
        await adopted(tctx, flow)
        assert flow.request.path == "/api/v1/messages"


PASSWORD = "planted-outbound-pass"
OUTBOUND = f"http://someone:{PASSWORD}@proxy.example.com:3128"


async def test_the_environment_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", OUTBOUND)
    monkeypatch.setenv("NO_PROXY", "direct.example.com")
    async with running() as tctx:
        plan = await adopted(tctx, request())
        assert plan is not None
        proxy = plan.egress.via("https", "api.anthropic.com", 443)
        assert proxy is not None
        assert proxy.address == ("http", ("proxy.example.com", 3128))
        assert PASSWORD not in repr(exchange_of(request()))
        assert PASSWORD not in repr(plan)
        # What mitmproxy connects by itself goes the same way.
        theirs = request("regular", "other.example.com")
        await adopted(tctx, theirs)
        assert theirs.server_conn.via == proxy.address
        direct = request("regular", "direct.example.com")
        await adopted(tctx, direct)
        assert direct.server_conn.via is None
        assert PASSWORD not in repr(tctx.options.items())


async def test_a_connection_that_stands_keeps_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", OUTBOUND)
    async with running() as tctx:
        flow = request("regular", "other.example.com")
        flow.server_conn.state = connection.ConnectionState.OPEN
        await adopted(tctx, flow)
        assert flow.server_conn.via is None


@pytest.mark.parametrize(
    "address, signed_in", [(("proxy.example.com", 3128), True), (("other.example.com", 3128), False)]
)
async def test_the_outbound_proxy_alone_gets_its_password(
    address: tuple[str, int], signed_in: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", OUTBOUND)
    monkeypatch.setenv("HTTP_PROXY", "http://other.example.com:3128")
    async with running() as tctx:
        connect = request(method=b"CONNECT")
        connect.server_conn = connection.Server(address=address)
        await tctx.master.addons.trigger_event(hooks.all_hooks["http_connect_upstream"](connect))
        sent = connect.request.headers.get("proxy-authorization", "").removeprefix("Basic ")
        assert base64.b64decode(sent) == (f"someone:{PASSWORD}".encode() if signed_in else b"")


async def test_a_proxy_that_cannot_be_used_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://someone:{PASSWORD}@proxy")
    async with running() as tctx:
        assert tctx.master.addons.get(CoreAddon.name).running_since is None
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert line == "HTTPS_PROXY is not the URL of an HTTP proxy: write http://host:port"


async def test_a_proxy_that_cannot_be_used_is_told_when_the_addon_is_switched_on_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addon = UpstreamAttempts()
    async with running(addon, codemie_disabled=["upstream_attempts"]) as tctx:
        monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy")
        tctx.options.update(codemie_disabled=[])
        assert addon.status.mishaps == {"start": 1}
        assert "HTTPS_PROXY is not the URL" in (addon.status.error or "")


async def test_this_very_proxy_is_no_way_out(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:8080")
    monkeypatch.setattr(CoreAddon, "listening", lambda self: [("127.0.0.1", 8080)])
    async with running() as tctx:
        plan = await adopted(tctx, request())
        assert plan is not None
        assert not plan.egress.proxies
    assert "HTTPS_PROXY or HTTP_PROXY points at this very proxy and is ignored" in caplog.messages


async def test_mitmproxy_connects_lazily_and_waits_longer_than_we_do() -> None:
    async with running() as tctx:
        assert (tctx.options.connection_strategy, tctx.options.tcp_timeout) == ("lazy", 3600)


async def test_a_timeout_of_the_operator_s_own_stays() -> None:
    with taddons.context(Proxyserver()) as tctx:
        tctx.options.update(tcp_timeout=77)
        tctx.master.addons.add(UpstreamAttempts())
        assert tctx.options.tcp_timeout == 77


@pytest.mark.parametrize(
    "option, value, says",
    [
        ("stream_large_bodies", "1m", "leave it unset"),
        ("connection_strategy", "eager", "must stay lazy"),
        *((f"{OPTION}_retry_statuses", [word], "numbers from 400 to 599") for word in ("200", "600", "5xx", "-1")),
        *((f"{OPTION}_target_path", path, "begin with a slash") for path in ("v1", "/v1?x=1", "/v1#x")),
    ],
)
async def test_what_cannot_work_is_refused(option: str, value: object, says: str) -> None:
    async with running() as tctx:
        with pytest.raises(exceptions.OptionsError, match=f"{option}.*{says}"):
            tctx.options.update(**{option: value})


async def test_unchecked_certificates_are_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with taddons.context() as tctx:
        tctx.options.update(ssl_insecure=True)
        addon = UpstreamAttempts()
        tctx.master.addons.add(Proxyserver(), addon)
        tctx.master.addons.invoke_addon_sync(addon, hooks.ConfigureHook(tctx.options.keys()))
    assert "ssl_insecure is set: certificates of upstreams are not checked" in caplog.messages


@pytest.fixture
def own_ca(tmp_path: Path) -> Path:
    file = tmp_path / "own.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    return file


async def test_authorities_of_the_operator_s_own_are_trusted_beside_the_usual_ones(own_ca: Path) -> None:
    addon = UpstreamAttempts()
    async with running(addon, **{f"{OPTION}_ca_file": str(own_ca)}) as tctx:
        bundle = tctx.options.ssl_verify_upstream_trusted_ca
        assert Path(bundle).parent == core_of(addon).places.ca
        usual, both = (ssl.create_default_context(cafile=file) for file in (certifi.where(), bundle))
        assert len(both.get_ca_certs()) == len(usual.get_ca_certs()) + 1
        with pytest.raises(exceptions.OptionsError, match=f"{OPTION}_ca_file cannot be changed while the proxy runs"):
            tctx.options.update(**{f"{OPTION}_ca_file": ""})
        tctx.options.update(**{f"{OPTION}_max_attempts": 4})
        assert addon.settings.max_attempts == 4


async def test_two_answers_to_whom_to_trust_are_one_too_many(own_ca: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = {f"{OPTION}_ca_file": str(own_ca), "ssl_verify_upstream_trusted_ca": certifi.where()}
    async with running(None, **own) as tctx:
        assert tctx.options.ssl_verify_upstream_trusted_ca == certifi.where()
    assert any("are both set; keep one of them" in message for message in caplog.messages)


async def test_a_client_may_open_as_many_upstream_connections_as_the_setting_says() -> None:
    async with running(None, **{f"{OPTION}_max_connections": 7}) as tctx:
        server = tctx.master.addons.get("proxyserver")
        client = connection.Client(peername=("127.0.0.1", 5), sockname=("127.0.0.1", 8080), timestamp_start=1.0)
        await tctx.master.addons.trigger_event(hooks.all_hooks["client_connected"](client))
        handler = server.connections[client.id] = SimpleNamespace(max_conns={}, drain_writers=None)
        await tctx.master.addons.trigger_event(hooks.all_hooks["client_connected"](client))
        assert handler.max_conns["upstream"]._value == 7


async def test_a_mitmproxy_of_another_shape_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise UnsupportedMitmproxy("upstream attempts: mitmproxy 99 found")

    monkeypatch.setattr(install, "install", refuse)
    async with running() as tctx:
        assert tctx.master.addons.get(CoreAddon.name).running_since is None
    assert "upstream attempts: mitmproxy 99 found" in caplog.messages


def test_the_bundle_lists_it() -> None:
    [addon] = addons
    assert (addon.name, addon.priority, addon.fail) == ("upstream_attempts", 0, "open")
    assert loading.left_out == []
