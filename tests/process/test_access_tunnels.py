"""Who gets through a proxy that asks for keys by the other ways in: CONNECT, absolute form, SOCKS, raw TCP, DNS."""

import asyncio
import base64
import json
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anthropic
import h2.config
import h2.connection
import httpx
import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.demo.received import Received
from codemie_core.demo.threaded import UpstreamThread
from codemie_core.demo.upstream import Upstream
from support import certificates
from support.access import Door, KeyedWebSocket, door, holds, until
from support.certificates import Authority, ca_of
from support.clients import Answer, Http2
from support.connect_proxy import ConnectProxy

WRONG = "cmk_abcd1234_" + "x" * 43
PROVIDER = {"authorization": "Bearer sk-ant-planted-provider"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tunnels")


@pytest.fixture(scope="module")
def secure(home: Path) -> Iterator[UpstreamThread]:
    """An upstream behind TLS, and the file that whoever trusts it reads."""
    with UpstreamThread(tls=Authority(home).server()) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(home: Path, secure: UpstreamThread) -> Iterator[Door]:
    """In regular mode; it acts on localhost and on nothing else, and decrypts 127.0.0.1 too."""
    options = {
        "codemie_hosts": ["localhost"],
        "codemie_tls_interception_hosts": ["127.0.0.1"],
        "codemie_upstream_attempts_ca_file": home / "authority.pem",
        "flow_detail": 4,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("CODEMIE_HOME", str(home / ".codemie"))
        with door("-w", str(home / "saved"), target="regular", options=options) as found:
            yield found


def url_of(gate: Door, key: str = "", user: str = "ann") -> str:
    """For HTTPS_PROXY."""
    return f"http://{user}:{key}@127.0.0.1:{gate.proxy.port}" if key else gate.proxy.url


def through(gate: Door, proxy: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        proxy=proxy, verify=certificates.client(ca_of(gate.proxy.confdir)), trust_env=False, timeout=60
    )


def arrived(upstream: UpstreamThread) -> list[Received]:
    return list(upstream.upstream.requests)


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("key", ["", WRONG])
async def test_without_a_good_key_neither_a_tunnel_nor_a_request_gets_through(
    gate: Door, secure: UpstreamThread, scheme: str, key: str
) -> None:
    upstream = secure if scheme == "https" else gate.upstream
    before = len(arrived(upstream))
    async with through(gate, url_of(gate, key)) as client:
        url = f"{scheme}://localhost:{upstream.upstream.port}/v1/messages"
        if scheme == "https":
            with pytest.raises(httpx.ProxyError, match="407"):
                await client.post(url, json={}, headers=PROVIDER)
        else:
            answer = await client.post(url, json={}, headers=PROVIDER)
            assert answer.status_code == 407
            assert answer.headers["proxy-authenticate"] == 'Basic realm="codemie-proxy"'
            assert "codemie-proxy keys add" in answer.json()["error"]["message"]
    assert len(arrived(upstream)) == before


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["in scope", "out of scope"])
@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_a_key_in_the_proxys_url_opens_and_is_not_sent_on(
    gate: Door, secure: UpstreamThread, scheme: str, host: str
) -> None:
    upstream = secure if scheme == "https" else gate.upstream
    async with through(gate, url_of(gate, gate.keys["ann"])) as client:
        for _ in range(2):
            answer = await client.post(f"{scheme}://{host}:{upstream.upstream.port}/v1/messages", headers=PROVIDER)
            assert answer.status_code == 200
    for received in arrived(upstream)[-2:]:
        assert received.header("authorization") == PROVIDER["authorization"]
        assert received.header("proxy-authorization") is None


@pytest.mark.parametrize("hosts", ["localhost", "models.test"], ids=["in scope", "out of scope"])
async def test_a_password_for_this_proxy_is_never_sent_on(hosts: str) -> None:
    """Nobody asks for it; a client that has one in its proxy's URL sends it all the same."""
    with door(target="regular", keys=(), options={"codemie_hosts": hosts}) as found:
        async with httpx.AsyncClient(proxy=url_of(found, "planted-password"), trust_env=False, timeout=60) as client:
            answer = await client.get(f"http://localhost:{found.upstream.upstream.port}/v1/models")
            assert answer.status_code == 200
    assert [request.header("proxy-authorization") for request in found.received()] == [None]


@pytest.mark.parametrize("good", [True, False])
def test_curl_signs_in_by_the_proxys_url(gate: Door, secure: UpstreamThread, good: bool) -> None:
    proxy = url_of(gate, gate.keys["bob"] if good else WRONG, "Bob%20B")
    command = ["curl", "-sS", "--cacert", str(ca_of(gate.proxy.confdir)), "-d", "{}"]
    command.append(f"https://localhost:{secure.upstream.port}/v1/messages")
    done = subprocess.run(command, env={"HTTPS_PROXY": proxy}, capture_output=True, text=True, timeout=60, check=False)
    if good:
        assert json.loads(done.stdout)["type"] == "message"
    else:
        assert done.returncode == 56
        assert "407" in done.stderr


async def test_an_sdk_signs_in_by_https_proxy(
    gate: Door, secure: UpstreamThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url_of(gate, gate.keys["ann"]))
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_of(gate.proxy.confdir)))
    url = f"https://localhost:{secure.upstream.port}"
    async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-own", max_retries=0) as client:
        await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])
    assert arrived(secure)[-1].header("authorization") == "Bearer sk-ant-own"


