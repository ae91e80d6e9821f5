"""One of the two ends that a WebSocket has here: mitmproxy's own, with bounds, and messages a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import wsproto
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.websocket import WebsocketConnection
from mitmproxy.websocket import WebSocketMessage
from wsproto.frame_protocol import Opcode
from wsproto.utilities import LocalProtocolError

from codemie_core.websocket.deflate import agreed_deflate
from codemie_core.websocket.writing import Writer


class Side(WebsocketConnection):
    """`agreed` are the extensions that the upstream has agreed to, `most` the size of the largest message."""

    def __init__(self, kind: wsproto.ConnectionType, agreed: str, most: int, conn: Connection) -> None:
        extensions = agreed_deflate(agreed, most)
        super().__init__(kind, extensions, conn=conn)
        self._writer = Writer(kind is wsproto.ConnectionType.CLIENT, extensions or ())

    def message(self, frames: Sequence[bytes], kind: Opcode) -> Iterator[commands.SendData]:
        """Send it in these frames."""
        for piece in self._writer.written(frames, kind):
            yield commands.SendData(self.conn, piece)

    def is_over(self, event: events.ConnectionEvent, deaf: bool) -> bool:
        """After our close frame: has this side answered it, or gone?"""
        if not isinstance(event, events.DataReceived):
            return isinstance(event, events.ConnectionClosed)
        if deaf:
            return False  # wsproto reads no more after a violation, and would only collect what comes.
        try:
            self.receive_data(event.data)
            return any(isinstance(said, wsproto.events.CloseConnection) for said in self.events())
        except LocalProtocolError:
            return True


def frames_of(message: WebSocketMessage, came: list[bytes], whole: bytes) -> list[bytes]:
    """Those it came in, whose bytes are `whole`; what somebody has changed goes out in one."""
    if message.content == whole:
        return came
    # Whoever changed it may have put into a text what is none.
    return [message.content.decode(errors="replace").encode() if message.is_text else message.content]
