"""What CodeMie's login page hands over: base64 of {"cookies": {name: value}}, in the query of the callback.

It comes in an address, out of a browser or pasted by a person, and it is a secret: no error repeats any of it.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from codemie_core.sso.session import Session

KEYS = ("token", "auth", "data")
"""The query keys that CodeMie's own tools take."""

LONGEST = 128 * 1024
"""Characters. A browser's cookies for one site stay below a tenth of it."""


def session_in_query(query: str, api_url: str) -> Session | None:
    """The session that a query carries; None when it has none of the keys. ValueError says what is wrong."""
    # parse_qs would turn the "+" of base64 into a space.
    pairs = [(unquote(name), value) for name, _, value in (part.partition("=") for part in query.split("&"))]
    found = [value for name, value in pairs if name in KEYS]
    if not found:
        return None
    if len(found) > 1:
        raise ValueError(f"it has more than one of {', '.join(KEYS)}")
    return session_of(unquote(found[0]), api_url)


def session_pasted(text: str, api_url: str) -> Session:
    """The session in what a person has pasted: the whole address, its query, or the bare value. ValueError."""
    text = "".join(text.split())
    if not text:
        raise ValueError("nothing was pasted")
    if "://" in text:
        try:
            parts = urlsplit(text)
            host = parts.hostname
        except ValueError:
            raise ValueError("this is no address") from None
        if parts.scheme != "http" or host not in ("localhost", "127.0.0.1"):
            raise ValueError("the address to paste is the one that begins with http://localhost:")
        session = session_in_query(parts.query, api_url)
    else:
        session = session_in_query(text.removeprefix("?"), api_url)
        if session is None and not any(sign in text for sign in "?&"):
            session = session_of(unquote(text), api_url)
    if session is None:
        raise ValueError(f"the address has none of {', '.join(f'{key}=' for key in KEYS)} in it")
    return session


def session_of(value: str, api_url: str) -> Session:
    """Decode base64, standard or URL-safe, with or without its padding. ValueError says what is wrong."""
    if len(value) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST // 1024} KiB")
    plain = value.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        text = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (ValueError, binascii.Error):
        raise ValueError("it is no base64, or a part of it is missing") from None
    return Session(api_url, _cookies(_parsed(text)))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it holds no JSON") from None


def _cookies(content: Any) -> dict[str, SecretStr]:
    cookies = content.get("cookies") if isinstance(content, dict) else None
    if not isinstance(cookies, dict) or not cookies:
        raise ValueError("it holds no cookies")
    if not all(isinstance(value, str) for value in cookies.values()):
        raise ValueError("a cookie in it is no text")
    return {name: SecretStr(value) for name, value in cookies.items()}
