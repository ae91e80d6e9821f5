"""The tokens of one sign-in, as they lie sealed in the vault."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from codemie_core.oauth.errors import OAuthFailed

_LONGEST_LIFE = 10 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """Times are seconds since the epoch."""

    access: SecretStr
    refresh: SecretStr | None
    """None when the provider gave none: then the sign-in ends with the access token."""
    expires_at: float | None
    """None when the provider has not said."""
    obtained_at: float
    scope: str
    provider: str
    """A key of `load_providers`."""

    @property
    def lifetime(self) -> float:
        """Seconds for which the access token is good in all."""
        return math.inf if self.expires_at is None else self.expires_at - self.obtained_at

    def left(self, now: float) -> float:
        """Seconds for which the access token is still good."""
        return math.inf if self.expires_at is None else self.expires_at - now

    def dump(self) -> str:
        """All of it as JSON, secrets included: only to be sealed."""
        return json.dumps(
            {
                "access": self.access.get_secret_value(),
                "refresh": self.refresh.get_secret_value() if self.refresh else None,
                "expires_at": self.expires_at,
                "obtained_at": self.obtained_at,
                "scope": self.scope,
                "provider": self.provider,
            }
        )

    @classmethod
    def parse(cls, text: str) -> Tokens:
        """What `dump` wrote. ValueError when it is something else; its words hold nothing of it."""
        try:
            found = json.loads(text)
            refresh, expires_at = found["refresh"], found["expires_at"]
            return cls(
                access=SecretStr(_text(found["access"])),
                refresh=SecretStr(_text(refresh)) if refresh else None,
                expires_at=None if expires_at is None else float(expires_at),
                obtained_at=float(found["obtained_at"]),
                scope=str(found["scope"]),
                provider=str(found["provider"]),
            )
        except (ValueError, KeyError, TypeError):
            raise ValueError("these are not the tokens of a sign-in") from None

    @classmethod
    def from_response(
        cls, body: Mapping[str, object], provider: str, now: float, former: Tokens | None = None
    ) -> Tokens:
        """The tokens in the answer of a token endpoint; what it does not repeat is taken from `former`.

        OAuthFailed when there is no usable token in it.
        """
        kind = body.get("token_type")
        if isinstance(kind, str) and kind.lower() not in ("bearer", ""):
            raise OAuthFailed("the sign-in service gives tokens that are no Bearer tokens")
        try:
            access = SecretStr(_text(body.get("access_token")))
            refresh = body.get("refresh_token")
            fresh = SecretStr(_text(refresh)) if refresh else None
        except ValueError:
            raise OAuthFailed("the sign-in service answered without a usable token") from None
        life, scope = _seconds(body.get("expires_in")), body.get("scope")
        return cls(
            access=access,
            refresh=fresh or (former.refresh if former else None),
            expires_at=None if life is None else now + life,
            obtained_at=now,
            scope=scope if isinstance(scope, str) else former.scope if former else "",
            provider=provider,
        )


def _text(value: object) -> str:
    """A token that may stand in a header."""
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("no token")
    return value


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        return None
    # Who says that it ends at once means something else; renewing it would never come to an end.
    return min(seconds, _LONGEST_LIFE) if math.isfinite(seconds) and seconds > 0 else None
