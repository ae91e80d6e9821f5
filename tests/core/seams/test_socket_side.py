"""What tests of the whole layer do not show of one of its sides."""

import pytest
from mitmproxy.proxy.events import ConnectionClosed, DataReceived
from mitmproxy.test import tflow
from mitmproxy.websocket import WebSocketMessage
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, TextMessage
from wsproto.frame_protocol import Opcode

from codemie_core.seams.socket_side import Side, frames_of

CONNECTION = tflow.tclient_conn()


def side(agreed: str = "permessage-deflate") -> Side:
    return Side(ConnectionType.SERVER, agreed, 1000, CONNECTION)


def test_a_message_goes_to_the_connection_of_its_side() -> None:
    reader = Connection(ConnectionType.CLIENT)
    for command in side("").message([b"words, ", b"more"], Opcode.TEXT):
        assert command.connection is CONNECTION
        reader.receive_data(command.data)
    said = list(reader.events())
    assert said == [
        TextMessage(data="words, ", message_finished=False),
        TextMessage(data="more", message_finished=True),
    ]


@pytest.mark.parametrize("deaf, over", [(False, True), (True, False)])
def test_an_answer_to_our_close_frame_is_the_end_unless_nothing_is_read_any_more(deaf: bool, over: bool) -> None:
    ours, theirs = side(), Connection(ConnectionType.CLIENT)
    theirs.receive_data(ours.send(CloseConnection(code=1012)))
    (asked,) = theirs.events()
    assert isinstance(asked, CloseConnection)
    assert ours.is_over(DataReceived(CONNECTION, theirs.send(asked.response())), deaf) is over
    assert ours.is_over(ConnectionClosed(CONNECTION), deaf)


@pytest.mark.parametrize(
    "kind, content, frames",
    [
        (Opcode.TEXT, b"one, two", [b"one, ", b"two"]),
        (Opcode.TEXT, b"changed", [b"changed"]),
        (Opcode.TEXT, b"\xff!", ["\ufffd!".encode()]),
        (Opcode.BINARY, b"\xff!", [b"\xff!"]),
    ],
)
def test_frames_stay_as_they_came_unless_somebody_has_changed_what_is_in_them(
    kind: Opcode, content: bytes, frames: list[bytes]
) -> None:
    message = WebSocketMessage(kind, True, content)
    assert frames_of(message, [b"one, ", b"two"], b"one, two") == frames
