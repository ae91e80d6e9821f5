"""Which repository and branch a folder belongs to that an agent says it works in."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path, PureWindowsPath

from codemie_core.workspace import UNKNOWN, Workspace, find_workspace

KEPT = 200
FRESH = 60.0
"""Seconds: branches change."""

type Find = Callable[[Path, Mapping[str, str]], Workspace]


class Folders:
    """For one thread; asking about a folder that is not known yet may take 2 s."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        find: Find = find_workspace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._find = find
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Workspace]] = OrderedDict()

    def of(self, folder: str) -> Workspace:
        """Its repository and branch; of a folder elsewhere, only its last two parts. Never raises."""
        now = self._clock()
        known = self._known.get(folder)
        if known is None or now - known[0] > FRESH:
            known = self._known[folder] = (now, self._ask(folder))
        self._known.move_to_end(folder)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return known[1]

    def _ask(self, folder: str) -> Workspace:
        place = Path(folder)
        try:
            here = place.is_absolute() and place.is_dir()
        except (OSError, ValueError):
            here = False
        return self._find(place, self._environ) if here else Workspace(name_of(folder), None)


def name_of(folder: str) -> str:
    """owner/name as the path of a folder on any system has it; "unknown" without one."""
    # Windows' rules read both kinds of slashes.
    path = PureWindowsPath(folder)
    parts = [part for part in path.parts if part != path.anchor]
    return "/".join(parts[-2:]) or UNKNOWN
