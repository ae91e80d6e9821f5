"""Numbers of the history as people read them. What is unknown is "?", what there is none of is "-"; neither is 0."""

from __future__ import annotations

import math
from datetime import datetime

from codemie_core.usage.cost import NANO

UNKNOWN = "?"
NONE = "-"
FOOTNOTE = "? There are turns whose cost is not known; it is in no sum. Which ones: codemie-proxy stats --by model"


def money(nano_usd: int | None, unpriced: int = 0) -> str:
    """Like $12.34, $0.0154, or $12.34 + ? when so many turns more have no known cost."""
    if nano_usd is None:
        return UNKNOWN if unpriced else NONE
    return f"{_dollars(nano_usd)} + {UNKNOWN}" if unpriced else _dollars(nano_usd)


def count(number: int | None) -> str:
    """Like 1,204."""
    return UNKNOWN if number is None else f"{number:,}"


def several(number: int, thing: str) -> str:
    """Like 1 prompt or 3 prompts."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def tokens(number: int | None) -> str:
    """Like 812, 30.5k, 1.25M or 3.1B."""
    if number is None:
        return UNKNOWN
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size * 10 or (unit != "k" and number >= size):
            return f"{number / size:.3g}{unit}" if number < size * 1000 else f"{number / size:,.0f}{unit}"
    return f"{number:,}"


def share(part: float | None) -> str:
    """Like 93%, 0.4% or 99.9%; `part` is from 0 to 1. Only all of it is 100%."""
    if part is None:
        return NONE
    if 0.99 < part < 1:
        return f"{math.floor(part * 1000) / 10:.1f}%"
    return f"{part:.1%}" if 0 < part < 0.01 else f"{part:.0%}"


def span(ms: float | None) -> str:
    """Like 850 ms, 2.5 s, 1 min 05 s or 2 h 03 min."""
    if ms is None:
        return NONE
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 59_950:
        return f"{ms / 1000:.1f} s"
    seconds = round(ms / 1000)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600:,} h {seconds % 3600 // 60:02} min"


def spans(p50: float | None, p95: float | None) -> str:
    """Two of them: 2.5 s / 9.1 s."""
    return NONE if p50 is None else f"{span(p50)} / {span(p95)}"


def when(ms: int) -> str:
    """Like 2026-11-21 13:05, in this machine's time zone."""
    return f"{datetime.fromtimestamp(ms / 1000):%Y-%m-%d %H:%M}"


def plain(text: str) -> str:
    """A name that somebody else made up: what would steer a terminal is shown as �. "-" for none."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text) or NONE


def short(request_or_session: str) -> str:
    """An id as lists show it. Its first characters are enough to find it again."""
    return plain(request_or_session[:8])


def _dollars(nano_usd: int) -> str:
    dollars = nano_usd / NANO
    if nano_usd >= NANO:
        return f"${dollars:,.2f}"
    if 0 < dollars < 0.00005:
        return "<$0.0001"
    return f"${dollars:.4f}" if nano_usd else "$0"
