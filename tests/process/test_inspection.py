"""A real mitmweb: every API's answers as conversations, what is kept of streams, comments, commands."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from codemie_core.demo.frames import data_of, sse
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.threaded import UpstreamThread
from codemie_core.demo.upstream import Upstream
from codemie_core.inspection.content_view import NAME
from support import talks
from support.proxy import ADDONS, Mitmproxy, reverse
from support.raw_client import raw_client
from support.shared import shared_proxy
from support.talks import TALKS, Talk, anthropic, responses
from support.web import Web, mitmweb, web_options
from support.websocket import WebSocketClient

ENCODINGS = ("", "gzip", "br", "zstd")


class Room:
    """A mitmweb that keeps streamed bodies, and the upstream behind it."""

    def __init__(self, upstream: UpstreamThread, proxy: Mitmproxy, web: Web) -> None:
        self.upstream, self.proxy, self._web = upstream, proxy, web

    @asynccontextmanager
    async def __call__(self, *steps: Step) -> AsyncIterator[tuple[Web, httpx.AsyncClient]]:
        """An empty list of flows, and these answers."""
        self.script(*steps)
        async with Web(self._web.port) as web, httpx.AsyncClient(trust_env=False) as client:
            await web.clear()
            yield web, client

    def script(self, *steps: Step) -> None:
        self.upstream.call(self.upstream.upstream.script, *steps)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    more, options, web = web_options(codemie_upstream_attempts_backoff="2ms")
    with UpstreamThread() as upstream:
        args = ("--mode", f"reverse:{upstream.url}", *more)
        with shared_proxy(tmp_path_factory.mktemp("home"), *args, tool="mitmweb", options=options) as proxy:
            yield Room(upstream, proxy, web)


async def ask(client: httpx.AsyncClient, proxy: Mitmproxy, talk: Talk, body: Any = None) -> bytes:
    answer = await client.post(proxy.url + talk.path, json=body or talk.request, headers=talk.headers, timeout=60)
    assert answer.status_code == 200
    return answer.content


async def test_every_api_is_shown_as_a_conversation_compressed_or_not(room: Room) -> None:
    cases = [(talk, encoding) for talk in TALKS for encoding in ENCODINGS]
    async with room(*(Step(events=talk.events, encoding=encoding) for talk, encoding in cases)) as (web, client):
        for talk, _ in cases:
            assert await ask(client, room.proxy, talk) == b"".join(talk.events)
        flows = await web.flows(len(cases), "read")
        await _priced(web, flows[0])
        for (talk, encoding), flow in zip(cases, flows, strict=True):
            shown = await web.shown(flow)
            assert shown["view_name"] == NAME
            for words in (
                talk.stopped,
                talk.tokens,
                "$0.00",
                talks.THOUGHT,
                talks.SAID,
                "[call] Bash",
                "    git status",
            ):
                assert words in shown["text"], (talk.api, encoding)
            asked = await web.shown(flow, "request")
            assert asked["view_name"] == NAME
            assert talks.ASKED in asked["text"]
        # Whoever wants to see it as it came still can.
        assert (await web.shown(flows[0], "request", "json"))["view_name"] == "JSON"
        assert await web.raw(flows[0]) == b"".join(TALKS[0].events)


async def test_the_results_of_an_answers_calls_are_shown_once_the_next_request_tells_them(room: Room) -> None:
    async with room(*(Step(events=talk.events) for talk in TALKS for _ in range(2))) as (web, client):
        for number, talk in enumerate(TALKS):
            await ask(client, room.proxy, talk)
            first = (await web.flows(2 * number + 1, "read"))[-1]
            assert talks.CAME_BACK not in (await web.shown(first))["text"]
            await ask(client, room.proxy, talk, talk.following)
            await web.flows(2 * number + 2, "read")
            assert f"  {talks.CAME_BACK}\n" in (await web.shown(first))["text"]


async def test_a_stream_that_is_cut_or_left_is_shown_as_far_as_it_came(room: Room) -> None:
    talk = anthropic()
    cut = Step(events=talk.events, cut=Cut.RESET, after_events=8)
    gated = Step(events=talk.events, gate=room.upstream.call(room.upstream.upstream.gate))
    async with (
        room(cut, gated) as (web, _),
        raw_client(room.proxy.port) as client,
        raw_client(room.proxy.port) as leaving,
    ):
        await client.ask(**{**talk.request, "stream": True})
        await client.until(talks.SAID.encode())
        [flow] = await web.flows(1, "truncated")
        text = (await web.shown(flow))["text"]
        for words in (talks.THOUGHT, talks.SAID, "its end is missing"):
            assert words in text

        await leaving.ask(**{**talk.request, "stream": True})
        await leaving.until(b"message_start")
        leaving.leave()
        flow = (await web.flows(1, "client_cancelled"))[-1]
        assert "its end is missing" in (await web.shown(flow))["text"]


async def test_a_websocket_shows_its_turns(room: Room) -> None:
    talk = responses()
    async with room(Step(events=talk.events)) as (web, _):
        async with WebSocketClient(room.proxy.port, talk.path, list(talk.headers.items())) as socket:
            for _ in range(2):
                await socket.say(json.dumps({"type": "response.create", **talk.request}))
                for event in talk.events:
                    assert await socket.hear() == data_of(event)
        [flow] = await web.flows(1, "2 turns")
        assert "gpt-5 | 3,024 read, 80 written" in flow["comment"]
        told: Any = await web.shown(flow, "messages")
        pages = [message["text"] for message in told if message["view_name"] == NAME]
        assert [talks.ASKED in page for page in pages] == [True, False, True, False]
        assert [talk.tokens in page for page in pages] == [False, True, False, True]


async def test_the_commands_work_in_mitmweb(room: Room, tmp_path: Path) -> None:
    talk = anthropic()
    async with room(Step(status=529), Step(events=talk.events)) as (web, client):
        await ask(client, room.proxy, talk)
        [flow] = await web.flows(1, "read")
        assert "2 attempts (127.0.0.1: 529 status" in flow["comment"]
        why = await web.command("codemie.why", f"@{flow['id']}")
        begins = ["claude as", "It is for", "No accoun", "Attempt 1", "Attempt 2", "It ended "]
        assert [line[:9] for line in why] == begins
        assert f"  {talks.SAID}" in await web.command("codemie.conversation", f"@{flow['id']}")
        place = tmp_path / "talk.txt"
        await web.command("codemie.conversation.save", f"@{flow['id']}", str(place))
        assert talks.SAID in place.read_text()
        assert "1 turn" in (await web.command("codemie.sessions"))[0]
        await web.command("codemie.session.show", f"@{flow['id']}")
        assert "codemie.session_id" in (await web.options())["view_filter"]["value"]
        await web.command("codemie.session.all")
        assert await web.command("codemie.addons.disable", "request_log") == "request_log is disabled"
        assert " 50 request_log (open): disabled" in await web.command("codemie.status")
        assert await web.command("codemie.addons.enable", "request_log") == "request_log is active"


async def test_what_is_kept_is_bounded_for_each_body_and_for_all_and_clients_get_everything() -> None:
    talk = anthropic()
    padding = [sse(json.dumps({"type": "ping", "x": "y" * 1000}), "ping") for _ in range(200)]
    events = (*talk.events[:8], *padding, *talk.events[8:])
    whole = b"".join(events)
    options = {"codemie_inspection_keep_body": "16k", "codemie_inspection_keep": "40k"}
    async with Upstream() as upstream:
        upstream.script(then=Step(events=events))
        with mitmweb("--mode", f"reverse:{upstream.url}", **options) as (proxy, web):
            async with web, httpx.AsyncClient(trust_env=False) as client:
                for _ in range(5):
                    assert await ask(client, proxy, talk) == whole
                await web.flows(5, "read")
                flows = await web.flows(3, "bodies let go")
                pages = [(await web.shown(flow))["text"] for flow in flows]
                assert [page == "Content is missing." for page in pages] == [True, True, True, False, False]
                assert await web.raw(flows[-1]) == whole[: 16 * 1024]
                assert f"the first 16,384 of {len(whole):,} bytes" in pages[-1]
                assert talks.SAID in pages[-1]
                [own] = [addon for addon in proxy.health()["addons"] if addon["name"] == "inspection"]
                assert 32 * 1024 < own["details"]["kept_bytes"] <= 40 * 1024


async def test_what_passes_untouched_is_kept_up_to_the_same_bound() -> None:
    async with Upstream() as upstream:
        upstream.script(then=Step(body=b"z" * 100_000))
        options = {"codemie_inspection_keep_body": "16k", "codemie_hosts": "api.anthropic.com"}
        with mitmweb(**options) as (proxy, web):
            async with web, httpx.AsyncClient(trust_env=False, proxy=proxy.url) as client:
                answer = await client.post(f"{upstream.url}/elsewhere", content=b"q" * 50_000)
                assert answer.content == b"z" * 100_000
                assert upstream.requests[-1].body == b"q" * 50_000
                async with asyncio.timeout(60):
                    while not (flows := await web.flows(0)) or not flows[0]["response"]["timestamp_end"]:
                        pass
                assert [len(await web.raw(flows[0], side)) for side in ("request", "response")] == [16_384, 16_384]


async def test_flows_of_a_file_are_shown_the_same_way(tmp_path: Path) -> None:
    talk = anthropic()
    file = tmp_path / "flows"
    async with Upstream() as upstream:
        upstream.script(Step(events=talk.events, encoding="gzip"))
        options: dict[str, object] = {"store_streamed_bodies": True}
        with Mitmproxy("--mode", f"reverse:{upstream.url}", "-w", str(file), options=options) as proxy:
            async with httpx.AsyncClient(trust_env=False) as client:
                await ask(client, proxy, talk)
        with mitmweb("--mode", f"reverse:{upstream.url}", "-r", str(file)) as (_, web):
            async with web:
                async with asyncio.timeout(60):
                    while not (flows := await web.flows(0)):
                        pass
                shown = await _priced(web, flows[0])
                assert talks.SAID in shown
                assert "conversation  talk-1" in shown


async def _priced(web: Web, flow: dict[str, Any]) -> str:
    """Prices are loaded in the background."""
    async with asyncio.timeout(60):
        while "cost          $0.00" not in (text := (await web.shown(flow))["text"]):
            pass
    return str(text)


async def test_under_mitmdump_it_costs_nothing() -> None:
    script = ADDONS.parent / "tests" / "support" / "loaded_modules.py"
    async with Upstream() as upstream:
        with reverse(upstream.url, scripts=(ADDONS / "codemie.py", script), fresh=True) as proxy:
            async with httpx.AsyncClient(trust_env=False) as client:
                await ask(client, proxy, anthropic())
            proxy.wait_for_log(r"rooms of inspection: \['commands'\], hooks: \[\]")
