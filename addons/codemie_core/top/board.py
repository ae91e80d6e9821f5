"""What is on the screen: the last answers of the admin API, and what its live stream has told since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codemie_core.top.shapes import Account, Request, Session, Totals, one

MOST_REQUESTS = 200
"""Rows that are kept; older ones are in the history."""
DONE = "summary"
STATES = ("start", "first_token", "progress", DONE)


@dataclass(frozen=True, slots=True)
class Turn:
    """A request and where it stands. `state` is the last event about it; a stored one has its summary."""

    request: Request
    state: str

    @property
    def open(self) -> bool:
        """Is its answer still to come, or coming?"""
        return self.state != DONE


@dataclass(slots=True)
class Board:
    """Changed by the feed alone, read by whoever draws."""

    accounts: Sequence[Account] = ()
    sessions: Sequence[Session] = ()
    totals: Totals = field(default_factory=Totals)
    hours: Sequence[float] = ()
    """Cost of each hour of the last day, in USD."""
    _turns: dict[str, Turn] = field(default_factory=dict)

    @property
    def turns(self) -> list[Turn]:
        """The newest first."""
        heard_last_first = reversed(self._turns.values())
        return sorted(heard_last_first, key=lambda turn: turn.request.timestamp or 0.0, reverse=True)

    @property
    def open(self) -> int:
        """How many are at it now."""
        return sum(turn.open for turn in self._turns.values())

    def since(self, moment: float) -> int:
        """How many began then or later."""
        return sum((turn.request.timestamp or 0.0) >= moment for turn in self._turns.values())

    def account(self, account_id: str) -> Account | None:
        """The one with this id."""
        return next((account for account in self.accounts if account.id == account_id), None)

    def session(self, session_id: str) -> Session | None:
        """The one with this id."""
        return next((session for session in self.sessions if session.id == session_id), None)

    def turn(self, request_id: str) -> Turn | None:
        """The one with this id."""
        return self._turns.get(request_id)

    def loaded(self, stored: Iterable[Request]) -> None:
        """The newest of the history."""
        self._turns.update({request.id: Turn(request, DONE) for request in stored})
        self._forget()

    def lost(self) -> None:
        """The live stream broke off: a new one begins with those that are open then."""
        self._turns = {key: turn for key, turn in self._turns.items() if not turn.open}

    def heard(self, event: Mapping[str, Any]) -> bool:
        """An event of the live stream. Does it change anything?

        A summary comes twice, at the end of a request and once its tokens have been counted.
        """
        state = str(event.get("type", ""))
        told = event.get("payload") if state == DONE else event
        if state not in STATES or not isinstance(told, Mapping):
            return False
        known = self._turns.get(str(told.get("id", "")))
        if known is not None and not known.open and state != DONE:
            return False
        request = one(Request, told)
        if request is None:
            return False
        # What an event does not say stays as those before it said.
        self._turns[request.id] = Turn(known.request.model_copy(update=_said(request)) if known else request, state)
        self._forget()
        return True

    def _forget(self) -> None:
        while len(self._turns) > MOST_REQUESTS:
            # An open one is what somebody waits for.
            done = [turn for turn in self._turns.values() if not turn.open] or list(self._turns.values())
            del self._turns[min(done, key=lambda turn: turn.request.timestamp or 0.0).request.id]


def _said(request: Request) -> dict[str, Any]:
    return {name: value for name, value in request.model_dump().items() if value not in (None, "")}
