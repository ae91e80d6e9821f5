"""What the pages look like: style sheets and the little script that settles dark or light before anything is painted.

All of it is in the page itself: one answer, and nothing is asked of any other machine.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
FIRST = ("theme.css", "controls.css")
ALONE = frozenset({"sign_in.css"})
"""Of a page that has none of the others."""


@cache
def asset(name: str) -> str:
    """The text of a file in `assets`."""
    return (ASSETS / name).read_text("utf-8")


@cache
def head() -> str:
    """For the head of every page."""
    others = sorted(path.name for path in ASSETS.glob("*.css") if path.name not in {*FIRST, *ALONE})
    sheets = "\n".join(asset(name) for name in (*FIRST, *others))
    return f"<script>{asset('frame.js')}\n{asset('format.js')}</script>\n<style>{sheets}</style>"
