"""The frames of a message as bytes, a piece at a time.

wsproto makes a frame as a whole, by way of some six copies of it: of a message of 64 MiB that is more than the proxy
takes otherwise. A frame goes out with the length and the borders it came with, as some servers want it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence

from wsproto.extensions import Extension
from wsproto.frame_protocol import Opcode, RsvBits, XorMaskerSimple

PIECE = 256 * 1024
_FINISHED, _MASKED = 0x80, 0x80
_SHORT, _TWO_BYTES, _EIGHT_BYTES = 125, 126, 127


class Writer:
    """Of one side of a WebSocket, toward a server (`client`) or toward a client. Control frames are wsproto's."""

    def __init__(self, client: bool, extensions: Sequence[Extension]) -> None:
        self.client = client
        self._extensions = extensions

    def written(self, frames: Sequence[bytes], opcode: Opcode) -> Iterator[bytes]:
        """A message, whole: its frames, of which the last one ends it."""
        for number, frame in enumerate(frames):
            yield from self._frame(frame, Opcode.CONTINUATION if number else opcode, number == len(frames) - 1)

    def _frame(self, payload: bytes, opcode: Opcode, last: bool) -> Iterator[bytes]:
        rsv = RsvBits(False, False, False)
        for extension in reversed(self._extensions):
            rsv, payload = extension.frame_outbound(self, opcode, rsv, payload, last)  # type: ignore[arg-type] # it asks for `client` alone
        bits = (_FINISHED if last else 0) | rsv.rsv1 << 6 | rsv.rsv2 << 5 | rsv.rsv3 << 4 | opcode
        key = os.urandom(4) if self.client else b""
        head = bytes([bits]) + _length(len(payload), bool(key)) + key
        masker = XorMaskerSimple(key) if key else None
        for start in range(0, len(payload) or 1, PIECE):
            piece = payload[start : start + PIECE]
            yield head + (masker.process(bytearray(piece)) if masker else piece)
            head = b""


def _length(size: int, masked: bool) -> bytes:
    flag = _MASKED if masked else 0
    if size <= _SHORT:
        return bytes([flag | size])
    if size < 1 << 16:
        return struct.pack("!BH", flag | _TWO_BYTES, size)
    return struct.pack("!BQ", flag | _EIGHT_BYTES, size)
