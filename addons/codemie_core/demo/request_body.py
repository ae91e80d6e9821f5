"""Reads the body of an HTTP/1.1 request: by length or in chunks."""

from __future__ import annotations

from typing import Protocol

from codemie_core.demo.received import Received

_BODY_LIMIT = 256 * 1024 * 1024


class MalformedRequest(Exception):
    """The client sent what is no HTTP/1.1."""


class BodyReader(Protocol):
    """Takes what it needs from the bytes fed to it and returns the rest."""

    done: bool

    def feed(self, data: bytes) -> bytes: ...

    @property
    def body(self) -> bytes: ...


class _Sized:
    def __init__(self, length: int) -> None:
        self._missing = length
        self._parts: list[bytes] = []
        self.done = not length

    def feed(self, data: bytes) -> bytes:
        part, rest = data[: self._missing], data[self._missing :]
        self._parts.append(part)
        self._missing -= len(part)
        self.done = not self._missing
        return rest

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)


class _Chunked:
    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self.done = False

    def feed(self, data: bytes) -> bytes:
        while not self.done:
            line_end = data.find(b"\r\n")
            if line_end < 0:
                return data
            size = _chunk_size(data[:line_end])
            end = line_end + 2 + size
            if len(data) < end + 2:
                return data
            self._parts.append(data[line_end + 2 : end])
            self._size += size
            if self._size > _BODY_LIMIT:
                raise MalformedRequest(f"a request body has more than {_BODY_LIMIT} bytes")
            self.done = size == 0
            data = data[end + 2 :]
        return data

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)


def body_reader(received: Received) -> BodyReader:
    """Choose by the headers; raises MalformedRequest for a length that is none."""
    if (received.header("transfer-encoding") or "").lower() == "chunked":
        return _Chunked()
    text = received.header("content-length") or "0"
    if not text.isdecimal() or int(text) > _BODY_LIMIT:
        raise MalformedRequest(f"content-length {text!r} is no size up to {_BODY_LIMIT}")
    return _Sized(int(text))


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        raise MalformedRequest("a chunk of the request body has no size") from None
