"""What a real proxy keeps of real clients' turns: every row of its database equals the reference."""

from __future__ import annotations

import asyncio
import json
import random
import time
import zlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from anthropic import APIStatusError, AsyncAnthropic
from openai import AsyncOpenAI
from sqlalchemy import ColumnElement, Connection, select

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import sse
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from codemie_core.store.tables import requests, tool_calls
from codemie_core.usage.answer import Answer
from soak.fuzz import WAYS, odd_values
from support.accuracy import shapes
from support.proxy import Mitmproxy
from support.shared import shared_proxy
from support.stored import StoredHome
from support.streams import Shape
from support.websocket import WebSocketClient

CODINGS = ("", "gzip", "br", "zstd")
PATIENCE = 60.0
PATHS = {
    "anthropic": "/v1/messages",
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "gemini": "/v1beta/models/asked:streamGenerateContent",
}
OVER_HTTP = [shape for shape in shapes() if shape.form != "messages"]
CUT = (
    ("anthropic", "text and two parallel tools"),
    ("anthropic", "cache: written for 5 minutes and for an hour"),
    ("openai-chat", "text with include_usage"),
    ("openai-responses", "two functions"),
    ("gemini", "thoughts, read from the cache"),
)
HELLO: Any = [{"role": "user", "content": "Hello"}]

type Row = Mapping[str, Any]


def named(api: str, name: str) -> Shape:
    [found] = [shape for shape in shapes() if (shape.api, shape.name) == (api, name)]
    return found


class Kept:
    """The history of one proxy, as its database has it."""

    def __init__(self, home: Path) -> None:
        self._home = StoredHome(home / ".codemie")

    async def turns(self, asked: Collection[str]) -> dict[str, Row]:
        """The turn that asked for each of these models; waits for all of them."""
        found = await self._found(requests.c.model_asked.in_(asked), len(asked))
        turns = {row["model_asked"]: row for row in found}
        assert len(turns) == len(found)
        return turns

    async def rows(self, asked: str, count: int) -> list[Row]:
        """All that asked for this model, in order; waits until there are so many."""
        return await self._found(requests.c.model_asked == asked, count)

    async def rows_at(self, path: str, count: int) -> list[Row]:
        """All that asked there, likewise."""
        return await self._found(requests.c.path == path, count)

    async def _found(self, where: ColumnElement[bool], count: int) -> list[Row]:
        deadline = time.monotonic() + PATIENCE
        while len(found := await asyncio.to_thread(self._read, where)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} turns were kept"
            await asyncio.sleep(0.05)
        assert len(found) == count
        return found

    def _read(self, where: ColumnElement[bool]) -> list[Row]:
        turns = select(requests).where(where).order_by(requests.c.started_ms, requests.c.id)
        called = select(tool_calls).order_by(tool_calls.c.n)

        def read(connection: Connection) -> list[Row]:
            tools = connection.execute(called).mappings().all()
            found = [dict(row) for row in connection.execute(turns).mappings()]
            for row in found:
                own = (each for each in tools if each["request_id"] == row["id"])
                row["tools"] = [(each["n"], each["call_id"], each["name"]) for each in own]
            return list(found)

        return self._home.read(read)


def row_of(shape: Shape, answer: Answer) -> dict[str, Any]:
    """What must be kept of this answer."""
    usage = answer.usage
    known = {
        "api": shape.api,
        "model_served": answer.model,
        "stop_reason": answer.stop_reason,
        "refusal": answer.refusal,
        "complete": answer.complete,
        "streamed": answer.events > 0,
        "tier": usage.tier,
        "server_tools": json.dumps(dict(usage.server_tools)) if usage.server_tools else None,
        "tools": [(call.index, call.id, call.name) for call in answer.tools],
        "tool_calls": len(answer.tools),
        "input_tokens": usage.input,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
    }
    return known if not shape.model else {**known, "cost_nano_usd": shape.nano_usd_of(answer)}


