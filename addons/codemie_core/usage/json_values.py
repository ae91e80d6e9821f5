"""Values out of JSON that nobody vouches for: the wrong type is as good as nothing. Nothing here raises."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

LARGEST_COUNT = 10**9
"""What is larger counts nothing, and would not fit where money is made of it."""
_LONGEST_WORD = 200
_NOTHING: Mapping[str, object] = {}


def table(value: object) -> Mapping[str, object]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def rows(value: object) -> Sequence[object]:
    """An array, or an empty one."""
    return value if isinstance(value, list) else ()


def count(value: object) -> int | None:
    """A number of tokens or calls; None for anything but a whole number from 0 up."""
    # True is an int to Python, and no count.
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None


def text(value: object) -> str:
    """A string, else ""."""
    return value if isinstance(value, str) else ""


def word(value: object) -> str:
    """A name or an id, in one printable line of at most 200 characters; "" when there is none."""
    if not isinstance(value, str):
        return ""
    short = value[:_LONGEST_WORD]
    return short if short.isprintable() else "".join(letter for letter in short if letter.isprintable())


def plain_length(data: str, opening: str, closing: str = '"') -> int:
    """Characters between `opening` (`"text":"`) and `closing` in this JSON; -1 when they are not there or escaped.

    Ten times as fast as parsing. Quotes inside of strings are escaped, so that the words of a model never look like
    an opening.
    """
    start = data.find(opening)
    if start < 0:
        return -1
    start += len(opening)
    end = data.find('"', start)
    if end < 0 or data.find("\\", start, end) >= 0 or not data.startswith(closing, end):
        return -1
    return end - start


def written(value: object) -> str:
    """JSON for a value that came out of JSON, without spaces; "" for one nested too deep."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (RecursionError, ValueError, TypeError):
        return ""


def without_halves(value: str) -> str:
    """Characters whose two halves came in two pieces are made whole, single halves become question marks."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def error_kind(body: Mapping[str, object]) -> str:
    """The provider's word for the error in this object: Gemini's status, OpenAI's code, else its type; or ""."""
    error = table(body.get("error")) or body
    for name in ("status", "code", "type"):
        found = word(error.get(name))
        if found and found != "error":
            return found[:80]
    return ""
