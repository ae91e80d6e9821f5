"""How an event stream ended: with an error that speaks of its account?"""

from __future__ import annotations

import re

from codemie_core.gate import CommitGate, ErrorEvent

_BETWEEN_EVENTS = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LAST_EVENTS = 4
"""An error may be followed by the end of its own event, by `[DONE]` and by a comment."""
_LONGEST = 128 * 1024


def error_at_end(tail: bytes) -> str:
    """The kind of an error event that ended an event stream, "" when there was none. `tail` is its last piece."""
    if b"error" not in tail and b"response.failed" not in tail:
        return ""
    for event in reversed(_BETWEEN_EVENTS.split(tail[-_LONGEST:])[-_LAST_EVENTS:]):
        # What stands before the first event's own lines is part of an earlier one's text, and no line of an event.
        verdict = CommitGate("", _LONGEST).feed(event + b"\n\n")
        if isinstance(verdict, ErrorEvent):
            return verdict.kind
    return ""


class Tail:
    """An observer that keeps the end of a compressed stream. (Of a plain one the exchange has it.)"""

    SIZE = 4096

    def __init__(self) -> None:
        self.kept = b""

    def __call__(self, data: bytes) -> None:
        """A decompressed piece."""
        self.kept = data[-self.SIZE :] if len(data) >= self.SIZE else (self.kept + data)[-self.SIZE :]
