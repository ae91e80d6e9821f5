"""Content encodings with a flush per event, so that each event can be decoded when it arrives."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import brotli  # type: ignore[import-untyped]  # ships no type information
import zstandard


@dataclass(frozen=True, slots=True)
class Encoder:
    """`event` compresses one event and flushes; `end` returns what closes the encoded body."""

    event: Callable[[bytes], bytes]
    end: Callable[[], bytes]


def encoder(encoding: str) -> Encoder:
    """Return the encoder of a content-encoding; "" passes bytes on, an unknown one raises ValueError."""
    match encoding:
        case "":
            return Encoder(bytes, bytes)
        case "gzip":
            return _zlib(zlib.MAX_WBITS | 16)
        case "deflate":
            return _zlib(zlib.MAX_WBITS)
        case "br":
            compressor = brotli.Compressor(quality=4)
            return Encoder(lambda data: compressor.process(data) + compressor.flush(), compressor.finish)
        case "zstd":
            return _zstd()
    raise ValueError(f"unknown encoding {encoding!r}; use gzip, deflate, br or zstd")


def _zlib(window: int) -> Encoder:
    compressor = zlib.compressobj(wbits=window)
    return Encoder(lambda data: compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH), compressor.flush)


def _zstd() -> Encoder:
    compressor = zstandard.ZstdCompressor().compressobj()
    return Encoder(
        lambda data: compressor.compress(data) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK),
        lambda: compressor.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH),
    )
