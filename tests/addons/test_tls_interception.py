"""Which CONNECT is opened, in process; through real proxies: process/test_https_interception.py."""

from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import connection, http, tls
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow, tutils

from codemie_core.core_addon import CoreAddon
from codemie_core.egress import OutboundProxy
from codemie_core.seams.tunnel import Gated, ordered_tunnel
from support.core_room import Room, running
from tls_interception import TlsInterception

CLAUDE = "api.anthropic.com"


def connect(host: str, mode: str = "regular", port: int = 443) -> http.HTTPFlow:
    flow = tflow.tflow(req=tutils.treq(method=b"CONNECT", host=host, port=port, path=b""))
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    return flow


def hello(
    host: str | None, name: str | None, offers: tuple[bytes, ...] = (), mode: str = "regular"
) -> tls.ClientHelloData:
    client = tflow.tclient_conn()
    client.proxy_mode, client.alpn_offers, client.alpn = ProxyMode.parse(mode), offers, None
    server = connection.Server(address=(host, 443) if host else None)
    context: Any = SimpleNamespace(client=client, server=server, layers=[])
    said: Any = SimpleNamespace(sni=name)
    return tls.ClientHelloData(context, said)


@pytest.mark.parametrize(
    "host, mode, opened",
    [
        (CLAUDE, "regular", True),
        (CLAUDE.upper(), "regular", True),
        (CLAUDE, "upstream:http://127.0.0.1:9", True),
        ("mine.test", "regular", True),
        ("github.com", "regular", False),
        ("github.com", "upstream:http://127.0.0.1:9", False),
        (f"{CLAUDE}.example.com", "regular", False),
        ("127.0.0.1", "regular", False),
        # Where clients name no host by CONNECT mitmproxy decides as ever.
        ("github.com", "reverse:https://a.example.com", True),
        ("github.com", "socks5", True),
    ],
)
async def test_only_listed_hosts_are_opened(host: str, mode: str, opened: bool) -> None:
    async with running(TlsInterception()) as room:
        room.options.update(codemie_tls_interception_hosts=["mine.test:443"])
        flow = connect(host, mode)
        await room.fire("http_connect", flow)
        assert (ordered_tunnel(flow) is None) is opened


async def test_what_the_bundle_acts_on_is_what_is_opened() -> None:
    async with running(TlsInterception()) as room:
        room.options.update(codemie_hosts=["mine.test"])
        room.core.further_hosts["rules"] = ("further.test",)
        flows = {host: connect(host) for host in ("mine.test", "further.test", CLAUDE)}
        for flow in flows.values():
            await room.fire("http_connect", flow)
    assert [host for host, flow in flows.items() if ordered_tunnel(flow) is None] == ["mine.test", "further.test"]


async def test_a_list_that_the_user_gave_mitmproxy_counts_instead() -> None:
    async with running(TlsInterception()) as room:
        room.options.add_option(
            "allow_hosts", list, [r"^github\.com"], ""
        ) if "allow_hosts" not in room.options else None
        room.options.update(allow_hosts=[r"^github\.com"])
        flow = connect("github.com")
        await room.fire("http_connect", flow)
        assert ordered_tunnel(flow) is None


async def test_a_tunnel_takes_the_way_out_and_ends_with_its_key() -> None:
    async with running(TlsInterception()) as room:
        flow = connect("github.com")
        clients: list[object] = []

        def may_pass(client: object) -> bool:
            clients.append(client)
            return False

        room.core.tunnels.way_out = lambda scheme, host, port: OutboundProxy("http", f"{scheme}-{host}", port)
        room.core.tunnels.may_pass = may_pass
        await room.fire("http_connect", flow)
        order = ordered_tunnel(flow)
        assert order is not None
        assert order.via == ("http", ("https-github.com", 443))
        assert not order.may_pass()
        assert clients == [flow.client_conn]


async def test_what_is_opened_takes_the_way_out_where_there_is_one() -> None:
    async with running(TlsInterception()) as room:
        room.core.tunnels.way_out = lambda scheme, host, port: OutboundProxy("http", "outer.test", 3128)
        flow = connect(CLAUDE)
        await room.fire("http_connect", flow)
        order = ordered_tunnel(flow)
        assert order is not None
        assert (order.opened, order.via) == (True, ("http", ("outer.test", 3128)))


@pytest.mark.parametrize("broken", ["acts_on", "way_out"])
async def test_when_it_fails_nothing_is_opened_and_the_tunnel_stands(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise RuntimeError("no answer")

    addon = TlsInterception()
    async with running(addon) as room:
        if broken == "acts_on":
            monkeypatch.setattr(CoreAddon, "acts_on", fail)
        else:
            room.core.tunnels.way_out = fail
        flow = connect("github.com")
        await room.fire("http_connect", flow)
        assert flow.response is None
        assert ordered_tunnel(flow) is not None
        assert addon.status.mishaps["http_connect"] == 1
        if broken == "acts_on":
            data = hello(CLAUDE, CLAUDE)
            await room.fire("tls_clienthello", data)
            assert data.ignore_connection


@pytest.mark.parametrize(
    "host, name, ignored",
    [
        (CLAUDE, CLAUDE, False),
        (CLAUDE, None, False),
        (CLAUDE, "api.openai.com", False),  # Opened, but no credential goes along: see the wire copy.
        (CLAUDE, "github.com", True),
        (None, "proxy.test", False),
    ],
)
async def test_the_name_in_the_handshake_has_to_be_listed_too(
    host: str | None, name: str | None, ignored: bool
) -> None:
    async with running(TlsInterception()) as room:
        data = hello(host, name)
        await room.fire("tls_clienthello", data)
        assert data.ignore_connection is ignored


@pytest.mark.parametrize("name, guarded", [(CLAUDE, False), ("github.com", True)])
async def test_what_is_not_opened_after_all_ends_with_its_key(name: str, guarded: bool) -> None:
    async with running(TlsInterception()) as room:
        room.core.tunnels.may_pass = lambda client: False
        data, connecting = hello(CLAUDE, name), Gated()
        data.context.layers.append(connecting)  # type: ignore[arg-type] # of a layer no more is asked
        await room.fire("tls_clienthello", data)
        assert connecting.passes() is not guarded


H1, H2 = b"http/1.1", b"h2"


@pytest.mark.parametrize(
    "host, offers, mode, left",
    [
        ("chatgpt.com", (H2, H1), "regular", ((H1,), H1)),
        ("chatgpt.com", (H1,), "regular", ((H1,), H1)),
        ("chatgpt.com", (H2,), "regular", ((H2,), None)),
        ("chatgpt.com", (), "regular", ((), None)),
        ("openrouter.ai", (H2, H1), "regular", ((H2, H1), None)),
        ("chatgpt.com", (H2, H1), "reverse:https://chatgpt.com", ((H2, H1), None)),
    ],
)
async def test_http2_is_not_offered_where_agents_open_websockets(
    host: str, offers: tuple[bytes, ...], mode: str, left: tuple[tuple[bytes, ...], bytes | None]
) -> None:
    async with running(TlsInterception()) as room:
        data = hello(host, host, offers, mode)
        await room.fire("tls_clienthello", data)
        assert (tuple(data.context.client.alpn_offers), data.context.client.alpn) == left


async def test_a_pattern_that_is_none_is_refused() -> None:
    async with running(TlsInterception()) as room:
        await _refused(room, codemie_tls_interception_hosts=["https://a.test"])


async def _refused(room: Room, **options: object) -> None:
    with pytest.raises(Exception, match="host pattern"):
        room.options.update(**options)
