"""permessage-deflate with a bound, fed through wsproto's own protocol."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate

from codemie_core.websocket.deflate import BoundedDeflate, agreed_deflate

MOST = 1024 * 1024


def pair(agreed: str = "permessage-deflate", most: int = MOST) -> tuple[Connection, Connection]:
    """One that sends, as wsproto has it, and one that is bounded."""
    theirs, ours = PerMessageDeflate(), BoundedDeflate(most)
    for end in (theirs, ours):
        end.finalize(agreed)
    return Connection(ConnectionType.CLIENT, [theirs]), Connection(ConnectionType.SERVER, [ours])


def heard(ours: Connection, data: bytes, piece: int = 65536) -> list[Event]:
    found: list[Event] = []
    for start in range(0, len(data), piece):
        ours.receive_data(data[start : start + piece])
        found.extend(ours.events())
    return found


def text_of(found: list[Event]) -> str:
    return "".join(event.data for event in found if isinstance(event, TextMessage))


@pytest.mark.parametrize("piece", [1, 7, 65536])
@pytest.mark.parametrize(
    "agreed", ["permessage-deflate", "permessage-deflate; client_no_context_takeover; client_max_window_bits=9"]
)
def test_messages_up_to_the_bound_are_unpacked_one_after_the_other(agreed: str, piece: int) -> None:
    theirs, ours = pair(agreed, most=3000)
    for text in ("é" * 1500, "", "a", "b" * 3000):
        assert text_of(heard(ours, theirs.send(TextMessage(data=text)), piece)) == text


@pytest.mark.parametrize("size", [MOST + 1, 300 * MOST])
def test_a_message_that_unpacks_to_more_ends_the_connection_and_takes_no_memory(size: int) -> None:
    theirs, ours = pair()
    packer = zlib.compressobj(wbits=-15)
    packed = b"".join(packer.compress(b"\0" * MOST) for _ in range(size // MOST)) + packer.compress(
        b"\0" * (size % MOST)
    )
    packed += packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
    theirs._proto.extensions.clear()
    wire = bytearray(theirs.send(BytesMessage(data=packed)))
    wire[0] |= 0x40  # the bit that says: compressed
    tracemalloc.start()
    found = heard(ours, bytes(wire))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    ended = [event for event in found if isinstance(event, CloseConnection)]
    assert [event.code for event in ended[:1]] == [1009]
    assert peak < 8 * MOST


def test_a_ping_between_two_frames_leaves_their_message_whole() -> None:
    theirs, ours = pair()
    wire = theirs.send(TextMessage(data="first half, ", message_finished=False))
    wire += theirs.send(Ping(payload=b"there?"))
    wire += theirs.send(TextMessage(data="second half", message_finished=True))
    assert text_of(heard(ours, wire)) == "first half, second half"


@pytest.mark.parametrize("agreed", ["permessage-deflate", "permessage-deflate; client_no_context_takeover"])
def test_a_ping_before_a_message_is_not_taken_for_its_beginning(agreed: str) -> None:
    theirs, ours = pair(agreed)
    for text in ("first words", "second words"):
        found = heard(ours, theirs.send(Ping(payload=b"there?")) + theirs.send(TextMessage(data=text)))
        assert [type(event) for event in found] == [Ping, TextMessage]
        assert text_of(found) == text


def test_a_last_block_ends_the_connection_because_what_comes_behind_it_would_be_swallowed() -> None:
    _, ours = pair()
    packer = zlib.compressobj(wbits=-15)
    wire = bytearray(Connection(ConnectionType.CLIENT).send(BytesMessage(data=packer.compress(b"a") + packer.flush())))
    wire[0] |= 0x40
    [ended] = heard(ours, bytes(wire))
    assert isinstance(ended, CloseConnection)
    assert ended.code == 1007


@pytest.mark.parametrize(
    ("agreed", "readable"),
    [
        ("", 0),
        ("permessage-deflate", 1),
        ('x-unknown; a=1, permessage-deflate; server_max_window_bits="10"', 1),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; client_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits=many", None),
    ],
)
def test_parameters_that_cannot_be_kept_are_told_apart(agreed: str, readable: int | None) -> None:
    found = agreed_deflate(agreed, MOST)
    assert (None if found is None else len(found)) == readable


def test_what_was_not_compressed_passes_as_it_is() -> None:
    _, ours = pair()
    plain = Connection(ConnectionType.CLIENT)
    assert text_of(heard(ours, plain.send(TextMessage(data="as it is")))) == "as it is"


def test_what_cannot_be_unpacked_ends_the_connection() -> None:
    _, ours = pair()
    wire = bytearray(Connection(ConnectionType.CLIENT).send(BytesMessage(data=b"\xff" * 20)))
    wire[0] |= 0x40
    assert [type(event) for event in heard(ours, bytes(wire))] == [CloseConnection]
