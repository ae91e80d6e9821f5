"""What can go wrong between us and a provider's sign-in service."""

from __future__ import annotations

import re

from codemie_core.errors import CodemieError

LASTING = frozenset({"invalid_grant", "invalid_refresh_token", "refresh_token_reused"})
"""Error codes that no waiting mends: the owner has to sign in again."""

# No digits: a token or a code that a provider puts there by mistake is not repeated.
_CODE = re.compile(r"[a-z][a-z_.-]{0,48}")


class OAuthFailed(CodemieError):
    """A call to a sign-in service that came to nothing. The message never holds what the service said, but its code."""

    def __init__(self, message: str, code: str = "", after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        """The error field of the answer, such as invalid_grant or slow_down; "" when there was none."""
        self.after = after
        """Seconds that the service wants to be left alone; None when it has not said."""

    @property
    def lasting(self) -> bool:
        """Is the sign-in over? Only by the exact code, never by what a text says."""
        return self.code in LASTING


def error_code(body: object) -> str:
    """The code in an error answer: RFC 6749's `error`, else `code` or `type` of an `error` object; "" for none."""
    error = body.get("error") if isinstance(body, dict) else None
    candidates = (error.get("code"), error.get("type")) if isinstance(error, dict) else (error,)
    return next((text for text in candidates if isinstance(text, str) and _CODE.fullmatch(text)), "")
