"""Secrets that stand under a name of theirs: `password=...`, `"apiKey": "..."`, `Cookie: ...`, `--token ...`."""

from __future__ import annotations

import re
from functools import lru_cache

from codemie_core.redact_shapes import REDACTED

# Parts of names, in lower case. Each begins with a plain character, so that the search for any of them is quick.
STEMS: tuple[str, ...] = (
    "cookie",
    "authorization",
    # What follows "token" in a name tells a token from a count of tokens, or a fact about one.
    r"token(?!s|iz|[-_]?(?:count|type|limit|usage|budget|expir|endpoint|ur[il]|rate|cost|price|detail|length))",
    # x-csrf-tokens; but max-tokens, input-tokens, output-tokens and total-tokens are counts.
    r"-tokens(?<!max-tokens)(?<!put-tokens)(?<!total-tokens)",
    "csrf",
    "secret(?!ar)",
    "passw(?:or)?d",
    "passphrase",
    "_pass(?![a-z])",
    "-pass(?![a-z])",
    "_pwd(?![a-z])",
    # As in a data source of ODBC; alone it is the folder that a shell is in.
    ";pwd(?![a-z])",
    "api[-_ ]?key",
    "access[-_ ]?key",
    "account[-_ ]?key",
    "subscription[-_ ]?key",
    "functions[-_ ]?key",
    "session[-_ ]?key",
    "private[-_ ]?key",
    "signing[-_ ]?key",
    "encryption[-_ ]?key",
    "master[-_ ]?key",
    "credential",
    "signature",
    "code[-_]?verifier",
    "device[-_]?code",
    "samlresponse",
    "_auth(?![a-z])(?<![a-z0-9]_auth)",
)
STEM_MARKS: tuple[str, ...] = (
    *(
        "cookie",
        "authorization",
        "token",
        "csrf",
        "secret",
        "passw",
        "passphrase",
        "_pass",
        "-pass",
        "_pwd",
        ";pwd",
        "key",
    ),
    *("credential", "signature", "verifier", "device", "samlresponse", "_auth"),
)
_RATE_LIMIT = re.compile("rate-?limit")
# Remembering longer ones would let a stranger fill the memory.
_LONGEST_REMEMBERED = 64

_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-"
_LONGEST_NAME = 128
_NOTHING = re.compile(r"(?i:null|none|nil|undefined|true|false)\b")
_OPENING = re.compile(r"[bru]{0,2}(\\*)(\"\"\"|'''|[\"'])", re.IGNORECASE)
_BRACKET_OR_QUOTE = re.compile(r"[\[{(\]})]|\\*[\"']")
# What an earlier rule took out already is no end of the value.
_WORD = re.compile(r"(?:\[redacted\]|\\++(?![\"'])|[^\s,;&)}\]\\\"<\x1b])*+")
# `export NAME=value` as in .env files: only a space or a quote ends it.
_ENVIRONMENT_WORD = re.compile(r"(?:\\++(?![\"'])|[^\s\\\"'`])*+")
# Real line ends and those inside a string of JSON or Python. A header folded after a separator goes on.
_LINE = re.compile(r"(?:[;,][ \t]*+\r?\n[ \t]++|\\++(?![rn])|[^\r\n\\])*+")
_AFTER_CLOSING = ("", *" \t\r\n,;:.)]}>'\"`\\")
_COLOR = r"\x1b\[[\d;]{0,12}m"
_CLOSERS = re.compile(rf"(?:\\*[\"'][\]}}),]{{0,8}}|(?:{_COLOR}){{1,3}})\Z")


