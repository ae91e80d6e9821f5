"""Where settings come from, read once at start-up, and which of their keys nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from codemie_core.errors import SettingsError
from codemie_core.options import PREFIX, Layers, settings_of
from codemie_core.places import Places
from codemie_core.profile import Profile, load_profile
from codemie_core.settings import load_config_file, nearest
from codemie_core.store.stored_settings import stored_settings

_FEW = 20
"""Names that a line may list."""


class Configurable(Protocol):
    """An addon, as far as its settings go."""

    @property
    def name(self) -> str: ...

    @property
    def Settings(self) -> type[BaseModel]: ...


def read_layers(places: Places, environ: Mapping[str, str], deferred: Mapping[str, Any]) -> Layers:
    """Read codemie.yaml, the CodeMie profile, and what the admin API changed.

    A file that cannot be used is a problem, not an exception.
    """
    problems: list[str] = []
    source, named = _early(deferred, environ, "config")
    path = Path(named).expanduser() if named else places.config
    file: dict[str, Any] = {}
    profile = Profile()
    try:
        file = load_config_file(path, required=bool(named))
    except SettingsError as problem:
        problems.append(f"{source}{problem}")
    source, wanted = _early(deferred, environ, "profile")
    if not wanted and isinstance(file.get("profile"), str):
        source, wanted = f"{path}: profile: ", file["profile"]
    try:
        profile = load_profile(places, environ, wanted or None, _working_folder())
    except SettingsError as problem:
        problems.append(f"{source}{problem}")
    return Layers(environ, file, str(path), profile, problems, stored_settings(places, environ))


def _working_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        # It was removed under us, so it holds no profile either.
        return None


def _early(deferred: Mapping[str, Any], environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """An option that must be known before options exist, from `--set`, else from the environment.

    ("CODEMIE_CONFIG: ", its value), or two empty texts.
    """
    option = f"{PREFIX}{name}"
    value = deferred.get(option)
    value = getattr(value, "val", value)
    if isinstance(value, list):
        value = value[-1] if value else None
    if value:
        return f"{option}: ", str(value)
    text = environ.get(option.upper(), "")
    return (f"{option.upper()}: ", text) if text else ("", "")


def from_mitmproxy_file(deferred: Mapping[str, Any]) -> list[str]:
    """Our options that mitmproxy's config.yaml sets: unlike those of `--set` their values are converted already."""
    return sorted(name for name, value in deferred.items() if name.startswith(PREFIX) and not hasattr(value, "val"))


def unknown_keys(
    layers: Layers, deferred: Mapping[str, Any], addons: Iterable[Configurable], bundle: type[BaseModel]
) -> list[str]:
    """One line for each option and each YAML key that no addon knows, with the nearest one that exists.

    Sections and options of addons of the bundle that are not loaded are right: one file serves all ways to start.
    """
    sections = {"": bundle, **{addon.name: addon.Settings for addon in addons}}
    known = [setting.option for name, model in sections.items() for setting in settings_of(name, model)]
    problems = []
    for option in deferred:
        if option.startswith(PREFIX) and not _of_absent_addon(option.removeprefix(PREFIX), sections):
            problems.append(f"{option}: there is no such option{did_you_mean(option, known)}")
    top = [*(setting.name for setting in settings_of("", bundle)), *(name for name in sections if name)]
    for key, value in layers.file.items():
        if key == "config":
            problems.append(f"{layers.file_name}: a file cannot name another one; use CODEMIE_CONFIG or codemie_config")
        elif key in sections:
            problems.extend(_unknown_in_section(layers.file_name, key, value, sections[key]))
        elif key not in top and not is_addon_name(key):
            problems.append(f"{layers.file_name}: there is no key {key!r}{did_you_mean(key, top)}")
    return problems


def _unknown_in_section(file: str, section: str, value: Any, model: type[BaseModel]) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{file}: {section} must hold keys and values, like {section}: {{key: value}}"]
    known = list(model.model_fields)
    return [f"{file}: {section} has no key {key!r}{did_you_mean(str(key), known)}" for key in value if key not in known]


def did_you_mean(key: str, candidates: Iterable[str]) -> str:
    """`; did you mean ...?`, or what there is."""
    known = list(candidates)
    if found := nearest(key, known):
        return f"; did you mean {found!r}?"
    return f"; there are: {', '.join(known)}" if len(known) <= _FEW else "; `codemie-proxy config show` names them all"


def is_addon_name(name: str) -> bool:
    """Is there an addon of this name beside us, loaded or not? Its file's stem is its only name."""
    return name.isidentifier() and (Path(__file__).parent.parent / f"{name}.py").is_file()


def _of_absent_addon(name: str, loaded: Mapping[str, object]) -> bool:
    words = name.split("_")
    stems = ("_".join(words[:n]) for n in range(1, len(words)))
    return any(stem not in loaded and is_addon_name(stem) for stem in stems)
