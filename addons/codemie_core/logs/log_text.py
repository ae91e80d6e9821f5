"""Texts of strangers as parts of a log line: redacted, on one line, bounded."""

from __future__ import annotations

import json
import re
from functools import lru_cache

from codemie_core.logs.log_record import Fields
from codemie_core.redact import redact_text, redact_url

LONGEST_TEXT = 2000
LONGEST_VALUE = 300

_CACHED = 512
# What JSON leaves as it is: C1 controls (a terminal obeys them), line separators, halves of surrogate pairs.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def pair(name: str, value: object) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  ")
    return f'"{name}": {_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)}'


@lru_cache(maxsize=2048)
def strings(fields: Fields) -> tuple[str, ...]:
    return tuple(f'"{shown(name)}": {json.dumps(shown(value))}' for name, value in fields)


def printable(text: str) -> str:
    """`text` on one line: a stranger's line break must not look like a record of ours."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(text: str) -> str:
    """A short text of a stranger: redacted, printable, bounded."""
    return _shown(text) if len(text) < _CACHED else _shown.__wrapped__(text)


@lru_cache(maxsize=2048)
def _shown(text: str) -> str:
    return free(text)[:LONGEST_VALUE]


def free(text: str) -> str:
    return printable(redact_text(text))[:LONGEST_TEXT]


def shown_url(url: str) -> str:
    """A path, with its query or without: redacted, printable, bounded."""
    return _shown_url(url) if len(url) < _CACHED else _shown_url.__wrapped__(url)


@lru_cache(maxsize=2048)
def _shown_url(url: str) -> str:
    return printable(redact_url(url))[:LONGEST_TEXT]


def bare(text: str) -> str:
    """For `key=value`: without a space, "-" for nothing."""
    return shown(text).replace(" ", "%20") or "-"
