"""What opens the operator's side: the token for programs, a session for the pages."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field

from pydantic import SecretStr

from codemie_core.admin.attempts import Attempts
from codemie_core.admin.page_sessions import SESSION_SECONDS, PageSessions

COOKIE = "codemie_admin"
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)


@dataclass(slots=True)
class Authority:
    """One per proxy."""

    token: SecretStr
    names: tuple[str, ...] = ()
    """Host names the operator's side goes by, beside those of this machine."""
    sessions: PageSessions = field(default_factory=PageSessions)
    attempts: Attempts = field(default_factory=Attempts)

    def opens(self, authorization: str) -> bool:
        """Is this the Authorization header of a program with the token? Takes as long for a wrong one."""
        found = _BEARER.fullmatch(authorization)
        offered = found[1] if found else ""
        return hmac.compare_digest(_digest(offered), _digest(self.token.get_secret_value()))

    def session_in(self, cookies: str) -> str:
        """The good session that this Cookie header holds; "" when there is none."""
        for part in cookies.split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE and self.sessions.holds(value):
                return value
        return ""


def set_cookie(session: str) -> str:
    """The Set-Cookie header that gives a page its session."""
    return f"{COOKIE}={session}; Path=/; Max-Age={int(SESSION_SECONDS)}; HttpOnly; SameSite=Strict"


def unset_cookie() -> str:
    """The Set-Cookie header that takes it away."""
    return f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
