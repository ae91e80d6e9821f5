"""The addons: how they are, their settings, on and off."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, JsonValue

from codemie_core.admin import plugins as service
from codemie_core.admin import settings
from codemie_core.admin.guard import By
from codemie_core.admin.plane import Plane
from codemie_core.admin.plugins import Plugin, PluginHealth, Plugins, PluginsStatus
from codemie_core.admin.routes.questions import Responses
from codemie_core.admin.setting_views import PluginSettings

_NONE: Responses = {404: {"description": "There is no addon of this name."}}
_PINNED: Responses = {409: {"description": "Something stands above it, or it cannot change while the proxy runs."}}
_REFUSED: Responses = {400: {"description": "A value cannot be used; nothing has changed."}}
_CHANGE = """\
Values by key, as GET shows them; null gives a setting back to the files and its default. All of it counts at once, or
nothing, and it stays so after a restart: above codemie.yaml, below the environment and --set."""


class Switch(BaseModel):
    """On or off."""

    model_config = ConfigDict(extra="forbid", strict=True)

    enabled: bool


def router(plane: Plane) -> APIRouter:
    """The paths. "codemie" is the name of the bundle as a whole."""
    routes = APIRouter(prefix="/plugins", tags=["plugins"])

    @routes.get("", summary="The addons, in the order in which they see a request")
    async def plugins() -> Plugins:
        return await service.plugins(plane)

    @routes.get("/status", summary="How they fit together")
    async def plugins_status() -> PluginsStatus:
        return await service.plugins_status(plane)

    @routes.get("/{name}/health", summary="How one addon is", responses=_NONE)
    async def plugin_health(name: str) -> PluginHealth:
        return await service.plugin_health(plane, name)

    @routes.patch(
        "/{name}",
        summary="Switch an addon on or off",
        responses={**_NONE, **_PINNED, 503: {"description": "No database."}},
    )
    async def switch_plugin(name: str, body: Switch, who: By) -> Plugin:
        await settings.switch_plugin(plane, name, body.enabled, who)
        return await service.plugin(plane, name)

    @routes.get("/{name}/settings", summary="Its settings: schema, values, where they come from", responses=_NONE)
    async def plugin_settings(name: str) -> PluginSettings:
        return await settings.plugin_settings(plane, name)

    @routes.patch(
        "/{name}/settings",
        summary="Change its settings",
        description=_CHANGE,
        responses={
            **_NONE,
            **_PINNED,
            **_REFUSED,
            503: {"description": "It could not be stored: nothing has changed."},
        },
    )
    async def change_settings(name: str, body: Annotated[dict[str, JsonValue], Body()], who: By) -> PluginSettings:
        return await settings.change_settings(plane, name, body, who)

    return routes
