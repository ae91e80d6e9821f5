"""Every setting of the bundle, where its value comes from, and what is wrong with it. Nothing is started for it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel

from codemie_core import options
from codemie_core.addon import Addon
from codemie_core.bundle_settings import BundleSettings
from codemie_core.errors import SettingsError
from codemie_core.loading import left_out
from codemie_core.options import Layers, Resolved, Setting
from codemie_core.sources import did_you_mean, is_addon_name, unknown_keys


@dataclass(frozen=True, slots=True)
class Declarations:
    """The settings of the bundle as a whole and of each addon, in the order of codemie.py."""

    addons: tuple[Addon, ...]

    @classmethod
    def of_bundle(cls) -> Declarations:
        """Those of the bundle beside us, found as loading finds it: by its top-level name."""
        return cls(tuple(importlib.import_module("codemie").addons))

    @property
    def sections(self) -> Mapping[str, type[BaseModel]]:
        """The models by section; the bundle's own under the empty name."""
        return {"": BundleSettings, **{addon.name: addon.Settings for addon in self.addons}}

    def settings(self) -> Iterator[Setting]:
        """All of them."""
        for section, model in self.sections.items():
            yield from options.settings_of(section, model)

    def resolve(self, layers: Layers) -> list[Resolved]:
        """Every setting with the value it would have at a start now, `--set` aside."""
        quiet = replace(layers, problems=[])
        return [setting.resolve(quiet) for setting in self.settings()]

    def problems(self, layers: Layers) -> list[str]:
        """One line for everything that would stop a start."""
        found = [*layers.problems, *(f"{left.name} cannot be loaded: {left.error}" for left in left_out)]
        found += unknown_keys(layers, {}, self.addons, BundleSettings)
        own = replace(layers, problems=found)
        for setting in self.settings():
            setting.resolve(own)
        return [*found, *self._across(layers)]

    def _across(self, layers: Layers) -> Iterator[str]:
        """What can only be seen with all values of a section together."""
        values = SimpleNamespace(**{found.setting.option: found.value for found in self.resolve(layers)})
        for section, model in self.sections.items():
            try:
                options.read(values, section, model)
            except SettingsError as problem:
                yield str(problem)
        known = [name for name in self.sections if name]
        for option in ("codemie_enabled", "codemie_disabled"):
            for name in getattr(values, option):
                if name not in known and not is_addon_name(name):
                    yield str(SettingsError(f"{option}: there is no addon {name!r}{did_you_mean(name, known)}"))
        yield from _beyond_models(values, layers.environ)


def _beyond_models(values: Any, environ: Mapping[str, str]) -> Iterator[str]:
    """What only an addon looks at when it takes its settings: files, libraries, variables of others."""
    from codemie_core.telemetry.endpoint import endpoint_for, require_exporter
    from codemie_core.upstream_trust import authorities

    ca_file, endpoint, otlp = (
        f"codemie_{name}" for name in ("upstream_attempts_ca_file", "telemetry_endpoint", "telemetry_otlp")
    )
    try:
        if named := getattr(values, ca_file, ""):
            authorities(Path(named), ca_file)
    except SettingsError as problem:
        yield str(problem)
    try:
        if getattr(values, otlp, False):
            require_exporter(otlp)
            endpoint_for("traces", getattr(values, endpoint), endpoint, environ)
            endpoint_for("metrics", getattr(values, endpoint), endpoint, environ)
    except SettingsError as problem:
        yield str(problem)
