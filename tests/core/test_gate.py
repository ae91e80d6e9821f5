import gzip
import json
import zlib
from collections.abc import Callable, Sequence

import brotli  # type: ignore[import-untyped]  # ships no type information
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from codemie_core.gate import CommitGate, ErrorEvent, Gate

MAX_BYTES = 4096
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
UNAVAILABLE = b'data: {"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}\n\n'
SERVER_ERROR = b'"error":{"code":"server_error","message":"m"}'
RESPONSES_FAILED = b'{"type":"response.failed","response":{"id":"r","status":"failed",' + SERVER_ERROR + b"}}"

type Verdict = Gate | ErrorEvent

OPENINGS: dict[str, tuple[bytes, Verdict]] = {
    # Anthropic
    "message_start": (b'event: message_start\ndata: {"type":"message_start"}\n\n', Gate.OPEN),
    "message_start without its data": (b"event: message_start\n", Gate.OPEN),
    "half an event name": (b"event: message_sta", Gate.HOLD),
    "ping": (PING, Gate.HOLD),
    "pings, then an answer": (PING * 3 + b"event: message_start\n", Gate.OPEN),
    "pings, then an error": (PING * 2 + b"event: error\ndata: " + OVERLOADED + b"\n\n", ErrorEvent("overloaded_error")),
    "error": (b"event: error\ndata: " + OVERLOADED + b"\n\n", ErrorEvent("overloaded_error")),
    "error without its data": (b"event: error\n", Gate.HOLD),
    "error whose data line is not complete": (b"event: error\ndata: " + OVERLOADED, Gate.HOLD),
    "error inside data without an event name": (b"data: " + OVERLOADED + b"\n\n", ErrorEvent("overloaded_error")),
    "ping inside data without an event name": (b'data: {"type":"ping"}\n\n', Gate.HOLD),
    "no space after the colon": (b"event:error\ndata:" + OVERLOADED + b"\n\n", ErrorEvent("overloaded_error")),
    # OpenAI chat completions
    "chat chunk": (b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n', Gate.OPEN),
    "chat error by code": (b'data: {"error":{"code":"busy_now","type":"x"}}\n\n', ErrorEvent("busy_now")),
    "chat error by type": (b'data: {"error":{"type":"server_error","code":null}}\n\n', ErrorEvent("server_error")),
    "chat error with a number for a code": (b'data: {"error":{"code":500,"message":"x"}}\n\n', ErrorEvent("")),
    "done": (b"data: [DONE]\n\n", Gate.OPEN),
    "a chunk that speaks of an error": (b'data: {"choices":[{"delta":{"content":"\\"error\\""}}]}\n\n', Gate.OPEN),
    "a chunk whose error is null": (b'data: {"choices":[],"error":null}\n\n', Gate.OPEN),
    "a list that holds an error": (b'data: [{"error":{}}]\n\n', Gate.OPEN),
    "broken JSON with the word": (b'data: {"error"\n\n', Gate.OPEN),
    # OpenAI Responses
    "response.created": (b'event: response.created\ndata: {"type":"response.created"}\n\n', Gate.OPEN),
    "response.failed": (b"event: response.failed\ndata: " + RESPONSES_FAILED + b"\n\n", ErrorEvent("server_error")),
    "response.failed without an event name": (b"data: " + RESPONSES_FAILED + b"\n\n", ErrorEvent("server_error")),
    "responses error": (b'event: error\ndata: {"type":"error","code":"server_error"}\n\n', ErrorEvent("server_error")),
    # Gemini
    "gemini chunk": (b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n\n', Gate.OPEN),
    "gemini error": (UNAVAILABLE, ErrorEvent("UNAVAILABLE")),
    # shapes
    "an error event that is no JSON": (b"event: error\ndata: oops\n\n", ErrorEvent("")),
    "an error event that is no object": (b"event: error\ndata: 7\n\n", ErrorEvent("")),
    "an error event of no kind": (b"event: error\ndata: {}\n\n", ErrorEvent("")),
    "an error event over two data lines": (b"event: error\ndata: {\ndata: }\n\n", ErrorEvent("")),
    "an endless kind": (b'data: {"error":{"type":"' + b"k" * 200 + b'"}}\n\n', ErrorEvent("k" * 80)),
    "an event name ends with its event": (b"event: error\n\ndata: {}\n\n", Gate.OPEN),
    "comments": (b": keep-alive\n\n: again\n\n", Gate.HOLD),
    "comments, then an error": (b":\n\n: hi\n\n" + UNAVAILABLE, ErrorEvent("UNAVAILABLE")),
    "id and retry": (b"id: 7\nretry: 10\n", Gate.HOLD),
    "id before an error": (b"id: 7\nevent: error\ndata: " + OVERLOADED + b"\n\n", ErrorEvent("overloaded_error")),
    "a field nobody knows": (b"foo: error\nbar\n", Gate.HOLD),
    "data of nothing": (b"data:\n\n", Gate.OPEN),
    "empty": (b"", Gate.HOLD),
    "byte order mark before an error": (b"\xef\xbb\xbf" + UNAVAILABLE, ErrorEvent("UNAVAILABLE")),
    "byte order mark before data": (b"\xef\xbb\xbfdata: {}\n\n", Gate.OPEN),
    "a name that is not UTF-8": (b"event: \xff\xfe\n", Gate.OPEN),
}  # fmt: skip

ENDINGS = {"LF": b"\n", "CR": b"\r", "CRLF": b"\r\n"}


def deflated_raw(data: bytes) -> bytes:
    codec = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return codec.compress(data) + codec.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", lambda data: gzip.compress(data, mtime=0)),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", deflated_raw),
    "gzip, br": ("gzip, br", lambda data: brotli.compress(gzip.compress(data, mtime=0))),
}


