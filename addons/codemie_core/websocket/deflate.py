"""permessage-deflate with a bound: a message from a stranger says nothing about how large it will be unpacked."""

from __future__ import annotations

import zlib

from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits
from wsproto.utilities import split_comma_header


class BoundedDeflate(PerMessageDeflate):
    """At most `most` bytes come out of one message; then the connection ends with 1009."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = self._room = most

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """A new message has all the room. wsproto would take a ping before it for its beginning, too."""
        if opcode.iscontrol():
            self._inbound_is_compressible = False
            return CloseReason.PROTOCOL_ERROR if rsv.rsv1 else RsvBits(True, False, False)
        if opcode is not Opcode.CONTINUATION:
            self._room = self._most
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        """Unpack a piece."""
        if not self._inbound_compressed or not self._inbound_is_compressible:
            return data
        assert self._decompressor is not None
        try:
            unpacked = self._decompressor.decompress(data, self._room + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        if self._decompressor.eof:
            # RFC 7692 allows a last block, which nobody sends: zlib would swallow, and keep, all that comes after it.
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._room -= len(unpacked)
        return unpacked if self._room >= 0 else CloseReason.MESSAGE_TOO_BIG

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        """A frame is complete. wsproto would take a ping between two frames for the end of their message."""
        if not self._inbound_is_compressible:
            return None
        return super().frame_inbound_complete(proto, fin)


def agreed_deflate(extensions: str, most: int) -> list[Extension] | None:
    """What these extensions, the upstream's answer, mean for one connection. Those that nobody knows are left out.

    None where the parameters cannot be kept: a window of 256 bytes, say, which zlib cannot write.
    """
    found: list[Extension] = []
    for agreed in split_comma_header(extensions.encode("ascii", "replace")):
        if agreed.partition(";")[0].strip() == PerMessageDeflate.name:
            deflate = BoundedDeflate(most)
            try:
                deflate.finalize(agreed.replace('"', ""))
            except (ValueError, IndexError):
                return None
            found.append(deflate)
    return found
