"""Loads the addons of a bundle by name, so that one that cannot be imported does not take the others with it."""

from __future__ import annotations

import importlib
import logging
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An addon that fails open and could not be imported."""

    name: str
    error: str


left_out: list[LeftOut] = []
"""Shown as `failed` in /health."""


def load_addons(*places: tuple[str, Literal["open", "closed"]]) -> list[object]:
    """The addons of the modules named, in this order.

    One that fails open is left out with a warning when it cannot be imported; one that fails closed stops the start.
    """
    left_out.clear()
    addons: list[object] = []
    for stem, fail in places:
        try:
            addons.extend(importlib.import_module(stem).addons)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}{_place(error)}"
            if fail == "closed":
                # An ERROR during start-up makes mitmproxy exit.
                logger.error("%s cannot be loaded, and no request may pass without it: %s", stem, problem)
            else:
                logger.warning("%s cannot be loaded and is left out: %s", stem, problem)
            left_out.append(LeftOut(stem, problem))
    if not addons:
        # Without one of them nothing of the bundle runs, not even the refusal of peers beyond this machine.
        logger.error("no addon of the bundle could be loaded: see the warnings above for the reason of each")
    return addons


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
