"""Many hosts share an address. Whatever name a client gives, in whatever place, the session is for the gateway's own.

The server here answers to every name and writes down by which one it was asked, on the wire and in the TLS handshake.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
from pydantic import SecretStr

from codemie_core.demo.absent import closed_port
from codemie_core.demo.received import Received
from codemie_core.demo.upstream import Upstream
from codemie_core.places import Places
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from support import certificates
from support.certificates import Authority, ca_of
from support.proxy import Mitmproxy, reverse
from support.raw_client import raw_client
from support.shared import shared_proxy

PLANTED = "planted-session-0123456789"
PREFIX = "/code-assistant-api"
PATH = f"{PREFIX}/v1/messages"
OTHER = "other.test"


def options_for(url: str, home: Path) -> dict[str, object]:
    """Of a proxy that signs requests to this gateway; the session is in the store."""
    CredentialStore(Places(home)).write(url, Session(url, {"planted": SecretStr(PLANTED)}))
    return {"codemie_sso_auth_url": url}


def was_signed(request: Received) -> bool:
    return PLANTED in str(request.headers)


def names(request: Received) -> list[str]:
    """By which hosts it was asked, as the server is told."""
    hosts = [value for key, value in request.headers if key.lower() == "host"]
    return [*hosts, request.authority] if request.http_version == "2" else hosts


async def say(port: int, *lines: str) -> bytes:
    """Send one request head as it is; the head of the answer."""
    async with raw_client(port) as client:
        await client.send("".join(f"{line}\r\n" for line in (*lines, "Content-Length: 0", "")).encode())
        return await client.until(b"\r\n\r\n")


@pytest.fixture(scope="module")
def port() -> int:
    return closed_port()


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Mitmproxy]:
    home = tmp_path_factory.mktemp("regular")
    options = options_for(f"http://127.0.0.1:{port}{PREFIX}", home / ".codemie")
    with shared_proxy(home, options=options) as proxy:
        yield proxy


@pytest.fixture
async def gateway(port: int) -> AsyncIterator[Upstream]:
    async with Upstream(port=port, prefix=PREFIX) as running:
        yield running


@pytest.mark.parametrize(
    "hosts", [(f"Host: {OTHER}",), (f"Host: {OTHER}", "Host: b"), ("Host: a", f" {OTHER}"), ()], ids=repr
)
async def test_in_regular_mode_the_gateway_is_asked_by_its_own_name(
    gateway: Upstream, regular: Mitmproxy, hosts: tuple[str, ...]
) -> None:
    await say(regular.port, f"POST http://127.0.0.1:{gateway.port}{PATH} HTTP/1.1", *hosts)
    await say(regular.port, f"POST http://127.0.0.1:{gateway.port}/admin HTTP/1.1", f"Host: {OTHER}")
    first, second = gateway.requests
    assert (was_signed(first), names(first)) == (True, [f"127.0.0.1:{gateway.port}"])
    assert (was_signed(second), names(second)) == (False, [OTHER])


async def test_in_reverse_mode_an_absolute_target_names_no_other_host(gateway: Upstream, codemie_home: Path) -> None:
    options = options_for(gateway.url, codemie_home) | {"codemie_upstream_attempts_target_path": PREFIX}
    with reverse(f"http://127.0.0.1:{gateway.port}", options=options) as proxy:
        await say(proxy.port, f"POST http://{OTHER}/v1/messages HTTP/1.1", "Host: localhost")
    [request] = gateway.requests
    assert (was_signed(request), request.target) == (True, PATH)
    assert OTHER not in str(request.headers)


async def test_a_request_that_is_to_be_echoed_takes_no_session_along(gateway: Upstream, regular: Mitmproxy) -> None:
    await say(regular.port, f"TRACE http://127.0.0.1:{gateway.port}{PATH} HTTP/1.1", "Host: x")
    [request] = gateway.requests
    assert not was_signed(request)


@pytest.fixture(scope="module")
def tunneled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mitmproxy, Authority, int]]:
    """The proxy, who signs for the gateway, and the gateway's port."""
    home, port = tmp_path_factory.mktemp("tunneling"), closed_port()
    authority = Authority(home)
    options = options_for(f"https://localhost:{port}{PREFIX}", home / ".codemie")
    trust = {"codemie_upstream_attempts_ca_file": authority.pem, "codemie_tls_interception_hosts": OTHER}
    with shared_proxy(home, options=options | trust) as proxy:
        yield proxy, authority, port


@pytest.fixture
async def secure(tunneled: tuple[Mitmproxy, Authority, int]) -> AsyncIterator[Upstream]:
    """Has a certificate for the gateway's name and for another."""
    _, authority, port = tunneled
    async with Upstream(authority.server("localhost", OTHER), port=port, prefix=PREFIX) as running:
        yield running


@pytest.fixture
def tunneling(tunneled: tuple[Mitmproxy, Authority, int]) -> Mitmproxy:
    return tunneled[0]


async def tunnel(
    proxy: Mitmproxy, port: int, name: str, alpn: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Through CONNECT to the gateway, with TLS to a server of this name."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(f"CONNECT localhost:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    trust: ssl.SSLContext = certificates.client(ca_of(proxy.confdir), alpn)
    await writer.start_tls(trust, server_hostname=name)
    return reader, writer


@pytest.mark.parametrize(
    "name, target, signed",
    [("localhost", PATH, True), ("localhost", f"https://{OTHER}{PATH}", True), (OTHER, PATH, False)],
    ids=["its own name", "an absolute target", "another name in the handshake"],
)
async def test_in_a_tunnel_a_server_gets_the_session_by_the_gateways_name_alone(
    secure: Upstream, tunneling: Mitmproxy, name: str, target: str, signed: bool
) -> None:
    async with asyncio.timeout(60):
        reader, writer = await tunnel(tunneling, secure.port, name, "http/1.1")
        writer.write(f"POST {target} HTTP/1.1\r\nHost: {OTHER}\r\nContent-Length: 0\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
    [request] = secure.requests
    assert (was_signed(request), request.target) == (signed, PATH)
    assert names(request) == [f"localhost:{secure.port}" if signed else OTHER]


@pytest.mark.parametrize(
    "method, path, signed", [("POST", PATH, True), ("GET /admin", PATH, False), ("POST", f"{PREFIX}/.. x", False)]
)
async def test_http2_names_no_other_host_and_hides_no_other_path(
    secure: Upstream, tunneling: Mitmproxy, method: str, path: str, signed: bool
) -> None:
    async with asyncio.timeout(60):
        reader, writer = await tunnel(tunneling, secure.port, "localhost", "h2")
        connection = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        connection.initiate_connection()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", OTHER), (":path", path)]
        connection.send_headers(1, pseudo, end_stream=True)
        writer.write(connection.data_to_send())
        events: list[h2.events.Event] = []
        while not any(isinstance(event, h2.events.ResponseReceived) for event in events):
            events += connection.receive_data(await reader.read(65536))
        writer.transport.abort()
    [request] = secure.requests
    assert was_signed(request) is signed
    assert names(request) == [f"localhost:{secure.port}" if signed else OTHER]