def differing(row: Row, expected: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """{column: (kept, expected)} of those that are not as they must be."""
    wrong = {name: (row[name], value) for name, value in expected.items() if row[name] != value}
    times = [row["first_token_ms"], row["last_token_ms"], row["total_ms"]]
    if None not in times and times != sorted(times):
        wrong["times"] = (times, sorted(times))
    return wrong


@pytest.fixture(scope="module")
def upstream_port() -> int:
    return closed_port()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("metering")


@pytest.fixture(scope="module")
def proxy(home: Path, upstream_port: int) -> Iterator[Mitmproxy]:
    # One attempt: what is cut before its first event would be asked for again.
    options = {"codemie_upstream_attempts_max_attempts": 1}
    with shared_proxy(home, "--mode", f"reverse:http://127.0.0.1:{upstream_port}", options=options) as running:
        yield running


@pytest.fixture
def kept(home: Path, proxy: Mitmproxy) -> Kept:
    return Kept(home)


@pytest.fixture
async def upstream(upstream_port: int) -> AsyncIterator[Upstream]:
    async with Upstream(port=upstream_port) as running:
        yield running


def played(shape: Shape, **more: Any) -> Step:
    headers = [("content-type", shape.content_type)]
    if shape.form == "sse":
        return Step(events=shape.parts, headers=headers, **more)
    return Step(body=shape.body, headers=headers, **more)


@pytest.fixture
async def client(proxy: Mitmproxy) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, base_url=proxy.url) as running:
        yield running


async def ask(client: httpx.AsyncClient, shape: Shape, asked: str, coding: str = "") -> bytes:
    """Ask as a client would that reads no further than bytes; what arrived, until the end or the cut."""
    path = PATHS[shape.api].replace("asked", asked)
    body = {"model": asked, "stream": shape.form != "json", "messages": HELLO}
    arrived = b""
    request = client.build_request("POST", path, json=body, headers={"accept-encoding": coding or "identity"})
    response = await client.send(request, stream=True)
    try:
        async for chunk in response.aiter_raw():
            arrived += chunk
    except httpx.RemoteProtocolError:
        pass  # cut, as the test has it
    finally:
        await response.aclose()
    return arrived


@pytest.mark.parametrize("coding", CODINGS)
async def test_every_shape_of_an_answer_becomes_the_row_of_the_reference(
    coding: str, upstream: Upstream, client: httpx.AsyncClient, kept: Kept
) -> None:
    asked = {f"shape-{coding}-{number}": shape for number, shape in enumerate(OVER_HTTP)}
    for model, shape in asked.items():
        upstream.script(played(shape, encoding=coding))
        arrived = await ask(client, shape, model, coding)
        assert coding or arrived == shape.body
    turns = await kept.turns(asked)
    compared = {shape.name: differing(turns[model], row_of(shape, shape.whole)) for model, shape in asked.items()}
    assert {name: wrong for name, wrong in compared.items() if wrong} == {}


