"""Server-sent event frames as the model APIs write them, and the words of a scripted answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
COMMENT = b": keep-alive\n\n"

TEXT = (
    "Every event you see here left the upstream a moment ago and passed through the proxy untouched, "
    "one small piece of text after the other, just as a model would have sent it."
)
BIG_FRAME = 16 * 1024
STAMP = b"@T0@"


def sse(data: Mapping[str, Any] | str, event: str | None = None) -> bytes:
    """Write one frame; a mapping becomes compact JSON on one data line."""
    text = data if isinstance(data, str) else dumps(data)
    lines = [f"event: {event}"] if event else []
    lines += [f"data: {line}" for line in text.split("\n")]
    return "\n".join(lines).encode() + b"\n\n"


def data_of(frame: bytes) -> str | None:
    """Read the data of one frame back (the message a WebSocket carries for it); None for a comment."""
    lines = [line[6:] for line in frame.decode().splitlines() if line.startswith("data: ")]
    return "\n".join(lines) if lines else None


def dumps(value: Mapping[str, Any]) -> str:
    """Write compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def words(text: str, count: int | None, stamp: bool) -> Iterator[str]:
    """Split a text into word deltas: all of it, or `count` deltas that begin again at the end of the text.

    A stamped delta begins with `STAMP`, which the player replaces by the time at which it sends the frame.
    """
    parts = [part + " " for part in text.split(" ")]
    parts[-1] = parts[-1][:-1]
    for index in range(len(parts) if count is None else count):
        word = parts[index % len(parts)]
        yield STAMP.decode() + word if stamp else word


def big_frames(size: int) -> Iterator[bytes]:
    """Yield SSE frames of 16 KiB until `size` bytes are reached; the last frame is shorter."""
    full = _padded(BIG_FRAME)
    for _ in range(size // BIG_FRAME):
        yield full
    if rest := size % BIG_FRAME:
        yield _padded(rest)


def _padded(size: int) -> bytes:
    head, tail = b'event: content_block_delta\ndata: {"type":"content_block_delta","pad":"', b'"}\n\n'
    room = size - len(head) - len(tail)
    return head + b"x" * room + tail if room >= 0 else b":" + b" " * max(size - 3, 0) + b"\n\n"
