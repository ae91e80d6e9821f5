"""Messages that arrive in pieces."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from codemie_core.websocket.assembly import MOST_FRAMES, Assembly


@given(st.lists(st.lists(st.binary(max_size=9), min_size=1), min_size=1))
def test_frames_come_out_as_they_were_whatever_pieces_they_arrived_in(frames: list[list[bytes]]) -> None:
    assembly = Assembly(10**6)
    for _ in range(2):
        for pieces in frames:
            for number, piece in enumerate(pieces, 1):
                assert assembly.add(piece, frame_finished=number == len(pieces))
        assert assembly.take() == [b"".join(pieces) for pieces in frames]


def test_a_message_may_be_as_large_as_the_bound_and_no_byte_larger() -> None:
    assembly = Assembly(100)
    assert assembly.add(b"x" * 99, frame_finished=True)
    assert assembly.add(b"x", frame_finished=False)
    assert not assembly.add(b"x", frame_finished=True)
    assert assembly.add(b"y" * 100, frame_finished=True)
    assert assembly.take() == [b"y" * 100]


def test_a_large_message_is_there_once() -> None:
    size = 16 * 1024 * 1024
    piece = bytes(64 * 1024)
    assembly = Assembly(size)
    tracemalloc.start()
    try:
        for _ in range(size // len(piece)):
            assert assembly.add(piece, frame_finished=False)
        assembly.add(b"", frame_finished=True)
        (frame,) = assembly.take()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(frame), peak < 1.5 * size) == (size, True)


def test_empty_frames_without_end_take_no_memory_and_lose_nothing() -> None:
    for count in (MOST_FRAMES - 1, MOST_FRAMES, 5 * MOST_FRAMES):
        assembly = Assembly(10**6)
        pieces = [b"%d," % n if n % 100 == 0 else b"" for n in range(count)]
        for piece in pieces:
            assert assembly.add(piece, frame_finished=True)
        frames = assembly.take()
        assert len(frames) == min(count, MOST_FRAMES)
        assert b"".join(frames) == b"".join(pieces)
        assert assembly.add(b"next", frame_finished=True)
        assert assembly.take() == [b"next"]
