"""The same answers and their faults over HTTP/2."""

import asyncio
import ssl
from typing import Any

import httpx
import pytest
from h2.connection import H2Connection
from h2.errors import ErrorCodes

from codemie_core.demo.frames import sse
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream

EVENTS = [sse("one"), sse("two"), sse("three")]
# What an HTTP/2 client is told; the end of the connection tells nothing.
TOLD = {
    Cut.RESET: "StreamReset stream_id:1, error_code:7",
    Cut.GOAWAY: "ConnectionTerminated error_code:7, last_stream_id:0",
}


async def test_alpn_chooses_http2_unless_it_is_not_offered(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    versions = []
    for http2 in (True, False):
        async with (
            Upstream(server_tls, http2=http2) as upstream,
            httpx.AsyncClient(http2=True, verify=client_tls) as client,
        ):
            response = await client.post(f"{upstream.url}/v1/messages", json={"model": "m"})
            versions.append((response.http_version, upstream.requests[0].http_version))
            assert response.json()["model"] == "m"
    assert versions == [("HTTP/2", "2"), ("HTTP/1.1", "1.1")]


async def test_fifty_streams_run_at_once(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with (
        Upstream(server_tls) as upstream,
        httpx.AsyncClient(http2=True, verify=client_tls) as client,
    ):
        gate = upstream.gate()
        upstream.script(then=Step(events=EVENTS, gate=gate))
        url = f"{upstream.url}/v1/messages"
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(client.post(url, json={})) for _ in range(50)]
            await upstream.wait_until(lambda: gate.waiting == 50)
            gate.open()
    texts = {answer.result().text for answer in answers}
    assert texts == {b"".join(EVENTS).decode()}
    assert upstream.connections == 1


@pytest.mark.parametrize("cut", [Cut.RESET, Cut.GOAWAY, Cut.CLOSE, Cut.DROP])
@pytest.mark.parametrize("where", [{}, {"after_events": 0}, {"after_events": 2}, {"after_bytes": 15}])
async def test_a_cut_ends_the_stream_with_an_error(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, cut: Cut, where: dict[str, Any]
) -> None:
    async with (
        Upstream(server_tls) as upstream,
        httpx.AsyncClient(http2=True, verify=client_tls) as client,
    ):
        upstream.script(Step(events=EVENTS, cut=cut, h2_code=7, **where))
        with pytest.raises(httpx.TransportError) as caught:
            await client.post(f"{upstream.url}/v1/messages", json={})
        assert TOLD.get(cut, "") in str(caught.value)
        again = await client.post(f"{upstream.url}/v1/messages", json={})
    assert again.status_code == 200
    assert upstream.connections == (1 if cut is Cut.RESET else 2)
    assert upstream.cancelled == []


async def test_a_client_that_resets_its_stream_is_noticed_while_its_connection_stays(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    client_tls.set_alpn_protocols(["h2"])
    protocol = H2Connection()
    protocol.initiate_connection()
    method, path = (":method", "GET"), (":path", "/v1/models")
    protocol.send_headers(1, [method, path, (":scheme", "https"), (":authority", "h")], end_stream=True)
    async with Upstream(server_tls) as upstream:
        upstream.script(Step(events=EVENTS, cut=Cut.STALL, after_events=1))
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port, ssl=client_tls)
        writer.write(protocol.data_to_send())
        await upstream.wait_until(lambda: upstream.events_sent == 1)
        protocol.reset_stream(1, ErrorCodes.CANCEL)
        writer.write(protocol.data_to_send())
        await upstream.wait_cancelled(1)
        assert upstream.open_connections == 1
        writer.transport.abort()


async def test_a_big_stream_passes_the_flow_control(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    size = 2 * 2**20
    async with (
        Upstream(server_tls) as upstream,
        httpx.AsyncClient(http2=True, verify=client_tls) as client,
    ):
        upstream.script(Step(big=size), Step(head_bytes=40_000))
        answer = await client.post(f"{upstream.url}/v1/messages", content=b"x" * 500_000)
        padded = await client.post(f"{upstream.url}/v1/messages", json={})
    assert len(answer.content) == size
    assert len(upstream.requests[0].body) == 500_000
    assert len(padded.headers["x-padding"]) >= 40_000


async def test_an_early_answer_does_not_wait_for_the_body(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        Upstream(server_tls) as upstream,
        httpx.AsyncClient(http2=True, verify=client_tls) as client,
    ):
        upstream.script(Step(status=413, early=True))
        response = await client.post(f"{upstream.url}/v1/messages", json={})
    assert response.status_code == 413


async def test_a_fault_that_needs_no_http_reaches_tls_clients_too(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        Upstream(server_tls) as upstream,
        httpx.AsyncClient(http2=True, verify=client_tls) as client,
    ):
        upstream.script(Step(raw=b"no frame at all, only text in its place"))
        with pytest.raises(httpx.TransportError):
            await client.post(f"{upstream.url}/v1/messages", json={})


async def test_a_client_that_does_not_trust_the_certificate_gets_no_further(
    server_tls: ssl.SSLContext,
) -> None:
    async with Upstream(server_tls) as upstream, httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.post(f"{upstream.url}/v1/messages", json={})
        assert upstream.request_count == 0
