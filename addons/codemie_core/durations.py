"""Durations and sizes as people write them: "250ms", "5m", "64m".

mitmproxy takes no float with --set, so the annotated types below carry a `TextOption` marker that tells the
options bridge to declare them as strings and how to print their default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic.fields import FieldInfo

DURATION_PATTERN = r"^\d+(\.\d+)?(ms|s|m|h|d)?$"
SIZE_PATTERN = r"^\d+(\.\d+)?[kKmMgG]?([iI]?[bB])?$"
DURATION_FORMS = '"250ms", "30s", "5m", "2h", "1d" or plain seconds'
SIZE_FORMS = '"512k", "64m", "1g" or plain bytes'

_SECONDS: Mapping[str, Decimal] = {
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
_BYTES: Mapping[str, int] = {"g": 1024**3, "m": 1024**2, "k": 1024}
# Longer texts are mistakes, and decimal arithmetic on them is slow.
_LONGEST_TEXT = 32


def parse_duration(text: str | int | float) -> float:
    """Seconds. A bare number means seconds. ValueError names the accepted forms."""
    written = _written(text, "duration", DURATION_FORMS)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", written, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write {DURATION_FORMS}")
    return float(Decimal(match[1]) * _SECONDS[match[2] or "s"])


def format_duration(seconds: float) -> str:
    """The shortest exact form: `parse_duration(format_duration(x)) == x`."""
    exact = Decimal(repr(float(seconds)))
    if exact == 0:
        return "0s"
    unit, size = next(((unit, size) for unit, size in _SECONDS.items() if exact % size == 0), ("ms", _SECONDS["ms"]))
    return f"{(exact / size).normalize():f}{unit}"


def parse_size(text: str | int | float) -> int:
    """Bytes; k, m and g are powers of 1024. ValueError names the accepted forms."""
    written = _written(text, "size", SIZE_FORMS).lower()
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?", written, re.ASCII)
    size = Decimal(match[1]) * _BYTES.get(match[2], 1) if match else Decimal("0.5")
    if size % 1:
        raise ValueError(f"{text!r} is not a size in whole bytes: write {SIZE_FORMS}")
    return int(size)


def format_size(size: int) -> str:
    """The shortest exact form: `parse_size(format_size(x)) == x`."""
    for unit, factor in _BYTES.items():
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def _written(value: object, kind: str, forms: str) -> str:
    """`value` as text to be matched; pydantic also hands over YAML's numbers, booleans and lists."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a {kind}: write {forms}")
    written = value.strip() if isinstance(value, str) else f"{Decimal(repr(value)):f}"
    if len(written) > _LONGEST_TEXT:
        raise ValueError(f"the {kind} is longer than {_LONGEST_TEXT} characters: write {forms}")
    return written


@dataclass(frozen=True, slots=True)
class TextOption:
    """Marks a type whose option is a string; `format` prints a value the way its validator reads it."""

    format: Callable[[Any], str]


def text_option_of(field: FieldInfo) -> TextOption | None:
    """The marker of a model field, also of `Duration | None`, where pydantic keeps it inside the union."""
    candidates = list(field.metadata)
    if get_origin(field.annotation) in (Union, UnionType):
        for member in get_args(field.annotation):
            candidates += getattr(member, "__metadata__", ())
    return next((mark for mark in candidates if isinstance(mark, TextOption)), None)


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
    TextOption(format_duration),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN}),
    TextOption(format_size),
]
