"""Frames as bytes, read by wsproto at the other end."""

from __future__ import annotations

import tracemalloc

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import Opcode

from codemie_core.websocket.deflate import agreed_deflate
from codemie_core.websocket.writing import PIECE, Writer

MOST = 8 * PIECE
SIZES = (0, 1, 125, 126, 65535, 65536, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 2)


def extensions(agreed: str) -> list[Extension]:
    found = agreed_deflate(agreed, MOST)
    assert found is not None
    return found


def heard(reader: Connection, written: bytes) -> list[tuple[type, bytes, bool]]:
    """Kind, content and whether it ends its message, of each frame."""
    reader.receive_data(written)
    frames: list[tuple[type, bytes, bool]] = []
    content = b""
    for said in reader.events():
        assert isinstance(said, TextMessage | BytesMessage)
        content += said.data.encode() if isinstance(said.data, str) else bytes(said.data)
        if said.frame_finished:
            frames.append((type(said), content, said.message_finished))
            content = b""
    return frames


@pytest.mark.parametrize("agreed", ["", "permessage-deflate", "permessage-deflate; client_no_context_takeover"])
@pytest.mark.parametrize("client", [True, False], ids=["to a server", "to a client"])
def test_a_message_arrives_in_the_frames_it_is_given_in(client: bool, agreed: str) -> None:
    writer = Writer(client, extensions(agreed))
    reader = Connection(ConnectionType.SERVER if client else ConnectionType.CLIENT, extensions(agreed))
    for opcode, kind in ((Opcode.TEXT, TextMessage), (Opcode.BINARY, BytesMessage)):
        for size in SIZES:
            text = ("é" * size).encode()[:size]
            frame = text if opcode is Opcode.BINARY else text.decode(errors="ignore").encode()
            written = b"".join(writer.written([frame, b"", b"words"], opcode))
            found = heard(reader, written)
            assert b"".join(content for _, content, _ in found) == frame + b"words"
            assert [(it, last) for it, _, last in found] == [(kind, False), (kind, False), (kind, True)]
            if not agreed:  # A compressor may keep a frame's last bytes for the next one.
                assert [content for _, content, _ in found] == [frame, b"", b"words"]


def test_toward_a_client_it_is_to_the_byte_what_wsproto_writes() -> None:
    for size in SIZES:
        usual = Connection(ConnectionType.SERVER).send(TextMessage(data="x" * size))
        assert b"".join(Writer(False, ()).written([b"x" * size], Opcode.TEXT)) == usual


def test_each_masked_frame_has_a_key_of_its_own() -> None:
    frames = [b"".join(Writer(True, ()).written([b"x" * 100], Opcode.TEXT)) for _ in range(4)]
    assert len({frame[2:6] for frame in frames}) == 4


@pytest.mark.parametrize("client", [True, False], ids=["to a server", "to a client"])
def test_a_large_frame_is_written_without_copies_of_it(client: bool) -> None:
    frame = bytes(64 * PIECE)
    tracemalloc.start()
    try:
        sizes = [len(piece) for piece in Writer(client, ()).written([frame], Opcode.BINARY)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(sizes), max(sizes) <= PIECE + 14) == (64, True)
    assert peak < 8 * PIECE
