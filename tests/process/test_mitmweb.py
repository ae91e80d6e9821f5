"""mitmweb with the bundle: a stream is shown, and what is kept of the past is bounded."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import sse
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from support.proxy import Mitmproxy
from support.raw_client import raw_client

EVENTS = [sse(f'{{"n": {n}}}', "content_block_delta") for n in range(4)]
KEPT = 5


@contextmanager
def mitmweb(upstream: Upstream, options: dict[str, object]) -> Iterator[tuple[Mitmproxy, httpx.AsyncClient]]:
    """The proxy, and a client of mitmweb's own REST interface, signed in."""
    port = closed_port()  # mitmweb's log shows the port it was told, also where that is 0
    args = ("--mode", f"reverse:{upstream.url}", "--web-port", str(port))
    headers = {"Authorization": "Bearer test"}
    with Mitmproxy(*args, tool="mitmweb", options=options) as proxy:
        yield proxy, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False)


async def test_mitmweb_shows_a_streamed_body_and_keeps_only_the_newest_flows() -> None:
    options: dict[str, object] = {"store_streamed_bodies": True, "codemie_kept_flows": KEPT}
    async with Upstream() as upstream:
        with mitmweb(upstream, options) as (proxy, web):
            async with web, raw_client(proxy.port) as client:
                gate = upstream.gate()
                upstream.script(Step(events=EVENTS, gate=gate))
                await client.ask(stream=True)
                for event in EVENTS:
                    # Keeping the body does not hold it back.
                    await client.until(event)
                    gate.release()
                await client.until(b"0\r\n\r\n")
                (flow,) = await _flows(web, 1)
                content = await web.get(f"/flows/{flow['id']}/response/content.data")
                assert content.content == b"".join(EVENTS)
                assert flow["response"]["contentLength"] == len(content.content)

                for n in range(3 * KEPT):
                    await client.ask(f"/v1/messages?n={n}")
                    head = await client.until(b"\r\n\r\n")
                    length = re.search(rb"content-length: (\d+)", head)
                    assert length
                    await client.reader.readexactly(int(length[1]))
                flows = await _flows(web, KEPT, last=f"n={3 * KEPT - 1}")
                newest = [f"/v1/messages?n={n}" for n in range(2 * KEPT, 3 * KEPT)]
                assert [flow["request"]["path"] for flow in flows] == newest


async def test_a_flow_that_is_still_open_is_never_trimmed() -> None:
    async with Upstream() as upstream:
        options: dict[str, object] = {"codemie_kept_flows": 1}
        with mitmweb(upstream, options) as (proxy, web):
            async with web, raw_client(proxy.port) as streaming:
                gate = upstream.gate()
                upstream.script(Step(events=EVENTS, gate=gate), then=Step(body="{}"))
                await streaming.ask("/v1/messages?open", stream=True)
                await streaming.until(EVENTS[0])
                async with httpx.AsyncClient(base_url=proxy.url, trust_env=False) as client:
                    for n in range(3):
                        await client.post(f"/v1/messages?n={n}", json={})
                flows = await _flows(web, 2, last="n=2")
                assert [flow["request"]["path"] for flow in flows] == ["/v1/messages?open", "/v1/messages?n=2"]
                gate.open()
                await streaming.until(EVENTS[-1])


async def _flows(web: httpx.AsyncClient, count: int, last: str = "") -> list[dict[str, Any]]:
    """The finished flows, once there are that many with `last` in the newest one's path; else what there is."""
    flows: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while len(flows) != count or last not in flows[-1]["request"]["path"]:
            answer = await web.get("/flows")
            answer.raise_for_status()
            flows = answer.json()
    return flows
