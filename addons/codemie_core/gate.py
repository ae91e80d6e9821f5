"""The commit gate: is the first event of a 200 stream the beginning of an answer, or an error in disguise?

Fed with the raw chunks of the response body, it holds until the first complete `event:` or `data:` line that is no
comment and no ping, and opens by itself after a bounded number of bytes. Cost: one decode and one line split of the
first event; nothing after it has opened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, auto

from codemie_core.decoding import stream_decoder

_CR, _LF = b"\r\n"


class Gate(Enum):
    """What the machine does with the head and the bytes held so far."""

    HOLD = auto()
    OPEN = auto()


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """The stream opened with an error; `kind` is the provider's own word for it, or empty."""

    kind: str


class CommitGate:
    """Feed chunks, read the verdict. `HOLD` asks for more, the other two are final."""

    def __init__(self, content_encoding: str, max_bytes: int) -> None:
        self._decoder = stream_decoder(content_encoding, max_output=4 * max_bytes)
        self._left = max_bytes
        self._line = bytearray()
        self._event = ""
        self._after_cr = False

    def feed(self, data: bytes) -> Gate | ErrorEvent:
        """Look at one chunk of the body, still content-encoded."""
        self._left -= len(data)
        decoder = self._decoder
        if decoder is None:
            return Gate.OPEN
        self._line += decoder.feed(data)
        verdict = self._scan()
        if verdict is Gate.HOLD and (self._left <= 0 or decoder.failed or decoder.exhausted):
            return Gate.OPEN
        return verdict

    def _scan(self) -> Gate | ErrorEvent:
        while (end := _line_end(self._line)) >= 0:
            line, ending = bytes(self._line[:end]), self._line[end]
            del self._line[: end + 1]
            second_half = self._after_cr and ending == _LF and not line
            self._after_cr = ending == _CR
            if second_half:
                continue
            verdict = self._take(line)
            if verdict is not Gate.HOLD:
                return verdict
        return Gate.HOLD

    def _take(self, line: bytes) -> Gate | ErrorEvent:
        if not line:
            self._event = ""
            return Gate.HOLD
        field, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._event = value.decode("utf-8", "replace")
            return Gate.HOLD if self._event in ("ping", "error", "response.failed") else Gate.OPEN
        if field == b"data":
            return Gate.HOLD if self._event == "ping" else _judge(self._event, value)
        return Gate.HOLD


def _line_end(buffer: bytearray) -> int:
    ends = [i for i in (buffer.find(b"\n"), buffer.find(b"\r")) if i >= 0]
    return min(ends, default=-1)


def _judge(event: str, data: bytes) -> Gate | ErrorEvent:
    named_error = event in ("error", "response.failed")
    if not named_error and b'"error"' not in data and b'"ping"' not in data and b"response.failed" not in data:
        return Gate.OPEN
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return ErrorEvent("") if named_error else Gate.OPEN
    if not isinstance(body, dict):
        return ErrorEvent("") if named_error else Gate.OPEN
    if body.get("type") == "ping":
        return Gate.HOLD
    if named_error or body.get("type") in ("error", "response.failed") or isinstance(body.get("error"), dict):
        return ErrorEvent(_kind(body))
    return Gate.OPEN


def _kind(body: dict[str, object]) -> str:
    """Anthropic: error.type; OpenAI: error.code or error.type; Gemini: error.status; Responses: response.error.code."""
    response = body.get("response")
    holder = response if isinstance(response, dict) else body
    error = holder.get("error")
    if not isinstance(error, dict):
        error = body
    for name in ("status", "code", "type"):
        word = error.get(name)
        if isinstance(word, str) and word != "error":
            return word[:80]
    return ""
