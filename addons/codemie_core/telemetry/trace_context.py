"""The trace a client says its request is a part of: W3C Trace Context, level 1 (w3.org/TR/trace-context)."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

HEADERS = frozenset({b"traceparent", b"tracestate", b"baggage"})
"""They tell who works on what, and with which tools: they stay with us unless somebody wants them forwarded."""
MOST_KEPT = 4_096
LONGEST_STATE = 512

# A later version may add fields behind a dash; version ff is forbidden, and so are ids of zeros alone.
_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

type Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The span of the client's that ours hangs below."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""


def without_context(fields: Fields) -> Fields:
    """The headers without those of a trace; the very same ones when there are none."""
    kept = tuple(field for field in fields if field[0].lower() not in HEADERS)
    return kept if len(kept) < len(fields) else fields


def parent_in(fields: Iterable[tuple[bytes, bytes]]) -> TraceParent | None:
    """The parent that these headers name; None without one, with two, or when it is malformed."""
    parents, states = [], []
    for name, value in fields:
        lowered = name.lower()
        if lowered == b"traceparent":
            parents.append(value)
        elif lowered == b"tracestate":
            states.append(value)
    found = _PARENT.fullmatch(parents[0].strip()) if len(parents) == 1 else None
    if found is None or (found[1] == b"00" and found[5]):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    if not trace_id or not span_id:
        return None
    state = b",".join(states).decode("ascii", "ignore")
    return TraceParent(trace_id, span_id, bool(int(found[4], 16) & 1), state if len(state) <= LONGEST_STATE else "")


class Parents:
    """Parents by request id, until the turn is recorded. The oldest go when there are too many."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._by_request: OrderedDict[str, TraceParent] = OrderedDict()

    def put(self, request_id: str, parent: TraceParent) -> None:
        """Remember the parent of this request."""
        self._by_request[request_id] = parent
        if len(self._by_request) > self._most:
            self._by_request.popitem(last=False)

    def take(self, record_id: str) -> TraceParent | None:
        """The parent of the request this record is about. The turns of one WebSocket (".1", ".2") share it."""
        request_id, dot, _ = record_id.partition(".")
        return self._by_request.get(request_id) if dot else self._by_request.pop(request_id, None)

    def __len__(self) -> int:
        return len(self._by_request)
