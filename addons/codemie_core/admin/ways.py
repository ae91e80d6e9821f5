"""How an agent is sent through this proxy: what to set where it starts, with the address at which it listens now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from codemie_core import live_settings
from codemie_core.admin.plane import Plane
from codemie_core.cli.banner import by_base_url, by_proxy, url_of
from codemie_core.errors import api_of


@dataclass(slots=True)
class Way:
    """`agents` names who is sent so; `lines` are for a shell."""

    agents: str
    lines: list[str] = field(default_factory=list)


def ways_in(plane: Plane) -> list[Way]:
    """For the agents that what it stands before can answer; none while it listens nowhere."""
    addresses = list(plane.core.listening())
    if not addresses:
        return []
    url = url_of(*addresses[0])
    targets = [
        mode.removeprefix("reverse:") for mode in live_settings.value_of("mode") or [] if mode.startswith("reverse:")
    ]
    if targets:
        return told(by_base_url(url, {api_of("", host=urlsplit(target).hostname or "") for target in targets}))
    return told(by_proxy(url, Path(live_settings.value_of("confdir")).expanduser()))


def first_way(plane: Plane) -> str:
    """The one most people want, as one line for a shell; "" where there is none."""
    return next((line for way in ways_in(plane) for line in way.lines), "")


def told(lines: Iterable[str]) -> list[Way]:
    """Out of the words of the terminal: a line with whom it is for, and those below it that go further in."""
    ways: list[Way] = []
    for line in lines:
        if line.startswith("    "):
            ways[-1].lines.append(line[4:])
        else:
            ways.append(Way(line.strip()))
    return ways
