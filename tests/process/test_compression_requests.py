"""Compressed requests: read for what they ask, forwarded byte for byte, over both versions of HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import psutil
import pytest
import zstandard

from codemie_core.demo.script import Step
from support.compressed import COMPRESS, PATIENCE, PROSE, Between, between

VERSIONS = ("http/1.1", "h2")
JSON = [("content-type", "application/json"), ("accept", "text/event-stream")]
PATH = "/v1/responses"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Between]:
    with between(tmp_path_factory.mktemp("compressed"), fresh=True) as made:
        yield made


def asking(model: str, conversation: str = "") -> bytes:
    said = {"model": model, "stream": True, "instructions": PROSE, "input": [], "prompt_cache_key": conversation}
    return json.dumps(said).encode()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("coding", COMPRESS)
async def test_a_compressed_request_is_understood_and_reaches_the_upstream_as_it_came(
    coding: str, version: str, room: Between
) -> None:
    model, conversation = f"{coding}-{version}".replace(", ", "-"), f"conversation of {coding} {version}"
    body = COMPRESS[coding](asking(model, conversation))
    async with asyncio.timeout(PATIENCE), room.upstream() as upstream, room.client(version, upstream) as client:
        answer = await client.ask("POST", PATH, [*JSON, ("content-encoding", coding)], body)
    assert (answer.status, answer.ended) == (200, "complete")
    [got] = upstream.requests
    assert got.body == body
    assert [value for name, value in got.headers if name.lower() == "content-encoding"] == [coding]
    assert got.header("content-length") == str(len(body))
    row = await room.row(model)
    assert (row["conversation_id"], row["ok"], row["output_tokens"] > 0) == (conversation, True, True)


WRONG = {
    "unknown": ("snappy", asking("m")),
    "not what it says": ("zstd", asking("m")),
    "cut": ("gzip", COMPRESS["gzip"](asking("m"))[:-200]),
    "broken": ("br", COMPRESS["br"](asking("m"))[:5000] + b"\xff" * 500),
    "four codings": ("gzip, gzip, gzip, gzip", COMPRESS["gzip"](asking("m"))),
    "no JSON": ("gzip", COMPRESS["gzip"](b"words")),
    "nothing": ("gzip", b""),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_read_passes_untouched(case: str, version: str, room: Between) -> None:
    coding, body = WRONG[case]
    async with asyncio.timeout(PATIENCE), room.upstream() as upstream, room.client(version, upstream) as client:
        upstream.script(Step(text="words"))
        answer = await client.ask("POST", PATH, [*JSON, ("content-encoding", coding)], body)
    assert (answer.status, answer.ended) == (200, "complete")
    [got] = upstream.requests
    assert (got.body, got.header("content-encoding")) == (body, coding)
    addons = {one["name"]: one["state"] for one in await asyncio.to_thread(lambda: room.proxy.health()["addons"])}
    assert set(addons.values()) == {"active"}, addons


def worked(room: Between) -> float:
    """Seconds of a processor that the proxy has had: a busy machine does not add to them."""
    times = psutil.Process(room.proxy.process.pid).cpu_times()
    return float(times.user + times.system)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_bomb_neither_fills_the_memory_nor_holds_up_others(version: str, room: Between) -> None:
    # Some kilobytes, that would be millions of objects.
    body = zstandard.ZstdCompressor(level=19).compress(b"[" + b'{"a":1},' * 7_500_000 + b"0]")
    async with (
        asyncio.timeout(120),
        room.upstream() as upstream,
        room.client(version, upstream) as client,
        room.client("http/1.1", upstream) as other,
    ):
        await other.ask("POST", PATH, JSON, asking("warm"))
        before, began = room.proxy.memory(), worked(room)
        async with asyncio.TaskGroup() as group:
            bomb = group.create_task(client.ask("POST", PATH, [*JSON, ("content-encoding", "zstd")], body))
            while not bomb.done() or len(upstream.requests) < 20:
                assert (await other.ask("POST", PATH, JSON, b'{"model": "other", "stream": true}')).status == 200
        grown, took = room.proxy.memory() - before, worked(room) - began
    assert bomb.result().status == 200
    assert [request.body for request in upstream.requests].count(body) == 1
    # Nobody is held up for longer than all of it took; to read the bomb takes more, and a gigabyte.
    assert took < 1.2
    assert grown < 100 * 1024 * 1024
