"""Observers get copies; the bytes pass untouched, whatever an observer does."""

import gzip
import zlib

import pytest

from codemie_core.tap import MOST_AHEAD, MOST_GROWTH, Observer, Tap

CHUNKS = [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]


class Watching:
    """An observer that fails at its nth chunk."""

    def __init__(self, fails_at: int = 0) -> None:
        self.seen: list[bytes] = []
        self.fails_at = fails_at

    def __call__(self, data: bytes) -> None:
        self.seen.append(data)
        if len(self.seen) == self.fails_at:
            raise RuntimeError("no more")


def ignored(observer: Observer, error: Exception) -> None:
    raise AssertionError(f"{observer} failed with {error}")


def test_every_observer_sees_every_chunk_and_the_end_passes() -> None:
    one, two = Watching(), Watching()
    tap = Tap("", [one, two], ignored)
    assert [tap(chunk) for chunk in [*CHUNKS, b""]] == [*CHUNKS, b""]
    assert one.seen == two.seen == CHUNKS


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_an_observer_that_raises_is_dropped_once_and_nobody_else_notices(fails_at: int) -> None:
    bad, good, told = Watching(fails_at), Watching(), []
    tap = Tap("", [bad, good], lambda observer, error: told.append((observer, str(error))))
    assert [tap(chunk) for chunk in CHUNKS] == CHUNKS
    assert good.seen == CHUNKS
    assert bad.seen == CHUNKS[:fails_at]
    assert told == [(bad, "no more")]


def test_observers_see_what_compression_hides_and_the_client_gets_it_compressed() -> None:
    watching, packer = Watching(), zlib.compressobj(wbits=31)
    tap = Tap("gzip", [watching], ignored)
    packed = [packer.compress(chunk) + packer.flush(zlib.Z_SYNC_FLUSH) for chunk in CHUNKS] + [packer.flush()]
    assert [tap(piece) for piece in packed] == packed
    assert watching.seen == CHUNKS


def test_a_piece_that_decodes_to_nothing_yet_is_not_shown() -> None:
    watching, packed = Watching(), gzip.compress(b"x")
    tap = Tap("gzip", [watching], ignored)
    assert tap(packed[:5]) == packed[:5]
    assert watching.seen == []


@pytest.mark.parametrize("encoding", ["rot13", "gzip"])
def test_a_body_that_cannot_be_decoded_passes_unobserved(encoding: str) -> None:
    watching = Watching()
    tap = Tap(encoding, [watching], ignored)
    assert [tap(chunk) for chunk in CHUNKS] == CHUNKS
    assert watching.seen == []


def test_a_compression_bomb_ends_the_observation_and_not_the_stream() -> None:
    watching, bomb = Watching(), gzip.compress(b"\0" * 10_000_000)
    tap = Tap("gzip", [watching], ignored, max_observed=100_000)
    assert tap(bomb) == bomb
    assert sum(map(len, watching.seen)) <= 100_000


def test_observers_are_spared_a_body_that_grows_beyond_measure() -> None:
    """A small chunk of it would hold up every stream while the observers read what it decodes to."""
    watching, bomb = Watching(), gzip.compress(b'data: {"type":"ping"}\n\n' * 1_000_000)
    tap = Tap("gzip", [watching], ignored)
    assert tap(bomb) == bomb
    assert tap(b"more") == b"more"
    assert sum(map(len, watching.seen)) <= MOST_AHEAD + MOST_GROWTH * len(bomb)


def test_a_long_repetitive_stream_is_no_bomb() -> None:
    event = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"text":"%d"}}\n\n'
    events = [event % number for number in range(50_000)]
    watching, packed = Watching(), gzip.compress(b"".join(events), 9)
    tap = Tap("gzip", [watching], ignored)
    for start in range(0, len(packed), 65_536):
        tap(packed[start : start + 65_536])
    assert b"".join(watching.seen) == b"".join(events)
