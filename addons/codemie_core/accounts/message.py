"""An error that comes as a message of a WebSocket, as Codex gets it: does it speak of its account?

Either like an event of a stream, or with the status and the headers that the answer to a plain request would have:
`{"type": "error", "status": 429, "error": {...}, "headers": {...}}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from codemie_core.accounts.limits import read_limits
from codemie_core.accounts.verdicts import Scope, Verdict, judge, judge_event
from codemie_core.gate import CommitGate, ErrorEvent
from codemie_core.policy import Failure, Reason

_LONGEST = 64 * 1024
_TYPE_WITHIN = 200
"""Bytes at its beginning in which an error says that it is one."""
_MARKS = (b'"error"', b'"response.failed"')


def judge_message(message: bytes, now: float) -> Verdict | None:
    """The verdict over a message from the upstream; None when it says nothing against the account."""
    if len(message) > _LONGEST or not any(mark in message[:_TYPE_WITHIN] for mark in _MARKS):
        return None
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    status = said.get("status", said.get("status_code"))
    if said.get("type") == "error" and isinstance(status, int):
        limits = read_limits(_fields(said.get("headers")), now)
        verdict = judge(Failure(Reason.STATUS, status=status), limits, message, now)
    else:
        event = CommitGate("", _LONGEST).feed(b"data: " + b" ".join(message.splitlines()) + b"\n\n")
        verdict = judge_event(event.kind if isinstance(event, ErrorEvent) else "", now)
    return None if verdict.scope is Scope.NONE else verdict


def _fields(headers: object) -> Iterator[tuple[bytes, bytes]]:
    if isinstance(headers, dict):
        for name, value in headers.items():
            if isinstance(value, str | int | float):
                yield name.encode("latin-1", "replace"), str(value).encode("latin-1", "replace")
