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


@dataclass(frozen=True, slots=True)
class Register:
    """The proxies of this home."""

    running: tuple[RunningProxy, ...]
    gone: int
    """Entries of killed ones, which have been taken out."""
    odd: tuple[Path, ...]
    """Files that nobody can read."""


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
    def outside(self) -> Mapping[str, str]:
        """The environment without what `run` or `env` has set for an agent: a proxy's way out is another."""
        from codemie_core.launch.nesting import outer_run

        outer = outer_run(self.environ)
        return outer.undone(self.environ) if outer else self.environ

    @cached_property
    def layers(self) -> Layers:
        """Settings file, profile and what the admin API changed; with the problems of reading them."""
        from codemie_core.sources import read_layers

        return read_layers(self.places, self.environ, {})

    @cached_property
    def register(self) -> Register:
        """Who is in it; reading it takes out those who are gone."""
        folder = self.places.run
        before = sorted(folder.glob("*.json")) if folder.is_dir() else []
        running = tuple(running_proxies(self.places))
        known = {one.run_id for one in running}
        gone = [path for path in before if not path.exists()]
        return Register(running, len(gone), tuple(p for p in before if p not in gone and p.stem not in known))

    @property
    def running(self) -> tuple[RunningProxy, ...]:
        """The proxies of this home."""
        return self.register.running

    @cached_property
    def daemon(self) -> DaemonState | None:
        """The daemon of this home, running or not."""
        return read_state(self.places)

    def setting(self, section: str, key: str) -> str:
        """A setting of an addon, a text or a number, which needs not be loaded for it; "" when nobody set it."""
        if text := self.environ.get(f"CODEMIE_{section}_{key}".upper()):
            return text
        values = self.layers.file.get(section)
        value: Any = values.get(key) if isinstance(values, Mapping) else None
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
