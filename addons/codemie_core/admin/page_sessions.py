"""Who may see the pages: single-use codes that open a session, and the sessions, in memory alone.

Codes and sessions are kept as hashes: looking one up takes as long whatever was offered.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable

CODE_SECONDS = 60.0
SESSION_SECONDS = 12 * 3600.0
MOST_CODES = 32
MOST_SESSIONS = 64
BYTES = 32


class PageSessions:
    """Those of one proxy; they end with it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._codes = _Marks(CODE_SECONDS, MOST_CODES, clock)
        self._sessions = _Marks(SESSION_SECONDS, MOST_SESSIONS, clock)

    def make_code(self) -> str:
        """A code that opens one session within a minute."""
        return self._codes.make()

    def redeem(self, code: str) -> str | None:
        """A session for this code, which is used up; None when it opens none."""
        return self._sessions.make() if self._codes.take(code) else None

    def holds(self, session: str) -> bool:
        """Is there such a session?"""
        return self._sessions.holds(session)

    def end(self, session: str) -> None:
        """Sign out."""
        self._sessions.take(session)

    def __len__(self) -> int:
        return len(self._sessions)


class _Marks:
    """Random words that are good for a while; the oldest makes room."""

    def __init__(self, seconds: float, most: int, clock: Callable[[], float]) -> None:
        self._seconds, self._most, self._clock = seconds, most, clock
        self._until: dict[bytes, float] = {}

    def make(self) -> str:
        self._forget()
        while len(self._until) >= self._most:
            del self._until[next(iter(self._until))]
        word = secrets.token_urlsafe(BYTES)
        self._until[_digest(word)] = self._clock() + self._seconds
        return word

    def holds(self, word: str) -> bool:
        self._forget()
        return _digest(word) in self._until

    def take(self, word: str) -> bool:
        self._forget()
        return self._until.pop(_digest(word), None) is not None

    def _forget(self) -> None:
        now = self._clock()
        # All are good for the same time, so the oldest stand first.
        for digest, until in list(self._until.items()):
            if until > now:
                break
            del self._until[digest]

    def __len__(self) -> int:
        self._forget()
        return len(self._until)


def _digest(word: str) -> bytes:
    return hashlib.sha256(word.encode("utf-8", "replace")).digest()
