"""Errors at the end of event streams, however they are cut into pieces."""

import pytest

from codemie_core.accounts.stream_end import Tail, error_at_end

DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"event: error"}}\n\n'
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n'
CHAT = b'data: {"error":{"type":"server_error","code":"rate_limit_exceeded","message":"x"}}\n\n'
FAILED = (
    b'event: response.failed\ndata: {"type":"response.failed","response":{"error":{"code":"server_is_overloaded"}}}\n\n'
)
GEMINI = b'data: {"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}\r\n\r\n'


@pytest.mark.parametrize(
    "tail, kind",
    [
        (b"", ""),
        (DELTA * 3, ""),
        (DELTA + b"data: [DONE]\n\n", ""),
        (b'data: {"choices":[{"delta":{"content":"\\"error\\": {"}}]}\n\n', ""),
        (b'data: {"type":"response.completed","response":{"error":null}}\n\n', ""),
        (DELTA + ERROR, "overloaded_error"),
        (DELTA + ERROR.replace(b"\n", b"\r\n"), "overloaded_error"),
        (DELTA + ERROR.replace(b"\n", b"\r"), "overloaded_error"),
        (ERROR.removesuffix(b"\n\n"), "overloaded_error"),
        (DELTA + CHAT + b"data: [DONE]\n\n: bye\n\n", "rate_limit_exceeded"),
        (DELTA + FAILED, "server_is_overloaded"),
        (DELTA + GEMINI, "RESOURCE_EXHAUSTED"),
        (DELTA[50:] + ERROR, "overloaded_error"),
        # Something that was said long before the end is not what ended it.
        (ERROR + DELTA * 4, ""),
        (b"error" * 200_000, ""),
        (b'event: error\ndata: {"type": "err', ""),
    ],
)
def test_an_error_event_is_found_behind_the_last_words(tail: bytes, kind: str) -> None:
    assert error_at_end(tail) == kind


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_the_end_of_a_compressed_stream_is_kept_and_no_more(size: int) -> None:
    stream = DELTA * 200 + ERROR
    tail = Tail()
    for place in range(0, len(stream), size):
        tail(stream[place : place + size])
        assert len(tail.kept) <= Tail.SIZE
    assert stream.endswith(tail.kept)
    assert error_at_end(tail.kept) == "overloaded_error"