@asynccontextmanager
async def tunnel(
    gate: Door, port: int, key: str, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection through CONNECT."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.proxy.port)
    try:
        await connect(reader, writer, port, key)
        if tls is not None:
            await writer.start_tls(tls, server_hostname="localhost")
        yield reader, writer
    finally:
        writer.transport.abort()


async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, key: str) -> None:
    signature = base64.b64encode(f"ann:{key}".encode()).decode()
    writer.write(f"CONNECT localhost:{port} HTTP/1.1\r\nProxy-Authorization: Basic {signature}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head


async def test_http2_inside_a_tunnel_goes_through_the_same_gate(gate: Door, secure: UpstreamThread) -> None:
    tls = certificates.client(ca_of(gate.proxy.confdir), "h2")
    async with (
        tunnel(gate, secure.upstream.port, gate.keys["ann"], tls) as (reader, writer),
        Tunneled(reader, writer) as client,
    ):
        answer = await client.ask("POST", "/v1/messages", list(PROVIDER.items()), b"{}")
        keyed = await client.ask("POST", "/v1/messages", [("x-api-key", gate.keys["bob"])], b"{}")
        wrong = await client.ask("POST", "/v1/messages", [("x-api-key", WRONG)], b"{}")
    assert (answer.status, keyed.status, wrong.status) == (200, 200, 401)
    assert arrived(secure)[-2].header("authorization") == PROVIDER["authorization"]
    assert arrived(secure)[-1].header("x-api-key") is None


class Tunneled(Http2):
    """HTTP/2 over a connection that is there already."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams = reader, writer

    async def __aenter__(self) -> "Tunneled":
        self.reader, self.writer = self._streams
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self._flush()
        self.answers: dict[int, Answer] = {}
        self._done: dict[int, asyncio.Event] = {}
        self._changed = asyncio.Condition()
        self.auto_window = True
        self._task = asyncio.get_running_loop().create_task(self._receive())
        return self


async def test_a_websocket_through_a_tunnel_needs_the_tunnels_key_alone(gate: Door) -> None:
    class ThroughTunnel(KeyedWebSocket):
        async def before(self) -> None:
            await connect(self._reader, self._writer, gate.upstream.upstream.port, gate.keys["ann"])

    async with ThroughTunnel(gate.proxy.port, "/v1/responses", PROVIDER) as websocket:
        await websocket.say(json.dumps({"type": "response.create", "model": "m", "input": "Hello"}))
        assert json.loads(await websocket.hear())["type"] == "response.created"
    assert arrived(gate.upstream)[-1].header("authorization") == PROVIDER["authorization"]


async def raw_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, extra: str = "") -> int:
    writer.write(f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n{extra}\r\n{{}}".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    await reader.readexactly(int(lengths[0]))
    return int(head.split(b" ")[1])


async def test_a_revoked_key_stops_an_open_tunnel_at_its_next_request(gate: Door) -> None:
    key = gate.add("carol")
    await asyncio.to_thread(until, lambda: good_keys(gate) == 3)
    port = gate.upstream.upstream.port
    async with asyncio.timeout(60), tunnel(gate, port, key) as (reader, writer):
        assert await raw_request(reader, writer) == 200
        gate.store.revoke("carol")
        await asyncio.to_thread(until, lambda: good_keys(gate) == 2)
        before = len(arrived(gate.upstream))
        assert await raw_request(reader, writer) == 401
        assert await raw_request(reader, writer, f"x-api-key: {gate.keys['bob']}\r\n") == 200
    assert len(arrived(gate.upstream)) == before + 1


def good_keys(gate: Door) -> int:
    """How many keys the proxy knows to be good."""
    [found] = [addon for addon in gate.proxy.health()["addons"] if addon["name"] == "proxy_access"]
    count: int = found["details"]["keys"]
    return count


async def test_no_key_is_in_what_upstream_log_health_and_saved_flows_hold(
    home: Path, gate: Door, secure: UpstreamThread
) -> None:
    """Stands last of those that share the proxy: after all they sent."""
    async with through(gate, url_of(gate, gate.keys["ann"])) as client:
        for scheme, upstream in (("https", secure), ("http", gate.upstream)):
            await client.post(f"{scheme}://localhost:{upstream.upstream.port}/v1/messages", json={}, headers=PROVIDER)
    health = json.dumps(gate.proxy.health())
    gate.proxy.stop()
    sent = repr([(found.target, found.headers) for side in (secure, gate.upstream) for found in arrived(side)])
    wire = [base64.b64encode(f"ann:{key}".encode()).decode() for key in gate.keys.values()]
    saved = home / "saved"
    assert b"/v1/messages" in saved.read_bytes()
    assert holds([sent, health, gate.proxy.log, saved, *gate.written()], [*gate.secrets(), *wire, WRONG[-43:]]) == []


class Echo:
    """Says what it hears, and keeps it."""

    def __init__(self) -> None:
        self.heard = b""
        self.connections = 0

    async def __aenter__(self) -> "Echo":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while data := await reader.read(1000):
                self.heard += data
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


def hello(name: str) -> bytes:
    """What a client of this name says first."""
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


@pytest.mark.parametrize("first", [b"\x00first", hello("other.test")], ids=["raw", "TLS by a name that is not opened"])
@pytest.mark.parametrize("hosts", ["localhost", "models.test"], ids=["to a listed host", "to another"])
async def test_what_passes_unread_ends_when_its_key_is_revoked(first: bytes, hosts: str) -> None:
    async with Echo() as echo:
        with door(target="regular", options={"codemie_hosts": hosts}) as closed:
            async with asyncio.timeout(60), tunnel(closed, echo.port, closed.keys["ann"]) as (reader, writer):
                writer.write(first)
                assert await reader.readexactly(len(first)) == first
                closed.store.revoke("ann")
                await asyncio.to_thread(until, lambda: good_keys(closed) == 1)
                writer.write(b"\x00second")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.5)
        assert echo.heard == first


async def test_a_request_that_leads_back_to_the_proxy_is_answered_and_goes_round_no_more() -> None:
    """mitmproxy knows its own addresses by their exact names alone; by any other it asked itself without end."""
    port = closed_port()
    with door("--mode", f"reverse:http://LOCALHOST:{port}@{port}", target="regular", keys=()) as found:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            host = {"host": f"LOCALHOST:{found.proxy.port}"}
            answers = [await client.get(f"{found.proxy.url}/v1/models", headers=host)]
            answers.append(await client.get(f"http://127.0.0.1:{port}/v1/models"))
        log = found.proxy.log
    # Out of scope it is mitmproxy that answers.
    assert [answer.status_code for answer in answers] == [502, 400]
    assert ["leads back to this very proxy" in answer.text for answer in answers] == [True, True]
    assert log.count("client connect") < 5


@pytest.mark.parametrize("keys", [(), ("ann",)], ids=["without keys", "with keys"])
async def test_raw_tcp_reaches_its_target_only_while_nobody_is_asked_for_a_key(keys: tuple[str, ...]) -> None:
    async with Echo() as echo:
        with door(target=f"reverse:tcp://127.0.0.1:{echo.port}", keys=keys) as found:
            reader, writer = await asyncio.open_connection("127.0.0.1", found.proxy.port)
            writer.write(b"\x00bytes")
            heard = await asyncio.wait_for(reader.read(100), 60)
            writer.close()
    assert (heard, echo.heard, echo.connections) == ((b"", b"", 0) if keys else (b"\x00bytes", b"\x00bytes", 1))


async def socks(port: int, target: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection through SOCKS5, without a password."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x05\x01\x00")
    assert await reader.readexactly(2) == b"\x05\x00"
    writer.write(b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + struct.pack("!H", target))
    assert (await reader.readexactly(10))[1] == 0
    return reader, writer


async def test_by_socks_only_requests_with_a_key_get_through() -> None:
    async with Echo() as echo, asyncio.timeout(60):
        with door(target="socks5") as closed:
            reader, writer = await socks(closed.proxy.port, echo.port)
            writer.write(b"\x00bytes")
            assert await reader.read(100) == b""
            writer.close()
            reader, writer = await socks(closed.proxy.port, closed.upstream.upstream.port)
            statuses = [await raw_request(reader, writer)]
            statuses.append(await raw_request(reader, writer, f"x-api-key: {closed.keys['ann']}\r\n"))
            statuses.append(await raw_request(reader, writer))
            writer.close()
            assert statuses == [401, 200, 401]
            assert len(closed.received()) == 1
    assert (echo.heard, echo.connections) == (b"", 0)


async def test_before_another_proxy_the_gate_is_the_same() -> None:
    async with Upstream() as upstream, ConnectProxy({"localhost": upstream.port}) as outer:
        with door(target=f"upstream:http://127.0.0.1:{outer.port}") as closed:
            with pytest.raises(AssertionError, match="407"):
                async with tunnel(closed, upstream.port, WRONG):
                    pass
            async with asyncio.timeout(60), tunnel(closed, upstream.port, closed.keys["ann"]) as (reader, writer):
                assert await raw_request(reader, writer) == 200
        assert outer.authorizations == [None]
        assert upstream.request_count == 1


@pytest.mark.parametrize("keys", [(), ("ann",)], ids=["without keys", "with keys"])
def test_dns_is_answered_only_while_nobody_is_asked_for_a_key(keys: tuple[str, ...]) -> None:
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x09localhost\x00\x00\x01\x00\x01"
    with door(target="dns", keys=keys) as found, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(60)
        client.sendto(query, ("127.0.0.1", found.proxy.port))
        answer = client.recv(1000)
    servfail = answer[3] & 0x0F == 2
    assert servfail is bool(keys)
    assert (socket.inet_aton("127.0.0.1") in answer) is not bool(keys)
