"""Reading `codemie-cli.config.json`: which profile is meant, what the working folder's file changes, what a value is.

The file holds named profiles (version 2) or, from older tools, one flat object. Newer tools keep URL, project and
integration beside the profiles, under `workspace`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codemie_core.errors import SettingsError
from codemie_core.settings import nearest, read_text
from codemie_core.urls import is_plain_url

LEGACY_NAME = "default"
FILE_NAME = "codemie-cli.config.json"

# All that a folder's file says about a profile of another name.
_CONTEXT = ("codeMieProject", "codeMieIntegration", "codeMieUrl")


@dataclass(frozen=True, slots=True)
class Layer:
    """Typed reading of one source; `where` opens each error message. Values never appear in errors."""

    values: Mapping[str, Any]
    where: str
    spelled: Mapping[str, str] = field(default_factory=dict)
    """Key -> what the person who has to mend it calls it."""

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise SettingsError(f"{self._place(key)} must be text; put it in quotes")
        return value.strip()

    def url(self, key: str) -> str:
        text = self.text(key)
        if text and not is_plain_url(text):
            raise SettingsError(f"{self._place(key)} must be like https://host/path, without user, password, ? and #")
        return text.rstrip("/")

    def milliseconds(self, key: str) -> int | None:
        """It holds seconds: CodeMie's code decides, its documents say milliseconds."""
        value = self.values[key]
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            raise SettingsError(f"{self._place(key)} must be a number of seconds, like 300; 0 means no timeout")
        return max(round(seconds * 1000), 1) if seconds else None

    def inside(self, key: str) -> Layer:
        value = self.values.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise SettingsError(f'{self._place(key)} must be an object, like {{"id": "..."}}')
        return Layer(value or {}, f"{self._place(key)}.")

    def _place(self, key: str) -> str:
        return f"{self.where}{self.spelled.get(key, key)}"


@dataclass(frozen=True, slots=True)
class Layered:
    """Several sources, the strongest first. Empty text is unset and hides nothing."""

    layers: tuple[Layer, ...]

    def text(self, key: str) -> str:
        return next((text for layer in self.layers if (text := layer.text(key))), "")

    def url(self, key: str) -> str:
        return next((url for layer in self.layers if (url := layer.url(key))), "")

    def milliseconds(self, key: str) -> int | None:
        layer = next((layer for layer in self.layers if layer.values.get(key) is not None), None)
        return layer.milliseconds(key) if layer else None

    def inside(self, key: str) -> Layered:
        return Layered(tuple(layer.inside(key) for layer in self.layers))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A profile's name and the layers it is made of, the strongest first."""

    name: str
    project: tuple[Layer, ...]
    """From the working folder's file."""
    own: tuple[Layer, ...]
    """From the global file, which only the user writes."""
    project_file: str


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    content: Mapping[str, Any]

    @property
    def profiles(self) -> Mapping[str, Any]:
        """The named profiles; empty when this is a flat object."""
        found = self.content.get("profiles")
        return found if self.content.get("version") == 2 and isinstance(found, dict) else {}

    @property
    def active(self) -> Any:
        return self.content.get("activeProfile") if self.profiles else None

    def profile(self, name: str) -> Layer:
        values = self.profiles[name]
        if not isinstance(values, dict):
            raise SettingsError(f"{self.path}: the profile {name!r} must be a JSON object")
        return Layer(values, f"{self.path}, profile {name!r}: ")

    def flat(self) -> Layer:
        return Layer(self.content, f"{self.path}, profile {LEGACY_NAME!r}: ")

    def workspace(self) -> Layer:
        values = Layer(self.content, f"{self.path}: ").inside("workspace").values if self.profiles else {}
        return Layer(_only_context(values), f"{self.path}, workspace: ")


