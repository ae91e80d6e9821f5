"""Secrets taken out of whatever is about to be printed, logged or sent to a person.

Values are replaced when an object is made, not when it is shown, so nothing that holds the result can leak. Text in
which no secret can be (no name of one, no shape of one) costs a few substring searches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote

from codemie_core.redact_names import STEM_MARKS, is_secret_name, without_assigned
from codemie_core.redact_shapes import FRAMES, PREFIXES, REDACTED, may_hold, without

__all__ = ["REDACTED", "SECRET_HEADERS", "RedactedHeaders", "is_secret_name", "redact_text", "redact_url"]

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
# Secrets in a URL or a form only; elsewhere they are words like any other.
SECRET_PARAMETERS = frozenset({"key", "code", "state", "auth", "sig", "assertion", "ticket", "otp", "pwd", "pass"})

_SEPARATOR = re.compile(r"([?&#])")
_BETWEEN_PAIRS = re.compile(r"(;|\\u0026)")
# One pair of a query, or the first of a form (another follows it). A quote or a tag ends it, as none stands in a URL.
_PAIR = re.compile(
    r"(?:(?<=[?&#])|(?<=\\u0026)|(?<=\\u003[fF])|(?<![^\s\"'(\[{`])(?=[^\s&\"'<>]{1,2000}&))"
    r"[^\s=&#?\"'<>]{1,128}+=(?:[^\s&#\"<>\\\x1b]|\\(?![\"'nrt\\]))*+"
)
# The same inside a URL that is a value of another: %3Fkey%3D, also encoded twice.
_ENCODED_PAIR = re.compile(
    r"%(?:25)*(?:3F|26|23)([\w.-]{1,128})%(?:25)*3D((?:(?!%(?:25)*(?:26|23|22|20))[^\s&#\"<>;])+)", re.IGNORECASE
)
_FORM_FIELD = re.compile(
    r"\bname=(\\*\"?)([\w.\[\]-]{1,128})\1([^\r\n\\]{0,200}(?:\r?\n[\w-]{1,64}:[^\r\n]{0,200}){0,4}\r?\n\r?\n)([^\r\n]+)"
)
# An address inside an address inside an address; nobody nests deeper for a reason.
_DEEPEST = 3
_MOST_ROUNDS = 4


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
    return _until_nothing_is_found(_redact_url, url)


def _redact_url(url: str) -> str:
    if "=" in url:
        parts = _SEPARATOR.split(url)
        url = "".join([_redact_pairs(part, _DEEPEST) if "=" in part else part for part in parts])
    if "%" in url:
        url = _redact_encoded_pairs(url)
    lowered = url.lower()
    return without(PREFIXES, without(FRAMES, url, lowered), lowered) if may_hold(lowered) else url


def redact_text(text: str) -> str:
    """Free text (exception messages, bodies, say) without the keys, tokens, cookies and passwords found in it."""
    return _until_nothing_is_found(_redact_text, text)


def redact_quoted(text: str) -> str:
    """A sentence of ours that quotes what somebody wrote, without passwords in URLs and keys of a known kind.

    Ours names settings (`token_request: ...`), which `redact_text` takes for secrets with their names.
    """
    text = _without_pairs(text, _DEEPEST)
    lowered = text.lower()
    return without((*FRAMES, *PREFIXES), text, lowered) if may_hold(lowered) else text


def _until_nothing_is_found(redact: Callable[[str], str], text: str) -> str:
    """What one rule takes out may be what hid a secret from another."""
    for _ in range(_MOST_ROUNDS):
        shown = redact(text)
        if shown == text:
            break
        text = shown
    return text


def _redact_text(text: str, depth: int = _DEEPEST) -> str:
    lowered = text.lower()
    shaped = may_hold(lowered)
    if shaped:
        text = without(FRAMES, text, lowered)
    text = _without_pairs(text, depth)
    if "%" in text:
        text = _redact_encoded_pairs(text)
    if "form-data" in lowered:
        text = _FORM_FIELD.sub(_redact_form_field, text)
    for mark in STEM_MARKS:
        if mark in lowered:
            text = without_assigned(text)
            break
    return without(PREFIXES, text, lowered) if shaped else text


def _without_pairs(text: str, depth: int) -> str:
    if "=" in text and ("&" in text or "?" in text or "#" in text or "\\u00" in text):
        return _PAIR.sub(lambda match: _redact_pairs(match[0], depth), text)
    return text


def _redact_pairs(part: str, depth: int) -> str:
    """One "name=value", or several with ";" between them."""
    pieces = _BETWEEN_PAIRS.split(part)
    for index in range(0, len(pieces), 2):
        name, equals, value = pieces[index].partition("=")
        if equals and (_is_secret_parameter(unquote(name)) or _hides_secret(value, depth)):
            if index + 1 < len(pieces) and pieces[index + 1] != ";":
                pieces[index] = f"{name}={REDACTED}"
                continue
            # The value itself may hold a ";": everything after it goes too.
            return "".join([*pieces[:index], f"{name}={REDACTED}"])
    return "".join(pieces)


def _is_secret_parameter(name: str) -> bool:
    return name.lower() in SECRET_PARAMETERS or is_secret_name(name)


def _hides_secret(value: str, depth: int) -> bool:
    """Whether a percent-encoded value, such as the address to return to, holds a secret of its own."""
    if depth == 0 or "%" not in value:
        return False
    decoded = unquote(value)
    return decoded != value and _redact_text(decoded, depth - 1) != decoded


def _redact_encoded_pairs(text: str) -> str:
    return _ENCODED_PAIR.sub(_redact_encoded_pair, text)


def _redact_encoded_pair(match: re.Match[str]) -> str:
    start = match.start()
    return match.string[start : match.start(2)] + REDACTED if _is_secret_parameter(match[1]) else match[0]


def _redact_form_field(match: re.Match[str]) -> str:
    return match[0][: -len(match[4])] + REDACTED if _is_secret_parameter(match[2]) else match[0]
