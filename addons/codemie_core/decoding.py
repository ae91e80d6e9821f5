"""Content codings undone while the body passes, never further than a limit.

A body comes from a stranger: its stated size is not believed, and output is made in bounded pieces, so a bomb
costs a few megabytes and stops at the limit.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # ships no type information
import zstandard

_PIECE = 64 * 1024
# zlib and brotli copy the input they have not used yet each time they are asked for more output.
_INPUT_SLICE = 16 * 1024
# zstandard cannot bound its output, so its input is bounded: 4 bytes make at most one block of 128 KiB.
_ZSTD_INPUT_SLICE = 64
# RFC 9659: the largest window a sender may ask of the receiver.
_ZSTD_WINDOW = 8 * 1024 * 1024
_MOST_CODINGS = 3

_GZIP_WBITS = 16 + zlib.MAX_WBITS
_BROKEN = (zlib.error, brotli.error, zstandard.ZstdError)


class _Codec(Protocol):
    """Undoes one coding. `pieces` raises one of _BROKEN on garbage."""

    complete: bool

    def pieces(self, data: bytes) -> Iterator[bytes]: ...


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


class _Gzip:
    """One or more members, with zeros allowed between and after them."""

    def __init__(self) -> None:
        self.complete = False
        self._member = zlib.decompressobj(_GZIP_WBITS)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for piece in _slices(data, _INPUT_SLICE):
            yield from self._inflate(piece)

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self.complete:
                data = data.lstrip(b"\0")
                if not data:
                    return
                self.complete = False
                self._member = zlib.decompressobj(_GZIP_WBITS)
            yield from _inflated(self._member, data)
            self.complete = self._member.eof
            data = self._member.unused_data


class _Deflate:
    """zlib-wrapped as the standard says, or raw as some servers send it."""

    def __init__(self) -> None:
        self.complete = False
        self._start: bytes = b""
        self._stream: zlib._Decompress | None = None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            data = self._start = self._start + data
            if len(data) < 2:
                return
            # No raw stream looks like this: it would begin with a stored block whose padding is not zero.
            wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        for piece in _slices(data, _INPUT_SLICE):
            yield from _inflated(self._stream, piece)
        self.complete = self._stream.eof
        if self._stream.unused_data:
            raise zlib.error("data after the end of the stream")


def _inflated(stream: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    while True:
        piece = stream.decompress(data, _PIECE)
        if piece:
            yield piece
        data = stream.unconsumed_tail
        # A full piece may leave output inside zlib although all input is used.
        if stream.eof or (not data and len(piece) < _PIECE):
            return


class _Brotli:
    def __init__(self) -> None:
        self.complete = False
        self._stream = brotli.Decompressor()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for piece in _slices(data, _INPUT_SLICE):
            # can_accept_more_data() is true with output still inside, so only an empty answer says it is all.
            while output := self._stream.process(piece, output_buffer_limit=_PIECE):
                yield output
                piece = b""
        self.complete = self._stream.is_finished()


class _Zstandard:
    """One or more frames."""

    def __init__(self) -> None:
        self.complete = False
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._decompressor.decompressobj(write_size=_PIECE)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for piece in _slices(data, _ZSTD_INPUT_SLICE):
            while piece:
                if self.complete:
                    self._frame = self._decompressor.decompressobj(write_size=_PIECE)
                yield self._frame.decompress(piece)
                self.complete = self._frame.eof
                piece = self._frame.unused_data


_CODECS: dict[str, Callable[[], _Codec]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstandard,
}


class _Full(Exception):
    """The output limit is reached."""


class StreamDecoder:
    """Decodes a body chunk by chunk. Never raises.

    `failed`: the data is not what its coding promises. `exhausted`: there is more output than allowed. In
    both cases the output up to there has been returned and everything from then on is b"".
    """

    def __init__(self, codecs: list[_Codec], max_output: int) -> None:
        self.failed = False
        self.exhausted = False
        self._codecs = codecs
        self._max_output = max_output
        # What each coding has put out; the last entry is the body itself. Inner layers are limited too.
        self._produced = [0] * (len(codecs) + 1)

    @property
    def complete(self) -> bool:
        """Whether every coding has come to its proper end."""
        return not self.failed and all(codec.complete for codec in self._codecs)

    def feed(self, data: bytes) -> bytes:
        """The output that `data` makes available, b"" when there is none yet."""
        if self.failed or self.exhausted:
            return b""
        output: list[bytes] = []
        try:
            self._push(0, data, output)
        except _BROKEN:
            self.failed = True
        except _Full:
            self.exhausted = True
        return output[0] if len(output) == 1 else b"".join(output)

    def _push(self, layer: int, data: bytes, output: list[bytes]) -> None:
        if layer == len(self._codecs):
            self._put(data, output)
            return
        for piece in self._codecs[layer].pieces(data):
            if layer + 1 < len(self._codecs):
                self._count(layer, piece)
            self._push(layer + 1, piece, output)

    def _put(self, data: bytes, output: list[bytes]) -> None:
        room = self._max_output - self._produced[-1]
        output.append(data[:room])
        self._count(-1, data)

    def _count(self, layer: int, data: bytes) -> None:
        self._produced[layer] += len(data)
        if self._produced[layer] > self._max_output:
            raise _Full


def stream_decoder(content_encoding: str, max_output: int) -> StreamDecoder | None:
    """A decoder for a Content-Encoding value ("gzip", "gzip, br", "identity", ""); None when it is unknown.

    At most `max_output` bytes come out in total.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    codings = [name for name in names if name not in ("", "identity")]
    if len(codings) > _MOST_CODINGS or not all(name in _CODECS for name in codings):
        return None
    # The header lists codings in the order they were applied.
    return StreamDecoder([_CODECS[name]() for name in reversed(codings)], max_output)


def decode_bounded(data: bytes, content_encoding: str, limit: int) -> bytes | None:
    """The whole body; None when the coding is unknown, the data broken or cut, or the output over `limit`."""
    decoder = stream_decoder(content_encoding, limit)
    if decoder is None or not data:
        return None if decoder is None else b""
    output = decoder.feed(data)
    return output if decoder.complete and not decoder.exhausted else None
