"""Bodies are decoded as far as they go, and never further than a bound."""

import gzip

import brotli  # type: ignore[import-untyped]  # ships no type information
import pytest
import zstandard

from codemie_core.inspection.bodies import MOST, MOST_EVENTS, decoded, read_body, shortened

TEXT = b"data: 1\n\n" * 3000
ENCODED = {
    "": TEXT,
    "gzip": gzip.compress(TEXT),
    "br": brotli.compress(TEXT),
    "zstd": zstandard.compress(TEXT),
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_every_encoding_is_undone(encoding: str) -> None:
    assert decoded(ENCODED[encoding], encoding) == TEXT


def test_a_body_that_was_cut_is_decoded_as_far_as_it_goes() -> None:
    raw = gzip.compress(TEXT, 0)
    part = decoded(raw[: len(raw) // 2], "gzip")
    assert part
    assert TEXT.startswith(part)


def test_a_bomb_is_decoded_up_to_the_bound() -> None:
    assert decoded(gzip.compress(bytes(MOST * 3)), "gzip") == bytes(MOST)
    assert decoded(bytes(100), "", most=10) == bytes(10)


def test_of_a_long_stream_the_beginning_and_the_end_are_read() -> None:
    event = b'data: {"n": 1}\n\n'
    stream = b'data: {"first": 1}\n\n' + event * (MOST_EVENTS // len(event)) + b'data: {"last": 1}\n\n'
    short = shortened(stream)
    assert len(short) <= MOST_EVENTS + 2
    told = [body for _, body in read_body("anthropic", short).events]
    assert told[0] == {"first": 1}
    assert told[-1] == {"last": 1}
    assert all(body in ({"n": 1}, {}) for body in told[1:-1])
    for other in (stream[:1000], b"{" + bytes(MOST_EVENTS), b"[" + bytes(MOST_EVENTS)):
        assert shortened(other) is other


def test_an_encoding_nobody_knows_is_left_alone() -> None:
    assert decoded(b"x", "rot13") is None


def test_events_are_told_from_a_whole_by_the_first_byte() -> None:
    assert read_body("anthropic", b' \n{"a": 1}').whole == {"a": 1}
    assert read_body("anthropic", b'event: x\ndata: {"a": 1}\n\n').events == (("x", {"a": 1}),)
    assert read_body("anthropic", b': hello\n\ndata: {"a": 1}\n\n').events == (("message", {"a": 1}),)
    assert read_body("gemini", b'[{"a": 1},{"b": 2}').events == (("message", {"a": 1}), ("message", {"b": 2}))
    assert read_body("anthropic", b"[1]").events == ()