def verdict_of(chunks: Sequence[bytes], encoding: str = "", max_bytes: int = MAX_BYTES) -> Verdict:
    """The first final verdict, as the machine asks for it."""
    gate = CommitGate(encoding, max_bytes)
    for chunk in chunks:
        verdict = gate.feed(chunk)
        if verdict is not Gate.HOLD:
            return verdict
    return Gate.HOLD


def splits_of(data: bytes) -> list[list[bytes]]:
    """Whole, byte by byte, and every split in two."""
    bytewise = [data[i : i + 1] for i in range(len(data))]
    return [[data], bytewise, *([data[:i], data[i:]] for i in range(1, len(data)))]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", OPENINGS)
def test_the_verdict_on_an_opening_is_the_same_for_every_split(name: str, ending: str) -> None:
    data, expected = OPENINGS[name]
    data = data.replace(b"\n", ENDINGS[ending])
    assert {verdict_of(split) for split in splits_of(data)} == {expected}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    "name", ["message_start", "ping", "pings, then an error", "chat chunk", "gemini error", "comments"]
)
def test_a_compressed_opening_is_judged_by_its_content_however_it_is_split(name: str, coding: str) -> None:
    data, expected = OPENINGS[name]
    encoding, compress = CODINGS[coding]
    assert {verdict_of(split, encoding) for split in splits_of(compress(data))} == {expected}


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_identity_is_no_coding(encoding: str) -> None:
    assert verdict_of([UNAVAILABLE], encoding) == ErrorEvent("UNAVAILABLE")


def test_a_coding_nobody_knows_opens_at_once() -> None:
    assert verdict_of([b"x"], "secret-sauce") is Gate.OPEN


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_what_is_not_of_its_coding_opens(coding: str) -> None:
    assert verdict_of([b"\xff\xff this is no such thing " * 8], coding) is Gate.OPEN


@pytest.mark.parametrize("size", [1, 7, MAX_BYTES, 3 * MAX_BYTES])
def test_it_opens_after_its_bytes_even_within_an_endless_comment(size: int) -> None:
    gate = CommitGate("", MAX_BYTES)
    fed = 0
    while fed < MAX_BYTES:
        verdict = gate.feed(b":" * size)
        fed += size
        assert verdict is (Gate.OPEN if fed >= MAX_BYTES else Gate.HOLD)


def test_pings_without_end_open_it_too() -> None:
    chunks = [PING] * (MAX_BYTES // len(PING) + 1)
    assert verdict_of(chunks[:-1]) is Gate.HOLD
    assert verdict_of(chunks) is Gate.OPEN


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compression_bomb_opens_it(coding: str) -> None:
    encoding, compress = CODINGS[coding]
    assert verdict_of([compress(b":" * 2**20)], encoding) is Gate.OPEN


@pytest.mark.parametrize("nested", [b"[" * 15000, b'{"a":' * 3000], ids=["lists", "objects"])
def test_json_nested_beyond_the_parser_does_no_harm(nested: bytes) -> None:
    data = b"event: error\ndata: " + nested + b"\n"
    assert verdict_of([data], max_bytes=64 * 1024) == ErrorEvent("")


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b"event: ", b"data: ", b"error", b"ping", b"\n", b"\r", b"\r\n", b"{", b'"error"', b"}", PING]
        ),
    ),
    max_size=20,
)


@settings(max_examples=200, deadline=None)
@given(pieces=PIECES, encoding=st.sampled_from(["", "gzip", "br", "zstd", "deflate", "gzip, br", "nonsense"]))
def test_garbage_never_raises(pieces: list[bytes], encoding: str) -> None:
    verdict_of(pieces, encoding)


@settings(max_examples=200, deadline=None)
@given(pieces=PIECES)
def test_the_verdict_does_not_depend_on_chunks(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert verdict_of(pieces) == verdict_of([data]) == verdict_of([data[i : i + 1] for i in range(len(data))])


def test_an_error_with_a_long_message_is_found() -> None:
    body = {"type": "error", "error": {"message": "x" * 3000, "type": "api_error"}}
    assert verdict_of([b"data: " + json.dumps(body).encode() + b"\n\n"]) == ErrorEvent("api_error")
