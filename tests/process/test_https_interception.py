"""HTTPS_PROXY: whose TLS is opened and whose is not, with real TLS on both sides and every certificate checked."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anthropic
import openai
import pytest

from codemie_core.demo.upstream import Upstream
from support.clients import Http1, Http2, opened
from support.intercepting import Intercepting, intercepting
from support.stored import StoredHome
from support.websocket import WebSocketClient

LISTED, OTHER = "models.test", "other.test"
OWN = [("authorization", "Bearer planted-own"), ("content-type", "application/json")]
BODY = json.dumps({"model": "m", "messages": []}).encode()


def accounts(home: Path) -> dict[str, object]:
    stored = StoredHome(home, {"CODEMIE_KEYRING": "0"})
    for host in (LISTED, OTHER):
        stored.key(host, f"https://{host}", f"planted-{host}", provider="anthropic-compatible")
    return {"codemie_hosts": [LISTED, "api.anthropic.com", "api.openai.com", "localhost"]}


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intercepting]:
    folder = tmp_path_factory.mktemp("intercepting")
    hosts = "api.openai.com"
    with intercepting(
        folder, accounts, "-w", str(folder / "saved"), codemie_tls_interception_http1_hosts=hosts
    ) as found:
        yield found


@asynccontextmanager
async def serving(regular: Intercepting, *names: str, http2: bool = True) -> AsyncIterator[Upstream]:
    """One upstream by all these names; the only ones there are."""
    async with Upstream(regular.authority.server(*names), http2=http2) as upstream:
        ports = {name.replace("-", "__").replace(".", "_"): upstream.port for name in names}
        async with regular.world(**ports), asyncio.timeout(60):
            yield upstream


async def test_a_listed_host_is_served_with_our_certificate_and_by_an_account(regular: Intercepting) -> None:
    async with serving(regular, LISTED) as upstream:
        async with Http2(regular.proxy.port, regular.trusting_us("h2"), through=f"{LISTED}:443") as client:
            answer = await client.ask("POST", "/v1/messages", OWN, BODY)
        with pytest.raises(ssl.SSLCertVerificationError):
            await opened(regular.proxy.port, regular.trusting_them(), f"{LISTED}:443")
    assert answer.status == 200
    assert upstream.requests[0].keys == [f"planted-{LISTED}"]


async def test_another_host_keeps_its_own_certificate_its_http2_and_the_clients_credential(
    regular: Intercepting,
) -> None:
    async with serving(regular, OTHER) as upstream:
        async with Http2(regular.proxy.port, regular.trusting_them("h2"), through=f"{OTHER}:443") as client:
            answer = await client.ask("POST", "/v1/messages", OWN, BODY)
        with pytest.raises(ssl.SSLCertVerificationError):
            await opened(regular.proxy.port, regular.trusting_us(), f"{OTHER}:443")
    assert answer.status == 200
    [request] = upstream.requests
    assert (request.http_version, request.keys, request.body) == ("2", ["planted-own"], BODY)


async def test_a_websocket_to_another_host_passes_untouched(regular: Intercepting) -> None:
    tls, through = regular.trusting_them("http/1.1"), f"{OTHER}:443"
    async with (
        serving(regular, OTHER) as upstream,
        WebSocketClient(regular.proxy.port, "/v1/responses", OWN, tls, through) as client,
    ):
        await client.say(json.dumps({"type": "response.create", "model": "m", "input": "Hello"}))
        assert json.loads(await client.hear())["type"] == "response.created"
    assert upstream.requests[0].keys == ["planted-own"]


@pytest.mark.parametrize("hello", [b"\x00\x01\xff raw", b"GET / HTTP/1.1\r\nHost: models.test\r\nx: \x00\r\n\r\n"])
@pytest.mark.parametrize("greeting", [b"", b"220 I speak first\r\n"])
async def test_bytes_that_are_no_tls_pass_as_they_are(regular: Intercepting, hello: bytes, greeting: bytes) -> None:
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while data := await reader.read(65536):
            heard.extend(data)
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    large = bytes(range(256)) * 4096
    async with asyncio.timeout(60), regular.world(other_test=port):
        reader, writer = await opened(regular.proxy.port, None, f"{OTHER}:22")
        assert await reader.readexactly(len(greeting)) == greeting
        writer.write(hello + large)
        assert await reader.readexactly(len(hello + large)) == hello + large
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
    server.close()
    assert bytes(heard) == hello + large


async def test_a_listed_name_in_the_handshake_opens_no_tunnel_to_another_host(regular: Intercepting) -> None:
    """Whoever is behind it has to prove that name to the client, and gets no credential of ours."""
    async with serving(regular, OTHER, LISTED) as upstream:
        tls = regular.trusting_them("http/1.1")
        reader, writer = await opened(regular.proxy.port, None, f"{OTHER}:443")
        await writer.start_tls(tls, server_hostname=LISTED)
        writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: models.test\r\nContent-Length: 0\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"\r\n")
        writer.transport.abort()
    assert upstream.requests[-1].keys == []


async def test_another_name_in_the_handshake_closes_the_tunnel_to_a_listed_host(regular: Intercepting) -> None:
    """It leads through the outbound proxy all the same: the only way there is to this name."""
    async with (
        asyncio.timeout(60),
        Upstream(regular.authority.server(LISTED, OTHER)) as upstream,
        regular.world(models_test=upstream.port) as outer,
    ):
        reader, writer = await opened(regular.proxy.port, None, f"{LISTED}:443")
        await writer.start_tls(regular.trusting_them("http/1.1"), server_hostname=OTHER)
        writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"\r\n")
        writer.transport.abort()
        assert outer.targets == [f"{LISTED}:443"]
    assert [request.keys for request in upstream.requests] == [[]]


async def test_what_a_listed_host_speaks_instead_of_tls_leads_through_the_outbound_proxy(regular: Intercepting) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with asyncio.timeout(60), regular.world(models_test=server.sockets[0].getsockname()[1]) as outer:
        reader, writer = await opened(regular.proxy.port, None, f"{LISTED}:22")
        writer.write(b"\x00raw")
        assert await reader.read() == b"\x00raw"
        writer.close()
        assert outer.targets == [f"{LISTED}:22"]
    server.close()


async def test_a_tunnel_leads_through_the_outbound_proxy(regular: Intercepting) -> None:
    async with (
        asyncio.timeout(60),
        Upstream(regular.authority.server(OTHER)) as upstream,
        regular.world(other_test=upstream.port) as outer,
        Http1(regular.proxy.port, regular.trusting_them(), f"{OTHER}:443") as client,
    ):
        assert (await client.ask("POST", "/v1/messages", OWN, BODY)).status == 200
        assert outer.targets == [f"{OTHER}:443"]


async def test_a_connect_that_leads_nowhere_is_answered_with_502(regular: Intercepting) -> None:
    with pytest.raises(AssertionError, match="502"):
        async with asyncio.timeout(60):
            await opened(regular.proxy.port, None, "127.0.0.1:1")


@pytest.mark.parametrize("host, chosen", [("api.openai.com", "http/1.1"), (LISTED, "h2")])
async def test_a_client_gets_http1_alone_where_agents_open_websockets(
    regular: Intercepting, host: str, chosen: str
) -> None:
    async with serving(regular, host) as upstream:
        _, writer = await opened(regular.proxy.port, regular.trusting_us("h2", "http/1.1"), f"{host}:443")
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen
        writer.transport.abort()
        if chosen == "http/1.1":
            tls = regular.trusting_us("h2", "http/1.1")
            async with WebSocketClient(regular.proxy.port, "/v1/responses", OWN, tls, f"{host}:443") as client:
                await client.say(json.dumps({"type": "response.create", "model": "m", "input": "Hello"}))
                assert json.loads(await client.hear())["type"] == "response.created"
            assert upstream.requests[-1].http_version == "1.1"


async def test_both_sdks_come_through_with_the_bundle_alone(
    regular: Intercepting, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in regular.environment().items():
        monkeypatch.setenv(name, value)
    async with serving(regular, "api.anthropic.com", "api.openai.com") as upstream:
        async with anthropic.AsyncAnthropic(api_key="planted-own", max_retries=0) as claude:
            hello: anthropic.types.MessageParam = {"role": "user", "content": "Hello"}
            async with claude.messages.stream(model="m", max_tokens=9, messages=[hello]) as stream:
                assert [text async for text in stream.text_stream]
        async with openai.AsyncOpenAI(api_key="planted-own", max_retries=0) as gpt:
            assert (await gpt.responses.create(model="m", input="Hello")).output_text
    assert [request.path for request in upstream.requests] == ["/v1/messages", "/v1/responses"]
    assert [request.keys for request in upstream.requests] == [["planted-own"]] * 2


async def test_nothing_of_a_tunnel_is_in_the_log_or_in_saved_flows(regular: Intercepting) -> None:
    """Stands last: after all that went through."""
    saved = (regular.proxy.confdir.parent / "saved").read_bytes()
    regular.proxy.stop()
    for text in (saved, regular.proxy.log.encode()):
        assert OTHER.encode() not in text
        assert b"planted-" + LISTED.encode() not in text
    assert LISTED.encode() in saved
    assert "Traceback" not in regular.proxy.log
