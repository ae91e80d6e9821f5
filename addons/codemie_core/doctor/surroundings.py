"""What the checks look at: this home, this shell, this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemie_core.daemon.order import DEFAULT_PORT
from codemie_core.daemon.state import DaemonState, read_state
from codemie_core.places import Places
from codemie_core.running import RunningProxy, running_proxies

if TYPE_CHECKING:
    from codemie_core.options import Layers


@dataclass(frozen=True)
class Surroundings:
    """Everything that differs between two machines, or between two tests."""

    places: Places
    environ: Mapping[str, str]
    home: Path
    """The user's."""
    folder: Path | None = None
    """The working folder."""
    target: str = ""
    """Asked for by name; else what is configured counts."""
    offline: bool = False
    port: int = DEFAULT_PORT
    now: Callable[[], float] = field(default=time.time)

    @cached_property
    def layers(self) -> Layers:
        """Settings file, profile and what the admin API changed; with the problems of reading them."""
        from codemie_core.sources import read_layers

        return read_layers(self.places, self.environ, {})

    @cached_property
    def running(self) -> tuple[RunningProxy, ...]:
        """The proxies of this home."""
        return tuple(running_proxies(self.places))

    @cached_property
    def daemon(self) -> DaemonState | None:
        """The daemon of this home, running or not."""
        return read_state(self.places)

    def setting(self, section: str, key: str) -> str:
        """A text setting of an addon, which needs not be loaded for it; "" when nobody set it."""
        if text := self.environ.get(f"CODEMIE_{section}_{key}".upper()):
            return text
        values = self.layers.file.get(section)
        value: Any = values.get(key) if isinstance(values, Mapping) else None
        return value if isinstance(value, str) else ""
