"""A session in words and as JSON: who, where, until when; never the session itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from codemie_core.cli.auth_context import AuthContext
from codemie_core.cli.status import uptime
from codemie_core.sso.backend import Verdict
from codemie_core.sso.session import Session

_LAST_DAY = datetime(9999, 12, 30, tzinfo=UTC).timestamp()
KINDS = {"sso": "SSO", "jwt": "a JWT"}


@dataclass(frozen=True, slots=True)
class Standing:
    """A session and what is known of it. `verdict` is None when nobody asked the backend."""

    context: AuthContext
    session: Session | None
    verdict: Verdict | None = None
    who: str | None = None

    @property
    def signed_in(self) -> bool:
        """Would a request be signed in?"""
        session = self.session
        return session is not None and not session.expired(time.time()) and self.verdict is not Verdict.EXPIRED

    def as_json(self) -> dict[str, Any]:
        """For programs. Times are ISO 8601 in UTC and seconds."""
        session = self.session
        ends = session.expires_at if session else None
        return {
            "signed_in": self.signed_in,
            "provider": "codemie",
            "profile": self.context.profile.name,
            "url": self.context.url,
            "api_url": session.api_url if session else None,
            "kind": session.kind if session else None,
            "who": self._who(),
            "expires_at": None if ends is None else _moment(ends).isoformat(timespec="seconds"),
            "expires_in_seconds": None if ends is None else round(ends - time.time()),
            "stored_in": session.source if session else None,
            "checked": self.verdict.value if self.verdict else None,
        }

    def lines(self) -> list[str]:
        """For people: of somebody who is signed in."""
        session = self.session
        assert session is not None
        rows = [
            ("Signed in", f"{self._who() or 'a user whose name is not known'}, by {KINDS[session.kind]}"),
            ("CodeMie", session.api_url),
            ("Until", until(session)),
            ("Stored in", session.source),
        ]
        if self.verdict is Verdict.VALID:
            rows.append(("Checked", "CodeMie accepts it"))
        elif self.verdict is Verdict.UNKNOWN:
            rows.append(("Checked", "CodeMie could not be asked, or did not say"))
        return [f"{name:<11}{text}" for name, text in rows]

    def problem(self) -> str:
        """Why requests are not signed in, and what to run."""
        session, where = self.session, self.context.host
        remedy = self.context.command("login --jwt" if self._wants_token() else "login")
        if session is None:
            return f"not signed in to {where}. Run: {remedy}"
        if session.expired(time.time()):
            return f"the session at {where} is over since {local(session.expires_at or 0)}. Run: {remedy}"
        return f"{where} does not accept the session any more. Run: {remedy}"

    def _wants_token(self) -> bool:
        return self.context.profile.auth_method == "jwt"

    def _who(self) -> str | None:
        return self.who or (self.session.who if self.session else None)


def until(session: Session) -> str:
    """Like 2026-08-21 17:05 CEST (in 5 h 20 min)."""
    if session.expires_at is None:
        return "not known"
    return f"{local(session.expires_at)} (in {uptime(max(0.0, session.expires_at - time.time()))})"


def local(moment: float) -> str:
    """In the time zone of whoever reads it."""
    return f"{_moment(moment).astimezone():%Y-%m-%d %H:%M %Z}"


def _moment(seconds: float) -> datetime:
    # A token may claim an end that no calendar has.
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LAST_DAY), UTC)
