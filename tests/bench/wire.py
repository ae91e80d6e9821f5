"""What load generator and upstream agree on, and the HTTP/1.1 both need: no more than that, they must stay cheap.

The header `x-bench` says what a request wants: "small", "talk" (small, with limits in its head), "moved" (the same, but
429 for the key FIRST_KEY), "sse COUNT MILLISECONDS" or "bulk MEGABYTES".
"""

import re

WISH = "x-bench"
STAMP = re.compile(rb"@T(\d+)@")
CHUNK = 16 * 1024
CONVERSATIONS = 100_000
"""That the large pool knows."""
FIRST_KEY = "not-a-key-0"
"""Of the account that is asked first."""

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


def conversation(number: int) -> str:
    """The id of one of the conversations that a pool knows, as Claude Code writes them."""
    return f"0f0f0f0f-0000-4000-8000-{number:012}"


class MessageReader:
    """Tells where HTTP/1.1 messages end (content-length, or a chunked body's last chunk)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left: int | None = None
        self._tail = b""
        self.head = b""

    def feed(self, data: bytes) -> bool:
        """Take bytes of one message; True when it is complete (no pipelining: nothing follows it)."""
        if self._left is None and not self._tail:
            self._buffer += data
            end = self._buffer.find(_HEAD_END)
            if end < 0:
                return False
            self.head = bytes(self._buffer[: end + 2])
            data = bytes(self._buffer[end + 4 :])
            self._buffer.clear()
            if _CHUNKED.search(self.head):
                self._tail = b"\r\n"
            else:
                length = _LENGTH.search(self.head)
                self._left = int(length[1]) if length else 0
        if self._tail:
            self._tail = (self._tail + data)[-7:]
            complete = self._tail.endswith(b"\r\n0\r\n\r\n")
        else:
            assert self._left is not None
            self._left -= len(data)
            complete = self._left <= 0
        if complete:
            self._left, self._tail = None, b""
        return complete

    def value(self, name: str) -> str:
        """A header of the message, "" when it has none."""
        found = re.search(rb"\r\n" + name.encode() + rb": *([^\r]*)", self.head, re.IGNORECASE)
        return found[1].decode() if found else ""
