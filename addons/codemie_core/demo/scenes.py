"""The scenes of the demo. Each asks the proxy for something, shows what came, and checks that it came so."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
from rich.markup import escape

from codemie_core.demo.accounts_scene import a_limited_account
from codemie_core.demo.cost_scene import what_it_cost
from codemie_core.demo.frames import sse
from codemie_core.demo.presets import preset
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.stage import FAILING_ADDON, SceneFailed, Stage, message, poll, require
from codemie_core.sse import SseParser

EVENTS, INTERVAL = 8, 0.15
_STAMP = re.compile(r"@T(\d+)@")


@dataclass(frozen=True, slots=True)
class Scene:
    """A title, what it is about, and what happens."""

    title: str
    about: str
    play: Callable[[Stage], Awaitable[None]]


async def a_stream(stage: Stage) -> None:
    """The upstream sends an event when the client has the one before: what is held back would never arrive."""
    gate = stage.upstream.gate()
    stage.upstream.script(Step(events=EVENTS, stamp=True, gate=gate))
    began, shown = time.monotonic_ns(), 0
    stage.say("[bold]event   sent by the upstream   received by the client   on the way[/]")
    parser = SseParser()
    try:
        async with stage.client.stream("POST", f"{stage.proxy.url}/v1/messages", json=message(True)) as answer:
            async for chunk in answer.aiter_raw():
                # Both clocks are this machine's monotonic clock, so they can be subtracted.
                received = (time.monotonic_ns() - began) / 1e6
                for event in parser.feed(chunk):
                    if stamp := _STAMP.search(event.data):
                        shown += 1
                        sent = (int(stamp[1]) - began) / 1e6
                        stage.say(f"{shown:5}  {sent:18.1f} ms  {received:20.1f} ms  {received - sent:8.1f} ms")
                        await asyncio.sleep(INTERVAL)
                    gate.release()
    except httpx.ReadTimeout:
        raise SceneFailed(f"event {shown + 1} was sent and did not arrive") from None
    require(shown == EVENTS, f"all {EVENTS} events arrived ({shown} did)")
    stage.say("The upstream sent each event only when the client had the one before: nothing is held back.")


async def an_overloaded_upstream(stage: Stage) -> None:
    """The client asks once."""
    before, began = len(stage.upstream.requests), time.monotonic()
    stage.upstream.script(preset("overload"), preset("overload"))
    answer = await stage.client.post(f"{stage.proxy.url}/v1/messages", json=message(True))
    seen = stage.upstream.requests[before:]
    for number, attempt in enumerate(seen, 1):
        color = "red" if attempt.step.status >= 400 else "green"
        after = (attempt.time - seen[0].time) * 1000
        stage.say(f"attempt {number} after {after:6.0f} ms   the upstream says [{color}]{attempt.step.status}[/]")
    require([attempt.step.status for attempt in seen] == [529, 529, 200], "the upstream was asked three times")
    require(answer.status_code == 200 and b"message_stop" in answer.content, "the client got a whole answer")
    took = time.monotonic() - began
    stage.say(f"The client asked once and got [green]200[/] and the whole stream after {took:.1f} s.")


async def an_upstream_that_is_down(stage: Stage) -> None:
    """Nothing listens there any more."""
    await stage.take_upstream_down()
    answer = await stage.client.post(f"{stage.proxy.url}/v1/messages", json=message(False))
    await stage.put_upstream_up()
    kind = answer.headers.get("content-type", "")
    require(answer.status_code == 502 and kind.startswith("application/json"), "the client got 502 and JSON")
    body = answer.json()
    require(
        body.get("type") == "error" and {"type", "message"} <= body.get("error", {}).keys(), "it is Anthropic's shape"
    )
    stage.say(f"[red]{answer.status_code}[/] {kind}, in the shape that Anthropic's SDK reads:")
    for line in json.dumps(body, indent=2).splitlines():
        stage.console.print(f"     {line}", style="cyan", markup=False)


async def a_cut_stream(stage: Stage) -> None:
    """A body byte has gone out, so nothing may be tried again; the client must see that something is missing."""

    async def truncated() -> int:
        exchanges = (await stage.proxy.health(stage.client))["counters"]["exchanges"]
        return int(exchanges.get("truncated", 0))

    before, asked = await truncated(), len(stage.upstream.requests)
    stage.upstream.script(Step(interval=0.05, cut=Cut.CLOSE, after_events=8))
    parser, events, seen = SseParser(), 0, None
    try:
        async with stage.client.stream("POST", f"{stage.proxy.url}/v1/messages", json=message(True)) as answer:
            async for chunk in answer.aiter_raw():
                events += len(parser.feed(chunk))
    except httpx.RemoteProtocolError as error:
        seen = error
    stage.say(f"{events} events arrived, then the client saw: [red]{type(seen).__name__}[/] {seen}")
    require(events == 8, f"all 8 events from before the cut arrived ({events} did)")
    require(seen is not None, "the client saw that the stream was cut")
    require(len(stage.upstream.requests) == asked + 1, "nothing was tried again after the first byte")
    after = await poll(truncated, lambda count: count > before)
    require(after == before + 1, "/health counts the exchange as truncated")
    stage.say(f'/health counts it: "truncated": {after}')


async def a_failing_addon(stage: Stage) -> None:
    """The same answer twice: through a proxy without the addon and through one with it."""
    words = ("the", "same", "bytes")
    frames = [sse({"type": "content_block_delta", "delta": {"text": word}}, "content_block_delta") for word in words]
    async with stage.another_proxy(FAILING_ADDON) as failing:
        await stage.wait_for(failing, "a second proxy, with one more addon that only raises")
        answers = []
        for proxy in (stage.proxy, failing):
            stage.upstream.script(Step(events=frames))
            answer = await stage.client.post(f"{proxy.url}/v1/messages", json=message(True))
            answers.append((answer.status_code, answer.content))
        health = await failing.health(stage.client)
    require(answers[0] == (200, b"".join(frames)), "the proxy without the addon passes the answer on as it is")
    require(answers[1] == answers[0], "the answer is the same with the addon")
    stage.say(f"{len(answers[1][1])} bytes, identical with and without it. /health of that proxy says:")
    for addon in health["addons"]:
        color = "green" if addon["state"] == "active" else "red"
        stage.say(f"  {addon['name']:20}[{color}]{addon['state']:10}[/]{escape(addon['error'] or '')}")
    states = {addon["name"]: addon["state"] for addon in health["addons"]}
    require(states.pop("failing_addon", None) == "degraded", "/health names the addon")
    require(set(states.values()) == {"active"}, "all others are active")


SCENES = (
    Scene("A streamed answer", "Every event goes on the moment it comes.", a_stream),
    Scene("An overloaded upstream", "Two times 529; an agent would have shown an error.", an_overloaded_upstream),
    Scene("An upstream that is down", "Connection refused, three times.", an_upstream_that_is_down),
    Scene("A stream cut in the middle", "What has gone out cannot be taken back.", a_cut_stream),
    Scene("A failing addon", "It raises in every request and every response.", a_failing_addon),
    Scene(
        "A limited account", "Two keys in a pool; the first one is limited for a quarter of an hour.", a_limited_account
    ),
    Scene("What it cost", "A prompt cache, a tool call, and a price to the last digit.", what_it_cost),
)