def choose(global_path: Path, folder: Path | None, name: str | None, asked: str = "") -> Chosen:
    """The profile called `name`, else the active one, of the working folder's file before the global one.

    `asked` is who asked for the name, when nobody did so now; then the global file need not be there.
    """
    project = _read_project(global_path, folder)
    where = f"{global_path}: {asked}"
    must_exist = bool(name) and not asked
    if not name and project.active:
        name, where = project.active, f"{project.path}: activeProfile: "
    only_here = isinstance(name, str) and name in project.profiles
    if must_exist and not only_here and not global_path.exists():
        raise SettingsError(f"there is no profile {name!r}: {global_path} does not exist; 'codemie setup' writes it")
    own = _File(global_path, _read(global_path, required=False))
    chosen, layer = _own_profile(own, name, where, only_here)
    own_layers = (layer, own.workspace())
    project_layers = _project_layers(project, name, own_layers)
    return Chosen(chosen, project_layers, own_layers, str(project.path) if project_layers else "")


def _own_profile(file: _File, name: str | None, where: str, only_in_project: bool) -> tuple[str, Layer]:
    wanted = name or file.active
    if wanted and isinstance(wanted, str) and wanted in file.profiles:
        return wanted, file.profile(wanted)
    if name and only_in_project:
        return name, Layer({}, "")
    if not wanted or (not file.profiles and wanted == LEGACY_NAME):
        return LEGACY_NAME, file.flat()
    place = where if name else f"{file.path}: activeProfile: "
    known = file.profiles or [LEGACY_NAME]
    found = nearest(str(wanted), known)
    hint = f"; did you mean {found!r}?" if found else f"; there are: {', '.join(sorted(known))}"
    raise SettingsError(f"{place}there is no profile {wanted!r}{hint}")


def _project_layers(project: _File, name: str | None, own: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """What the folder's file adds to the profile: all of the same profile, of another one its context only."""
    if not project.content:
        return ()
    if not project.profiles:
        return (project.flat(),) if name in (None, LEGACY_NAME) else ()
    found = [layer for layer in (project.workspace(),) if layer.values and _same_server(layer, own)]
    if name in project.profiles:
        return (project.profile(str(name)), *found)
    other = _team_profile(project)
    if other is None:
        return tuple(found)
    context = Layer(_only_context(other.values), other.where)
    has_own = any(layer.values.get(key) for layer in own for key in ("codeMieProject", "codeMieIntegration"))
    return tuple(found) if has_own or not _same_server(context, own) else (context, *found)


def _team_profile(project: _File) -> Layer | None:
    if isinstance(project.active, str) and project.active in project.profiles:
        return project.profile(project.active)
    names = list(project.profiles)
    return project.profile(names[0]) if len(names) == 1 else None


def _same_server(layer: Layer, own: tuple[Layer, ...]) -> bool:
    """Do both name the same CodeMie, or one of them none?"""
    theirs, ours = layer.url("codeMieUrl").lower(), Layered(own).url("codeMieUrl").lower()
    return not theirs or not ours or theirs == ours


def _only_context(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in _CONTEXT if values.get(key)}


def _read_project(global_path: Path, folder: Path | None) -> _File:
    if folder is None:
        return _File(Path(), {})
    path = folder / ".codemie" / FILE_NAME
    try:
        if path.resolve() == global_path.resolve():
            return _File(path, {})
        return _File(path, _read(path, required=False, fix="mend or remove it"))
    except (SettingsError, OSError) as error:
        raise SettingsError(f"{error}; or start in another folder") from None


def _read(
    path: Path, required: bool, fix: str = "mend it, or run 'codemie setup' to write it anew"
) -> Mapping[str, Any]:
    text = read_text(path, required)
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SettingsError(f"{path}, {place}: this is not JSON ({error.msg}); {fix}") from None
    except (ValueError, RecursionError):
        # A number of thousands of digits, or brackets nested thousands deep.
        raise SettingsError(f"{path}: this JSON is too deep or its numbers too long; {fix}") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{path}: the file must hold one JSON object; {fix}")
    return found