def _compiled(stems: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Finds a stem; finds a stem with the rest of its name and what leads to a value."""
    stem = "|".join(stems)
    return re.compile(stem), re.compile(
        rf"(?:{stem})[\w-]{{0,{_LONGEST_NAME}}}+(?P<close>\\*[\"'`])?(?:{_COLOR}){{0,3}}"
        rf"(?:\]?\s*+(?:=>|:=|={{1,3}}|:(?!:))\s*+(?:{_COLOR}){{0,3}}"
        r"|(?<=[\"'])\s*+,\s*+| provided: |(?P<flag>[ \t]++(?!-\w(?![\w-])|--|\s))|(?P<tag>>))"
    )


_STEM, _ASSIGNED = _compiled(STEMS)


def is_secret_name(name: str) -> bool:
    """Whether a header, field or variable of this name holds a secret."""
    return _known(name) if len(name) <= _LONGEST_REMEMBERED else _holds_secret(name)


def _holds_secret(name: str) -> bool:
    lowered = name.lower()
    return bool(_STEM.search(lowered)) and not _RATE_LIMIT.search(lowered)


_known = lru_cache(maxsize=1024)(_holds_secret)


def without_assigned(text: str) -> str:
    """The text without the values under names of secrets. Quotes around them stay, so JSON stays JSON."""
    # The one letter whose lower case is longer would move all that follows.
    lowered = text.replace("\u0130", "I").lower()
    kept, position = [], 0
    while match := _ASSIGNED.search(lowered, position):
        name = _name_before(lowered, match.start()) + match[0]
        end = match.end()
        if _leads_to_value(name, match):
            kept.append(text[position:end])
            position, shown = _value(text, end, match)
            kept.append(shown)
        else:
            # A value of "Cookie, token=..." may itself be a name.
            end = max(match.start() + 1, end - 1)
            kept.append(text[position:end])
            position = end
    return "".join([*kept, text[position:]])


def _name_before(lowered: str, start: int) -> str:
    before = lowered[max(0, start - _LONGEST_NAME) : start]
    return before[len(before.rstrip(_NAME_CHARACTERS)) :]


def _leads_to_value(name: str, match: re.Match[str]) -> bool:
    if _RATE_LIMIT.search(name):
        return False
    if match["flag"]:
        return name.startswith("--")
    if match["tag"]:
        return match.string[match.start() - (len(name) - len(match[0])) - 1 : match.start()][:1] == "<"
    return True


def _value(text: str, start: int, match: re.Match[str]) -> tuple[int, str]:
    """Where the value that begins at `start` ends, and what is shown in its place."""
    if opening := _OPENING.match(text, start):
        return _quoted(text, opening)
    if _NOTHING.match(text, start) or start == len(text):
        return start, ""
    if text[start] in "[{" and not text.startswith(REDACTED, start):
        quote = match["close"] or "'"
        return _bracketed_end(text, start), f"{quote}{REDACTED}{quote}"
    end = _unquoted_end(text, start, match)
    return end, _like_json(REDACTED, match) if end > start else ""


def _quoted(text: str, opening: re.Match[str]) -> tuple[int, str]:
    backslashes, quote = opening.groups()
    end, close = _closing(text, opening.end(), len(backslashes), quote)
    return (end + len(close), f"{opening[0]}{REDACTED}{close}") if end > opening.end() else (end, opening[0])


def _closing(text: str, start: int, level: int, quote: str) -> tuple[int, str]:
    """Where the string ends, and its closing quote ("" when it is cut off).

    In JSON inside a string of JSON the quote is preceded by one backslash, one level deeper by three: `level`. More
    than these are escaped backslashes of the content, in pairs of its own level, or an escaped quote.
    """
    start_of_value, position = start, text.find(quote, start)
    while position >= 0:
        if len(quote) == 1 and text.startswith(quote * 3, position):
            # Three of them belong to a string of Python's: this one was cut off before it.
            position = text.find(quote, position + 3)
            continue
        before = text[start:position]
        backslashes = len(before) - len(before.rstrip("\\"))
        if (backslashes - level) % (2 * level + 2) == 0 or backslashes < level:
            if _opens_another(text, start_of_value, position + len(quote)):
                return text.index("\n", start_of_value), ""
            escapes = min(level, backslashes)
            return position - escapes, "\\" * escapes + quote
        start, position = position, text.find(quote, position + 1)
    return len(text), ""


def _opens_another(text: str, start: int, after: int) -> bool:
    """Whether a quote on a later line belongs to another string, so that this one was cut off at its line's end."""
    return text[after : after + 1] not in _AFTER_CLOSING and "\n" in text[start:after]


def _bracketed_end(text: str, start: int) -> int:
    """The end of a list or an object, strings in it skipped; of the text when it is cut off."""
    depth, position = 0, start
    while match := _BRACKET_OR_QUOTE.search(text, position):
        position = match.end()
        mark = match[0]
        if mark[-1] in "\"'":
            end, close = _closing(text, position, len(mark) - 1, mark[-1])
            position = end + len(close)
        else:
            depth += 1 if mark in "[{(" else -1
            if depth == 0:
                return position
    return len(text)


def _unquoted_end(text: str, start: int, match: re.Match[str]) -> int:
    if match["tag"]:
        end = text.find("<", start)
        return end if end >= 0 else len(text)
    if "cookie" in match[0] or "authorization" in match[0]:
        end = _end(_LINE, text, start)
        # The string that the line stands in is closed again.
        closers = _CLOSERS.search(text, max(start, end - 16), end)
        return closers.start() if closers else end
    name = text[match.start() : match.end()]
    return _end(_ENVIRONMENT_WORD if name.isupper() and name[-1] == "=" else _WORD, text, start)


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    assert match is not None  # these patterns match the empty string
    return match.end()


def _like_json(shown: str, match: re.Match[str]) -> str:
    """A number under a quoted name becomes a string: the line can still be parsed."""
    close = match["close"]
    return f"{close}{shown}{close}" if close and close.endswith('"') else shown
