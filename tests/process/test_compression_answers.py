"""Compressed answers: metered as plain ones are, passed byte for byte; and answers of our own, which have no coding."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from codemie_core.demo.frames import sse
from codemie_core.demo.script import Step
from support.compressed import COMPRESS, PATIENCE, Between, between

VERSIONS = ("http/1.1", "h2")
JSON = [("content-type", "application/json"), ("accept", "text/event-stream")]
PATH = "/v1/responses"
USAGE = {"input_tokens": 700, "output_tokens": 31, "total_tokens": 731}
DONE = {"id": "resp_1", "status": "completed", "model": "served", "output": [], "usage": USAGE}
FRAMES = (
    sse(json.dumps({"type": "response.created", "response": {**DONE, "status": "in_progress", "usage": None}})),
    *(sse(json.dumps({"type": "response.output_text.delta", "delta": f"word {n} "})) for n in range(200)),
    sse(json.dumps({"type": "response.completed", "response": DONE})),
)
STREAM = b"".join(FRAMES)
PLAIN = json.dumps({"object": "response", **DONE}).encode()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Between]:
    quick: dict[str, Any] = {
        "codemie_upstream_attempts_backoff": "5ms",
        "codemie_upstream_attempts_max_request_size": "1m",
    }
    with between(tmp_path_factory.mktemp("compressed"), **quick) as made:
        yield made


def asking(model: str) -> bytes:
    return json.dumps({"model": model, "stream": True, "input": []}).encode()


def encoded(coding: str, kind: str, body: bytes, status: int = 200) -> Step:
    """An answer whose body is what it is, in no hurry."""
    packed = COMPRESS.get(coding, bytes)(body)
    headers = [("content-type", kind), ("content-encoding", coding)]
    return Step(status=status, body=packed, headers=headers, split=(1, 9, 33, len(packed) // 2))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("coding", COMPRESS)
@pytest.mark.parametrize("form", ["stream", "whole"])
async def test_an_answer_is_metered_whatever_its_coding_and_passes_as_it_is(
    form: str, coding: str, version: str, room: Between
) -> None:
    model, body = f"{form}-{coding}-{version}".replace(", ", "-"), STREAM if form == "stream" else PLAIN
    kind = "text/event-stream" if form == "stream" else "application/json"
    async with asyncio.timeout(PATIENCE), room.upstream() as upstream, room.client(version, upstream) as client:
        upstream.script(step := encoded(coding, kind, body))
        answer = await client.ask("POST", PATH, [*JSON, ("accept-encoding", coding)], asking(model))
    assert (answer.status, answer.header("content-encoding"), answer.ended) == (200, coding, "complete")
    assert answer.body == step.body
    row = await room.row(model)
    assert (row["input_tokens"], row["output_tokens"], row["complete"], row["model_served"]) == (
        700,
        31,
        True,
        "served",
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("coding", "body"), [("snappy", STREAM), ("gzip", STREAM), ("zstd", b"\x28\xb5\x2f\xfd" * 99)])
async def test_an_answer_that_cannot_be_read_passes_untouched(
    coding: str, body: bytes, version: str, room: Between
) -> None:
    step = Step(body=body, headers=[("content-type", "text/event-stream"), ("content-encoding", coding)])
    async with asyncio.timeout(PATIENCE), room.upstream() as upstream, room.client(version, upstream) as client:
        upstream.script(step)
        answer = await client.ask("POST", PATH, JSON, asking(model := f"unread-{coding}-{len(body)}-{version}"))
    assert (answer.body, answer.header("content-encoding"), answer.ended) == (body, coding, "complete")
    row = await room.row(model)
    assert (row["ok"], row["input_tokens"]) == (True, None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("asked", ["", "gzip", "br, gzip;q=0.5", "identity"])
async def test_the_upstream_hears_of_the_codings_that_the_client_takes_and_of_no_others(
    asked: str, version: str, room: Between
) -> None:
    headers = [*JSON, ("accept-encoding", asked)] if asked else JSON
    async with asyncio.timeout(PATIENCE), room.upstream() as upstream, room.client(version, upstream) as client:
        answer = await client.ask("POST", PATH, headers, asking("heard"))
    assert answer.status == 200
    assert [value for name, value in upstream.requests[0].headers if name.lower() == "accept-encoding"] == (
        [asked] if asked else []
    )


HTML = b"<html><body>" + b"Bad gateway " * 99
OURS: Mapping[str, tuple[Step | None, bytes, int]] = {
    "a page instead of JSON": (encoded("gzip", "text/html", HTML, 500), asking("m"), 500),
    "a page, three times": (encoded("gzip", "text/html", HTML, 503), asking("m"), 503),
    "a page in an unknown coding": (encoded("snappy", "text/html", HTML, 502), asking("m"), 502),
    "too large a request": (None, b'{"model": "' + b"x" * 1_100_000 + b'"}', 413),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", OURS)
async def test_an_answer_of_our_own_has_no_coding_whatever_the_upstreams_had(
    case: str, version: str, room: Between
) -> None:
    step, body, status = OURS[case]
    async with asyncio.timeout(PATIENCE), room.upstream() as upstream, room.client(version, upstream) as client:
        upstream.script(then=step)
        answer = await client.ask("POST", PATH, [*JSON, ("accept-encoding", "gzip, br, zstd")], body)
    assert (answer.status, answer.header("content-encoding"), answer.ended) == (status, None, "complete")
    said: Any = json.loads(answer.body)
    assert said["error"]["message"]
    assert answer.header("content-length") in (str(len(answer.body)), None)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_error_in_json_stays_compressed_as_the_upstream_sent_it(version: str, room: Between) -> None:
    words = b'{"error": {"message": "no such model", "type": "invalid_request_error"}}'
    async with asyncio.timeout(PATIENCE), room.upstream() as upstream, room.client(version, upstream) as client:
        upstream.script(encoded("gzip", "application/json", words, 400))
        answer = await client.ask("POST", PATH, [*JSON, ("accept-encoding", "gzip")], asking("m"))
    assert (answer.status, answer.header("content-encoding")) == (400, "gzip")
    assert gzip.decompress(answer.body) == words


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("coding", [coding for coding in COMPRESS if coding != "identity"])
async def test_an_overload_that_opens_a_compressed_stream_is_tried_again_and_the_second_answer_is_whole(
    coding: str, version: str, room: Between
) -> None:
    failed = sse(json.dumps({"type": "error", "code": "server_is_overloaded", "message": "later"}), "error")
    async with asyncio.timeout(PATIENCE), room.upstream() as upstream, room.client(version, upstream) as client:
        upstream.script(
            encoded(coding, "text/event-stream", failed),
            Step(body=STREAM, headers=[("content-type", "text/event-stream")]),
        )
        answer = await client.ask("POST", PATH, [*JSON, ("accept-encoding", coding)], asking("again"))
    assert (answer.status, answer.header("content-encoding"), answer.ended) == (200, None, "complete")
    assert (answer.body, len(upstream.requests)) == (STREAM, 2)
