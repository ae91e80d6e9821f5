"""A sign-in to CodeMie: cookies of the browser flow, or a JWT. No way of showing one shows its secrets."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from pydantic import SecretStr

from codemie_core.urls import is_plain_url

ACCESS_COOKIE = "codemie_access_token"
"""The cookie that is a JWT, so that it says until when the session lasts."""

# As much as a header line of common servers holds.
_LONGEST = 64 * 1024
# 1e11 milliseconds after the epoch is 1973, 1e11 seconds the year 5138.
_FIRST_MILLISECONDS = 1e11
# The last second that calendars have.
_LAST_SECOND = 253_402_300_799
_COOKIE_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Wider than RFC 6265 by the quote and the backslash, which servers do send; nothing here ends a header or a cookie.
_VALUE = re.compile(r"[!-+\--:<-~]*")
_SHOWN = ("email", "preferred_username", "name", "sub")


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """Cookies or a token, and where they belong. ValueError when a header could not carry them.

    `expires_at` becomes the `exp` of the JWT where that is earlier, whoever makes the session.
    """

    api_url: str
    """Where CodeMie's API is, like https://host/code-assistant-api."""
    cookies: Mapping[str, SecretStr] = field(default_factory=dict, hash=False)
    """SSO: name -> value; empty for a JWT."""
    token: SecretStr | None = None
    expires_at: float | None = None
    """Seconds since the epoch; None is unknown."""
    source: str = field(default="", compare=False)
    """For people: a file, a variable's name. Holds no secret."""

    def __post_init__(self) -> None:
        if not is_plain_url(self.api_url):
            raise ValueError("apiUrl must be like https://host/path, without user, password, ? and #")
        if bool(self.cookies) == (self.token is not None):
            raise ValueError("a session holds cookies or a token, not both and not neither")
        for name, value in self.cookies.items():
            _check(value, "cookie")
            if not _COOKIE_NAME.fullmatch(name):
                raise ValueError("a cookie's name holds characters that no header can carry")
        if self.token is not None:
            _check(self.token, "token")
        object.__setattr__(self, "cookies", MappingProxyType(dict(self.cookies)))
        claimed = _number(self._claims().get("exp"))
        known = [time for time in map(_moment, (self.expires_at, claimed)) if time is not None]
        object.__setattr__(self, "expires_at", min(known, default=None))

    @property
    def kind(self) -> Literal["sso", "jwt"]:
        """Cookies are "sso", a token is "jwt"."""
        return "sso" if self.token is None else "jwt"

    def expired(self, now: float) -> bool:
        """Is it over? `now` in seconds since the epoch. A session of unknown end is not."""
        return self.expires_at is not None and now >= self.expires_at

    def headers(self) -> dict[str, SecretStr]:
        """The one header that signs a request: {"cookie": "a=b; c=d"} or {"authorization": "Bearer ..."}."""
        if self.token is not None:
            return {"authorization": SecretStr(f"Bearer {self.token.get_secret_value()}")}
        pairs = (f"{name}={value.get_secret_value()}" for name, value in self.cookies.items())
        return {"cookie": SecretStr("; ".join(pairs))}

    @property
    def who(self) -> str | None:
        """Whose session the JWT says this is. Nobody checked the signature: for display only."""
        claims = self._claims()
        found = (claims.get(name) for name in _SHOWN)
        # What is not printable could be a terminal's escape sequence.
        return next((text[:200] for text in found if isinstance(text, str) and text and text.isprintable()), None)

    @classmethod
    def from_json(cls, text: str, source: str) -> Session:
        """What CodeMie keeps: {"cookies": {...}, "apiUrl": ..., "expiresAt": ms} or {"token": ..., ...}.

        ValueError says what is wrong and never repeats the content.
        """
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("this is not JSON") from None
        if not isinstance(found, dict):
            raise ValueError("this is not a JSON object")
        cookies, token, api_url = found.get("cookies"), found.get("token"), found.get("apiUrl")
        if not isinstance(api_url, str):
            raise ValueError("apiUrl must be text")
        if cookies:
            return cls(api_url, _secrets(cookies), None, _stored_time(found.get("expiresAt")), source)
        if not isinstance(token, str):
            raise ValueError("it holds neither cookies nor a token")
        return cls(api_url, {}, SecretStr(token), _stored_time(found.get("expiresAt")), source)

    def to_json(self) -> str:
        """The text that CodeMie's own tools read. It holds the secrets in the clear."""
        content: dict[str, Any] = (
            {"cookies": {name: value.get_secret_value() for name, value in self.cookies.items()}}
            if self.token is None
            else {"token": self.token.get_secret_value()}
        )
        content["apiUrl"] = self.api_url
        if self.expires_at is not None:
            content["expiresAt"] = int(self.expires_at * 1000)
        return json.dumps(content, separators=(",", ":"))

    def _claims(self) -> Mapping[str, Any]:
        token = self.token or self.cookies.get(ACCESS_COOKIE)
        return claims_of(token.get_secret_value()) if token else {}

    def __repr__(self) -> str:
        names = f", cookies {sorted(self.cookies)}" if self.cookies else ""
        return f"<Session({self.kind}, {self.api_url}{names}, expires_at {self.expires_at}, from {self.source!r})>"


def claims_of(token: str) -> Mapping[str, Any]:
    """What a JWT claims, unverified; {} when it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _check(secret: SecretStr, what: str) -> None:
    if not isinstance(secret, SecretStr):
        raise TypeError(f"a {what} must be a SecretStr")
    value = secret.get_secret_value()
    if not _VALUE.fullmatch(value) or (what == "token" and not value):
        raise ValueError(f"a {what} holds characters that no header can carry, or nothing")
    if len(value) > _LONGEST:
        raise ValueError(f"a {what} is longer than {_LONGEST // 1024} KiB")


def _secrets(cookies: Any) -> dict[str, SecretStr]:
    if not isinstance(cookies, dict) or not all(isinstance(value, str) for value in cookies.values()):
        raise ValueError("cookies must be an object of names and texts")
    return {name: SecretStr(value) for name, value in cookies.items()}


def _stored_time(value: Any) -> float | None:
    if value is None:
        return None
    number = _number(value)
    if number is None:
        raise ValueError("expiresAt must be a number of milliseconds")
    return number


def _moment(number: float | None) -> float | None:
    """Seconds, of milliseconds too: tools mix them up. What no calendar has says nothing, and would win for ever."""
    if number is None:
        return None
    seconds = number / 1000 if number >= _FIRST_MILLISECONDS else number
    return seconds if seconds <= _LAST_SECOND else None


def _number(value: Any) -> float | None:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
