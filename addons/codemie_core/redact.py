"""Secrets taken out of whatever is about to be printed, logged or sent to a person.

Values are replaced when an object is made, not when it is shown, so nothing that holds the result can leak.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

REDACTED = "[redacted]"

SECRET_HEADERS: frozenset[str] = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
    }
)
_SECRET_PARAMETERS = frozenset({"key", "code", "state", "auth", "sig"})
# "tokens" after an underscore or alone is a count (max_tokens), not a secret.
_SECRET_NAME = re.compile(
    r"cookie|authorization|token(?!s)|-tokens|secret|passw(?:or)?d|api[-_]?key|credential|signature"
    r"|session[-_]?key|private[-_]?key",
    re.IGNORECASE,
)
_RATE_LIMIT_NAME = re.compile("rate-?limit", re.IGNORECASE)

_KNOWN_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])sk-[\w-]{6,}"
    r"|eyJ[\w+/=-]{8,}(?:\.[\w-]*)*"  # JWT, and CodeMie's base64 of JSON
    r"|ya29\.[\w.-]+|AIza[\w-]{10,}|GOCSPX-[\w-]+|1//0[\w-]{10,}"
    r"|gh[opsur]_\w{10,}|github_pat_\w+|xox[a-z]-[\w-]+|AKIA[A-Z0-9]{12,}"
    r"|(?<![A-Za-z0-9])(?:gsk|hf)_\w{10,}|(?<![A-Za-z0-9])xai-[\w-]{10,}"
)
_BEARER = re.compile(r"\b(Bearer\s+)[^\s\"',;]{6,}", re.IGNORECASE)
# Base64 of user:password holds a capital, digit or "="; prose ("Basic authentication") does not.
_BASIC = re.compile(r"\b(Basic\s+)(?=[a-z+/]*[A-Z0-9=])[A-Za-z0-9+/=_-]{6,}")
_USERINFO = re.compile(r"//[^/?#\s]*@")
# Possessive, so that a long word is read once and not once for every letter in it.
_ASSIGNED_NAME = re.compile(r"(?<![\w-])([\w-]++)(\\*[\"']?\s*+(?:=>|[:=])\s*+|[\"']\s*+,\s*+)\\*")
_QUOTED = re.compile(r"b?(?:\"(?:[^\"\\]|\\.)*+(?:\"|\\?\Z)|'(?:[^'\\]|\\.)*+(?:'|\\?\Z))", re.DOTALL)
# What an earlier rule took out already is no end of the value.
_WORD = re.compile(r"(?:\[redacted\])?[^\s,;&)}\]]*")
_LINE = re.compile(r"[^\r\n]*")


def is_secret_name(name: str) -> bool:
    """Whether a header, field or variable of this name holds a secret."""
    return bool(_SECRET_NAME.search(name)) and not _RATE_LIMIT_NAME.search(name)


class RedactedHeaders:
    """The only way to print headers: names as they came, secret values gone.

    Values under harmless names are passed through `redact_text`.
    """

    __slots__ = ("_pairs",)

    def __init__(self, headers: Iterable[tuple[str | bytes, str | bytes]]) -> None:
        self._pairs = tuple(_redact_header(_text(name), _text(value)) for name, value in headers)

    def items(self) -> tuple[tuple[str, str], ...]:
        return self._pairs

    def __repr__(self) -> str:
        return f"<RedactedHeaders({', '.join(f'{name}: {value!r}' for name, value in self._pairs)})>"


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _redact_header(name: str, value: str) -> tuple[str, str]:
    return name, REDACTED if is_secret_name(name) else redact_text(value)


def redact_url(url: str) -> str:
    """`url` without user information, secret parameters (query or fragment) and secrets of known shape."""
    parts = re.split(r"([?&#])", _USERINFO.sub(f"//{REDACTED}@", url))
    return _redact_shapes("".join(map(_redact_parameter, parts)))


def _redact_parameter(part: str) -> str:
    """One "name=value", or several with ";" between them."""
    pieces = part.split(";")
    for index, piece in enumerate(pieces):
        name, equals, value = piece.partition("=")
        if equals and (_is_secret_parameter(unquote(name)) or _hides_secret(value)):
            # The value itself may hold a ";": everything after it goes too.
            return ";".join([*pieces[:index], f"{name}={REDACTED}"])
    return part


def _is_secret_parameter(name: str) -> bool:
    return name.lower() in _SECRET_PARAMETERS or is_secret_name(name)


def _hides_secret(value: str) -> bool:
    """Whether a percent-encoded value, such as the address to return to, holds a secret of its own."""
    decoded = unquote(value)
    return decoded != value and redact_text(decoded) != decoded


def redact_text(text: str) -> str:
    """Free text (exception messages, say) without the keys, tokens, cookies and passwords found in it."""
    text = re.sub(r"\S+", lambda match: _redact_word(match[0]), text)
    return _redact_shapes(_redact_assignments(text))


def _redact_word(word: str) -> str:
    return redact_url(word) if "//" in word or ("=" in word and ("?" in word or "&" in word)) else word


def _redact_assignments(text: str) -> str:
    """`name: value`, `name=value`, `"name": "value"`, `(b'name', b'value')` where the name is a secret's."""
    kept, position = [], 0
    while match := _ASSIGNED_NAME.search(text, position):
        end = match.end()
        kept.append(text[position:end])
        position = end
        if is_secret_name(match[1]):
            value = _value_at(text, end, match[1])
            kept.append(REDACTED if value.group() else "")
            position = value.end()
    return "".join([*kept, text[position:]])


def _value_at(text: str, start: int, name: str) -> re.Match[str]:
    if quoted := _QUOTED.match(text, start):
        return quoted
    to_line_end = re.search("cookie|authorization", name, re.IGNORECASE)
    value = (_LINE if to_line_end else _WORD).match(text, start)
    assert value is not None  # both patterns match the empty string
    return value


def _redact_shapes(text: str) -> str:
    text = _BASIC.sub(rf"\1{REDACTED}", _BEARER.sub(rf"\1{REDACTED}", text))
    return _KNOWN_SHAPES.sub(REDACTED, text)
