"""An error that comes as a message of a WebSocket, as Codex gets it: does it speak of its account?

Either like an event of a stream, or with the status and the headers that the answer to a plain request would have:
`{"type": "error", "status": 429, "error": {...}, "headers": {...}}`.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator

from codemie_core.accounts.limits import Limits, read_limits
from codemie_core.accounts.verdicts import Scope, Verdict, judge, judge_event
from codemie_core.gate import CommitGate, ErrorEvent
from codemie_core.json_text import loads
from codemie_core.policy import Failure, Reason

_LONGEST = 64 * 1024
_TYPE_WITHIN = 200
"""Bytes at its beginning in which an error says that it is one."""
_MARKS = (b'"error"', b'"response.failed"')
_MOST_CONVERSATIONS = 1000


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


def limits_said(message: bytes, now: float) -> Limits | None:
    """What Codex is told of its account's windows before each answer; over HTTP the heads say it."""
    if len(message) > _LONGEST or b'"codex.rate_limits"' not in message[:_TYPE_WITHIN]:
        return None
    said = loads(message)
    windows = said.get("rate_limits") if isinstance(said, dict) and said.get("type") == "codex.rate_limits" else None
    if not isinstance(windows, dict):
        return None
    found = {name: window for name in ("primary", "secondary") if isinstance(window := windows.get(name), dict)}
    head = {f"x-codex-{name}-{part.replace('_', '-')}": value for name in found for part, value in found[name].items()}
    limits = read_limits(_fields(head), now)
    return limits if limits.windows else None


def _fields(headers: object) -> Iterator[tuple[bytes, bytes]]:
    if isinstance(headers, dict):
        for name, value in headers.items():
            if isinstance(value, str | int | float):
                yield name.encode("latin-1", "replace"), str(value).encode("latin-1", "replace")


class LimitedModels:
    """Which model a conversation was refused over its WebSocket: the upgrade to the next one does not name it.

    Some limits are of a model alone (out of credits, say), and its account would be chosen again.
    """

    def __init__(self) -> None:
        self._models: OrderedDict[str, str] = OrderedDict()

    def note(self, conversation: str, model: str) -> None:
        """The newest counts; the oldest conversations are forgotten."""
        if conversation and model:
            self._models[conversation] = model
            self._models.move_to_end(conversation)
            while len(self._models) > _MOST_CONVERSATIONS:
                self._models.popitem(last=False)

    def of(self, conversation: str) -> str:
        """ "" for a conversation that was refused nothing."""
        return self._models.get(conversation, "")
