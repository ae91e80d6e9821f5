"""Sessions."""

from __future__ import annotations

from codemie_core.admin.pages.layout import View, heading
from codemie_core.admin.plane import Plane


async def build(plane: Plane) -> None:
    """The page."""
    with heading("Sessions"):
        pass


VIEWS = (View("/sessions", "sessions", "Sessions", build),)