@pytest.mark.parametrize(("api", "name"), CUT)
async def test_of_an_answer_cut_after_any_event_what_was_seen_is_kept(
    api: str, name: str, upstream: Upstream, client: httpx.AsyncClient, kept: Kept
) -> None:
    shape = named(api, name)
    counts = range(1, len(shape.parts), max(1, len(shape.parts) // 12))
    asked = {f"cut-{api}-{len(shape.parts)}-{count}": count for count in counts}
    for model, count in asked.items():
        upstream.script(played(shape, cut=Cut.CLOSE, after_events=count))
        assert await ask(client, shape, model) == b"".join(shape.parts[:count])
    turns = await kept.turns(asked)
    ending = {"terminal": "truncated", "ok": False}
    expected = {model: {**row_of(shape, shape.answers[count]), **ending} for model, count in asked.items()}
    assert {model: differing(turns[model], expected[model]) for model in asked} == {model: {} for model in asked}


BY_SDK: Sequence[tuple[str, str]] = (
    ("anthropic", "text"),
    ("anthropic", "thinking, then text"),
    ("anthropic", "text and two parallel tools"),
    ("anthropic", "server tool: web search, input grows"),
    ("anthropic", "JSON with tools"),
    ("openai-chat", "text with include_usage"),
    ("openai-chat", "text without include_usage"),
    ("openai-chat", "three tools one after the other"),
    ("openai-chat", "JSON with tools, cached"),
    ("openai-responses", "two functions"),
    ("openai-responses", "custom tool: apply_patch"),
    ("openai-responses", "server tool: web search"),
    ("openai-responses", "JSON with a function and a patch"),
)


async def by_sdk(proxy: Mitmproxy, shape: Shape, asked: str) -> object:
    """Let the real SDK ask; the model and the tokens of the output, as the SDK has understood them."""
    stream: Any = shape.form == "sse"
    if shape.api == "anthropic":
        async with AsyncAnthropic(
            base_url=proxy.url, api_key="planted-fake", max_retries=0, timeout=PATIENCE
        ) as claude:
            told: Any = await claude.messages.create(model=asked, max_tokens=99, messages=HELLO, stream=stream)
            events = [event async for event in told] if stream else [told]
        return events[-2 if stream else 0].usage.output_tokens
    async with AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="planted-fake", max_retries=0, timeout=PATIENCE) as gpt:
        if shape.api == "openai-chat":
            chat: Any = await gpt.chat.completions.create(model=asked, messages=HELLO, stream=stream)
            last = [chunk async for chunk in chat][-1] if stream else chat
            return last.usage and last.usage.completion_tokens
        told = await gpt.responses.create(model=asked, input="Hello", stream=stream)
        response = [event async for event in told][-1].response if stream else told
        return response.usage.output_tokens


# They offer no more; what is not offered is not sent.
@pytest.mark.parametrize("coding", ["", "gzip", "br"])
@pytest.mark.parametrize(("api", "name"), BY_SDK)
async def test_what_the_sdks_understand_is_what_is_kept(
    api: str, name: str, coding: str, upstream: Upstream, proxy: Mitmproxy, kept: Kept
) -> None:
    shape = named(api, name)
    asked = f"sdk-{name}-{coding}"
    upstream.script(played(shape, encoding=coding))
    understood = await by_sdk(proxy, shape, asked)
    [row] = await kept.rows(asked, 1)
    assert differing(row, row_of(shape, shape.whole)) == {}
    assert row["output_tokens"] == understood


async def test_each_turn_of_a_websocket_is_a_row_and_a_cut_one_too(
    upstream: Upstream, proxy: Mitmproxy, kept: Kept
) -> None:
    shape = named("openai-responses", "two functions over a WebSocket")
    frames = [sse(part.decode()) for part in shape.parts]
    upstream.script(Step(events=frames), Step(events=frames, cut=Cut.CLOSE, after_events=20))
    asked = {"type": "response.create", "model": "socket", "input": "Hello"}
    async with asyncio.timeout(PATIENCE), WebSocketClient(proxy.port, "/v1/responses") as socket:
        for _ in range(3):
            await socket.say(json.dumps(asked))
            assert [await socket.hear() for _ in frames] == [part.decode() for part in shape.parts]
    async with asyncio.timeout(PATIENCE), WebSocketClient(proxy.port, "/v1/responses") as socket:
        await socket.say(json.dumps({**asked, "model": "cut-socket"}))
        assert [await socket.hear() for _ in range(20)] == [part.decode() for part in shape.parts[:20]]
    rows = await kept.rows("socket", 3)
    assert [differing(row, row_of(shape, shape.whole)) for row in rows] == [{}, {}, {}]
    assert [row["id"].rpartition(".")[2] for row in rows] == ["1", "2", "3"]
    [cut] = await kept.rows("cut-socket", 1)
    assert differing(cut, {**row_of(shape, shape.answers[20]), "ok": False}) == {}
    assert cut["id"].endswith(".1")


async def test_a_client_that_leaves_its_websocket_in_mid_turn_has_canceled_it_as_over_http(
    upstream: Upstream, proxy: Mitmproxy, kept: Kept
) -> None:
    shape = named("openai-responses", "two functions over a WebSocket")
    gate = upstream.gate()
    upstream.script(Step(events=[sse(part.decode()) for part in shape.parts], gate=gate))
    gate.release(2)
    async with asyncio.timeout(PATIENCE), WebSocketClient(proxy.port, "/v1/responses") as socket:
        await socket.say(json.dumps({"type": "response.create", "model": "left-socket", "input": "Hello"}))
        await socket.hear()
    [row] = await kept.rows("left-socket", 1)
    assert (row["terminal"], row["error"], row["complete"]) == ("client_cancelled", "", False)


async def test_an_error_of_the_upstream_is_a_turn_without_tokens(
    upstream: Upstream, proxy: Mitmproxy, kept: Kept
) -> None:
    upstream.script(Step(status=400))
    async with AsyncAnthropic(base_url=proxy.url, api_key="planted-fake", max_retries=0) as client:
        with pytest.raises(APIStatusError):
            await client.messages.create(model="wrong", max_tokens=9, messages=HELLO)
    [row] = await kept.rows("wrong", 1)
    assert (row["status"], row["ok"], row["input_tokens"], row["cost_nano_usd"]) == (400, False, None, None)


async def test_what_is_no_turn_of_a_model_is_not_kept(upstream: Upstream, proxy: Mitmproxy, kept: Kept) -> None:
    async with AsyncAnthropic(base_url=proxy.url, api_key="planted-fake", max_retries=0) as client:
        counted = await client.messages.count_tokens(model="counted", messages=HELLO)
        await client.models.list()
        await client.messages.create(model="after", max_tokens=9, messages=HELLO)
    assert counted.input_tokens > 0
    await kept.rows("after", 1)
    assert await kept.rows("counted", 0) == []


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_garbage_reaches_the_client_as_it_is_and_leaves_sane_rows(
    coding: str, upstream: Upstream, client: httpx.AsyncClient, proxy: Mitmproxy, kept: Kept
) -> None:
    # What begins with an error event is another addon's business.
    sound = [shape for shape in OVER_HTTP if not shape.whole.error]
    asked = [f"garbage-{coding}-{number}" for number in range(80)]
    for model in asked:
        dice = random.Random(model)
        shape = dice.choice(sound)
        _, change = dice.choice([way for way in WAYS if way[0] != "events of another answer"])
        body = change(dice, shape.body, shape)
        upstream.script(Step(body=body, headers=[("content-type", shape.content_type)], encoding=coding))
        arrived = await ask(client, shape, model, coding)
        assert (zlib.decompress(arrived, wbits=31) if coding else arrived) == body
    assert [insane(row) for row in (await kept.turns(asked)).values()] == [[]] * len(asked)
    assert_nothing_failed(proxy)


async def test_garbage_on_a_websocket_passes_and_what_the_last_message_says_counts(
    upstream: Upstream, proxy: Mitmproxy, kept: Kept
) -> None:
    shape = named("openai-responses", "two functions over a WebSocket")
    dice = random.Random("socket")
    lines = [odd_values(dice, part, shape) for part in shape.parts[:-1] for _ in range(3)]
    lines += [b"", b"{", b'{"type": ["response.completed"]}', b"[" * 5000, b"x" * 1_500_000]
    texts = [*(line.decode() for line in lines if line), *(part.decode() for part in shape.parts)]
    frames = [sse(text) for text in texts]
    upstream.script(Step(events=frames))
    ask_again = {"type": "response.create", "model": "odd-socket", "input": "Hello"}
    async with asyncio.timeout(PATIENCE), WebSocketClient(proxy.port, "/v1/responses") as socket:
        for _ in range(2):
            await socket.say(json.dumps(ask_again))
            assert [await socket.hear() for _ in texts] == texts
    rows = await kept.rows("odd-socket", 2)
    assert [(row["complete"], row["output_tokens"], row["input_tokens"]) for row in rows] == [(True, 220, 864)] * 2
    assert [insane(row) for row in rows] == [[], []]
    assert_nothing_failed(proxy)


ODD_REQUESTS = (
    *(b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b"[1]", b'"text"', b"1e999", b'{"model": 5, "messages": 7}'),
    *(
        b'{"model": null, "messages": [null, [], {"role": 1, "content": [[], {"type": []}]}]}',
        b'{"input": [{}, 1, ""]}',
    ),
    *(b'{"contents": [{"parts": [{"functionResponse": []}, null]}, 3]}', b'{"model": "m"' + b" " * 700_000 + b"}"),
)


async def test_a_request_that_nobody_can_read_is_a_turn_all_the_same(
    upstream: Upstream, client: httpx.AsyncClient, proxy: Mitmproxy, kept: Kept
) -> None:
    shape = named("gemini", "text")
    upstream.script(then=Step(body=shape.body, headers=[("content-type", shape.content_type)]))
    for number, body in enumerate(ODD_REQUESTS):
        for api, path in PATHS.items():
            encoding = {"content-encoding": "gzip"} if number % 2 else {}
            answer = await client.post(f"/odd{path}", content=body, headers=encoding)
            assert answer.content == shape.body, api
    of_gemini = await kept.rows_at(f"/odd{PATHS['gemini']}", len(ODD_REQUESTS))
    assert [differing(row, row_of(shape, shape.whole)) for row in of_gemini] == [{}] * len(ODD_REQUESTS)
    others = [await kept.rows_at(f"/odd{path}", len(ODD_REQUESTS)) for path in PATHS.values()]
    assert [insane(row) for rows in others for row in rows] == [[]] * len(ODD_REQUESTS) * len(PATHS)
    assert_nothing_failed(proxy)


def insane(row: Row) -> list[str]:
    """Columns that no real turn could have."""
    numbers = [name for name, value in row.items() if isinstance(value, int | float) and value < 0]
    words = [name for name, value in row.items() if isinstance(value, str) and not value.isprintable()]
    unpriced = ["cost_nano_usd"] if row["cost_nano_usd"] is not None and row["input_tokens"] is None else []
    return numbers + words + unpriced


def assert_nothing_failed(proxy: Mitmproxy) -> None:
    [addon] = [one for one in proxy.health()["addons"] if one["name"] == "usage_metering"]
    assert (addon["state"], addon["mishaps"], addon["details"]["uncounted"]) == ("active", {}, 0)
