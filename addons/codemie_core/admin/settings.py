"""Settings, looked at and changed while the proxy runs. What is changed stays so: it counts at the next start, too.

A change goes through mitmproxy's options, so addons see it and may refuse it; refused, or not to be stored, nothing of
it remains. What the environment or --set say stands above, and is not changed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from codemie_core import live_settings, options
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import AdminProblem, BadQuestion, Conflict, NotFound, Unavailable
from codemie_core.admin.setting_views import BUNDLE, MASK, PluginSettings, kind_of, pinned_by, view, without
from codemie_core.bundle_settings import BundleSettings
from codemie_core.errors import SettingsError
from codemie_core.options import Setting
from codemie_core.redact import redact_text
from codemie_core.redact_shapes import REDACTED
from codemie_core.schema import config_schema
from codemie_core.settings import nearest
from codemie_core.store import audit
from codemie_core.store.settings import load_settings, put_setting
from codemie_core.store.stored_settings import LIVE

if TYPE_CHECKING:
    from sqlalchemy import Connection

OURSELVES = "admin_server"
LONGEST_TEXT = 10_000
MOST_ITEMS = 1_000
_MEANT: Mapping[str, str] = {
    "text": "a text",
    "number": "a whole number",
    "switch": "true or false",
    "list": "a list of texts",
    "choice": "one of the choices",
}


async def plugin_settings(plane: Plane, name: str) -> PluginSettings:
    """Of an addon, or of the bundle as a whole ("codemie"). NotFound when there is none of this name."""
    section, model = section_of(plane, name)
    stored = await _stored(plane)
    shown = [view(setting, plane.core, stored) for setting in options.settings_of(section, model)]
    schema = config_schema({section: model})
    return PluginSettings(
        name=name,
        settings=shown,
        values={each.key: each.value for each in shown},
        settings_schema=schema["properties"][section] if section else schema,
    )


async def change_settings(plane: Plane, name: str, changes: Mapping[str, Any], who: str) -> PluginSettings:
    """Change some; None gives one back to the files and its default. All of it counts, or nothing.

    Conflict when something stands above one of them, BadQuestion when a value cannot be used.
    """
    section, model = section_of(plane, name)
    known = {setting.name: setting for setting in options.settings_of(section, model)}
    stored = await _stored(plane)
    wanted: dict[str, Any] = {}
    for key, value in changes.items():
        setting = known.get(key)
        if setting is None:
            raise BadQuestion(_no_such(name, key, known))
        if (pin := pinned_by(setting, plane.core)) is not None:
            raise Conflict(f"{setting.key} is decided by {pin}: what is changed here would not count.", pinnedBy=pin)
        wanted[key] = without(setting, plane.core, stored) if value is None else _as_option(setting, value)
    _check_together(section, model, wanted)
    if section == "":
        _keep_ourselves(plane, wanted)
    live = {known[key].option: value for key, value in wanted.items() if known[key].key not in LIVE}
    before = {option: live_settings.value_of(option) for option in live}
    _set(live)
    kept = {known[key].key: None if changes[key] is None else value for key, value in wanted.items()}
    try:
        await plane.write(lambda connection: _store(connection, plane, kept, who))
    except AdminProblem:
        _set(before)
        raise
    return await plugin_settings(plane, name)


async def switch_plugin(plane: Plane, name: str, on: bool, who: str) -> None:
    """Turn an addon on or off, now and after a restart. Conflict when that cannot be while the proxy runs."""
    addon = plane.addon(name)
    if addon is None:
        raise no_plugin(plane, name)
    if not on:
        needing = [one.name for one in plane.core.addons_in_order if name in one.requires and one.status.enabled]
        if needing:
            raise Conflict(f"{', '.join(needing)} cannot do without {name}: switch that off first.")
    if not addon.switchable and addon.status.enabled != on:
        raise Conflict(f"{name} cannot be switched while the proxy runs: set codemie_disabled and start it again.")
    own = plane.core.settings
    changes: dict[str, Any] = {"disabled": [each for each in own.disabled if each != name] + ([] if on else [name])}
    if on and own.enabled and name not in own.enabled:
        changes["enabled"] = [*own.enabled, name]
    await change_settings(plane, BUNDLE, changes, who)


def section_of(plane: Plane, name: str) -> tuple[str, type[BaseModel]]:
    """Its section in codemie.yaml, and what that may hold."""
    if name == BUNDLE:
        return "", BundleSettings
    addon = plane.addon(name)
    if addon is None:
        raise no_plugin(plane, name)
    return name, addon.Settings


def no_plugin(plane: Plane, name: str) -> NotFound:
    """There is none of this name."""
    known = [addon.name for addon in plane.core.addons_in_order]
    close = nearest(name, known) if len(name) < LONGEST_TEXT else None
    meant = f"did you mean {close}?" if close else "GET /plugins shows all."
    return NotFound(f"There is no addon {name[:80]!r}; {meant}")


def _no_such(name: str, key: str, known: Mapping[str, Setting]) -> str:
    close = nearest(key, known) if len(key) < LONGEST_TEXT else None
    meant = f"; did you mean {close!r}?" if close else f"; there are: {', '.join(known) or 'none'}"
    return f"{name} has no setting {key[:80]!r}{meant}"


def _as_option(setting: Setting, value: Any) -> Any:
    """What JSON says, as the option holds it."""
    kind = kind_of(setting)
    text = isinstance(value, str) and len(value) <= LONGEST_TEXT and "\0" not in value
    fits = {
        "text": text,
        "choice": text,
        "number": isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53,
        "switch": isinstance(value, bool),
        "list": isinstance(value, list)
        and len(value) <= MOST_ITEMS
        and all(isinstance(item, str) and len(item) <= LONGEST_TEXT and "\0" not in item for item in value),
    }[kind]
    if not fits:
        raise BadQuestion(f"{setting.key}: this must be {_MEANT[kind]}.")
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str) and (REDACTED in item or item == MASK):
            raise BadQuestion(f"{setting.key}: this is what stands for a hidden value; write the value itself.")
    return value


def _check_together(section: str, model: type[BaseModel], wanted: Mapping[str, Any]) -> None:
    values = {
        setting.option: wanted[setting.name] if setting.name in wanted else live_settings.value_of(setting.option)
        for setting in options.settings_of(section, model)
    }
    try:
        options.read(SimpleNamespace(**values), section, model)
    except (SettingsError, ValidationError, ValueError, OverflowError) as problem:
        raise BadQuestion(str(problem)) from None


def _keep_ourselves(plane: Plane, wanted: Mapping[str, Any]) -> None:
    enabled = wanted.get("enabled", plane.core.settings.enabled)
    disabled = wanted.get("disabled", plane.core.settings.disabled)
    if OURSELVES in disabled or (enabled and OURSELVES not in enabled):
        raise Conflict(f"{OURSELVES} is what answers here: set CODEMIE_DISABLED={OURSELVES} and start the proxy again.")


def _set(values: Mapping[str, Any]) -> None:
    try:
        live_settings.change(values)
    except SettingsError as problem:
        raise BadQuestion(str(problem)) from None


def _store(connection: Connection, plane: Plane, kept: Mapping[str, Any], who: str) -> None:
    for key, value in kept.items():
        put_setting(connection, key, value, plane.clock)
        said = "given back" if value is None else _short(value)
        audit.record(connection, "", "", "setting", f"{key}: {said}", who, plane.clock)


def _short(value: Any) -> str:
    text = redact_text(", ".join(value) if isinstance(value, list) else str(value))
    return text if len(text) <= 200 else f"{text[:200]}..."


async def _stored(plane: Plane) -> Mapping[str, Any]:
    try:
        return await plane.read(load_settings)
    except Unavailable:
        # Looking at settings needs no database.
        return plane.core.layers.stored
