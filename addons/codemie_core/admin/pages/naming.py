"""What things are called and colored alike on all pages."""

from __future__ import annotations

from collections.abc import Mapping

from codemie_core.admin.agents import TITLES

RANGE_WORDS: Mapping[str, str] = {"1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 days", "30d": "30 days"}
"""The stretches of time one can look at."""
COLORS = ("c1", "c2", "c3", "c4", "c5", "c7", "c8")
OTHERS_COLOR = "c6"
MOST = 1000
_seen: dict[str, str] = {}


def color_of(name: str) -> str:
    """The color of a model, account, ...: the first ones that are shown get one each, and keep it on every page."""
    if name not in _seen and len(_seen) < MOST:
        _seen[name] = COLORS[len(_seen) % len(COLORS)]
    return _seen.get(name, OTHERS_COLOR)


def agent_title(name: str | None) -> str:
    """As people call it."""
    return TITLES.get(name or "unknown", name or "")
