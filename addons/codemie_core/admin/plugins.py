"""The addons of the bundle, as they truly are: at work, switched off, in trouble, or failed with the error."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from codemie_core import loading
from codemie_core.addon import Addon, State, note
from codemie_core.admin.plane import Plane
from codemie_core.admin.settings import no_plugin
from codemie_core.redact import redact_text

type Verdict = Literal["healthy", "unhealthy", "unknown"]
type Check = Literal["pass", "warn", "fail"]

_VERDICTS: Mapping[State, tuple[Verdict, Check]] = {
    State.ACTIVE: ("healthy", "pass"),
    State.DEGRADED: ("healthy", "warn"),
    State.DISABLED: ("unknown", "warn"),
    State.FAILED: ("unhealthy", "fail"),
}
_SIGN_IN = frozenset({"sso_auth", "proxy_access", "account_rotation"})


class Plain(BaseModel):
    """The base: names as they are."""

    model_config = ConfigDict(frozen=True)


class Plugin(Plain):
    """One addon."""

    name: str
    type: Literal["system", "auth_provider"]
    status: State
    version: str | None
    summary: str = Field(description="What it does, in a sentence or two.")
    priority: int | None = Field(description="The lower, the earlier it sees a request.")
    fail: Literal["open", "closed"] = Field(description="What becomes of a request when it fails: goes on, or ends.")
    enabled: bool
    switchable: bool = Field(description="Can it be switched while the proxy runs?")
    settings: int = Field(description="How many it has: GET /plugins/{name}/settings.")
    error: str | None = Field(description="The newest mishap, without secrets.")
    mishaps: dict[str, int] = Field(description="How often each of its hooks raised.")
    details: dict[str, object] = Field(description="What it says of itself.")


class Plugins(Plain):
    """All of them, in the order in which they see a request."""

    plugins: list[Plugin]
    total: int


class PluginStatus(Plain):
    """How it fits in with the others."""

    name: str
    version: str | None
    type: str
    provides: list[str]
    requires: list[str]
    optional_requires: list[str]
    initialized: bool


class PluginsStatus(Plain):
    """All of them."""

    initialization_order: list[str]
    services: dict[str, str] = Field(description="Who provides what.")
    plugins: list[PluginStatus]


class HealthCheck(Plain):
    """As health checks of APIs are written."""

    status: Check
    output: str
    version: str | None
    details: dict[str, object]


class PluginHealthDetails(Plain):
    """What was looked at."""

    type: str
    active: bool
    health_check: HealthCheck


class PluginHealth(Plain):
    """How one addon is."""

    plugin: str
    status: Verdict
    adapter_loaded: bool
    details: PluginHealthDetails


async def plugins(plane: Plane) -> Plugins:
    """Those that are loaded, then those that could not be."""
    found = [plugin_of(addon) for addon in plane.core.addons_in_order]
    known = {plugin.name for plugin in found}
    found += [_left_out(left) for left in loading.left_out if left.name not in known]
    return Plugins(plugins=found, total=len(found))


async def plugin(plane: Plane, name: str) -> Plugin:
    """One of them. NotFound when there is none of this name."""
    for found in (await plugins(plane)).plugins:
        if found.name == name:
            return found
    raise no_plugin(plane, name)


async def plugins_status(plane: Plane) -> PluginsStatus:
    """In which order they were loaded, and who needs whom."""
    addons = plane.core.addons_in_order
    listed = (await plugins(plane)).plugins
    requires = {addon.name: list(addon.requires) for addon in addons}
    started = {addon.name: addon.status.at_work for addon in addons}
    return PluginsStatus(
        initialization_order=[addon.name for addon in addons],
        services={each: each for needed in requires.values() for each in needed},
        plugins=[
            PluginStatus(
                name=each.name,
                version=each.version,
                type=each.type,
                provides=[each.name],
                requires=requires.get(each.name, []),
                optional_requires=[],
                initialized=started.get(each.name, False),
            )
            for each in listed
        ],
    )


async def plugin_health(plane: Plane, name: str) -> PluginHealth:
    """NotFound when there is none of this name."""
    found = await plugin(plane, name)
    verdict, check = _VERDICTS[found.status]
    mishaps = sum(found.mishaps.values())
    words = {
        State.ACTIVE: "at work",
        State.DISABLED: "switched off: PATCH /plugins/" + name + ' {"enabled": true}',
        State.DEGRADED: f"{mishaps} mishaps since the start, the newest: {found.error}",
        State.FAILED: f"failed: {found.error}",
    }
    return PluginHealth(
        plugin=name,
        status=verdict,
        adapter_loaded=found.version is not None,
        details=PluginHealthDetails(
            type=found.type,
            active=found.status in (State.ACTIVE, State.DEGRADED),
            health_check=HealthCheck(
                status=check, output=words[found.status], version=found.version, details=found.details
            ),
        ),
    )


def plugin_of(addon: Addon) -> Plugin:
    """As it is."""
    status = addon.status
    details = _details(addon)
    return Plugin(
        name=addon.name,
        type=_type(addon.name),
        status=status.state,
        version=addon.version,
        summary=_summary(addon),
        priority=addon.priority,
        fail=addon.fail,
        enabled=status.enabled,
        switchable=addon.switchable,
        settings=len(addon.Settings.model_fields),
        error=redact_text(status.error) if status.error else None,
        mishaps=dict(status.mishaps),
        details=details,
    )


def _details(addon: Addon) -> dict[str, object]:
    """What it says of itself; one that raises here is noted like any other mishap."""
    if not addon.status.at_work:
        return {}
    try:
        return dict(addon.health())
    except Exception as error:  # Whatever an addon raises: the others are to be seen all the same.
        note(addon, "health", error)
        return {}


def _left_out(left: loading.LeftOut) -> Plugin:
    return Plugin(
        name=left.name,
        type=_type(left.name),
        status=State.FAILED,
        version=None,
        summary="It could not be loaded.",
        priority=None,
        fail="open",
        enabled=True,
        switchable=False,
        settings=0,
        error=redact_text(left.error),
        mishaps={},
        details={},
    )


def _type(name: str) -> Literal["system", "auth_provider"]:
    return "auth_provider" if name in _SIGN_IN else "system"


def _summary(addon: Addon) -> str:
    text = getattr(sys.modules.get(type(addon).__module__), "__doc__", None) or type(addon).__doc__ or ""
    return text.strip().partition("\n\n")[0].replace("\n", " ")
