"""Plugins: what the proxy is made of, in the order in which a request meets it; on, off, and the settings of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from codemie_core.admin.pages.layout import (
    View,
    acting,
    badge,
    box,
    button,
    empty,
    heading,
    panel,
    refreshing,
    say,
    text,
)
from codemie_core.admin.pages.setting_form import SettingForm
from codemie_core.admin.plugins import Plugin, plugins
from codemie_core.admin.setting_views import BUNDLE
from codemie_core.admin.settings import switch_plugin

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

REFRESH = 5.0
MOODS = {"active": "good", "degraded": "warn", "failed": "bad", "disabled": ""}
WHO = "dashboard"


class Row:
    """One plugin in the list."""

    def __init__(self, plane: Plane, plugin: Plugin) -> None:
        self._plane, self._plugin = plane, plugin
        with box("cm-plugin", "li"):
            text("" if plugin.priority is None else plugin.priority, "cm-plugin-place").props('aria-hidden="true"')
            with box("cm-plugin-what"):
                with box("cm-row"):
                    link = text(plugin.name, "cm-plugin-name", "a")
                    link.props["href"] = f"/addons/{plugin.name}"
                    self._state = badge(plugin.status, MOODS.get(plugin.status, ""))
                    text(f"fails {plugin.fail}", "cm-tag cm-wide", "span").props["title"] = FAILS[plugin.fail]
                text(_summary(plugin), "cm-muted")
                self._trouble = text("", "cm-plugin-trouble cm-mono")
            if plugin.settings:
                more = text("Settings", "cm-button small cm-wide", "a")
                more.props["href"] = f"/addons/{plugin.name}"
                more.props["aria-label"] = f"Settings of {plugin.name}"
            else:
                box("cm-wide")
            self._switch = ui.switch(value=plugin.enabled, on_change=self._switched).props("dense")
            self._switch.props["aria-label"] = f"{plugin.name} on or off"
            if not plugin.switchable:
                self._switch.disable()
                self._switch.props["title"] = "Cannot be switched while the proxy runs"
        self.show(plugin)

    def show(self, plugin: Plugin) -> None:
        """As it is now."""
        self._plugin = plugin
        say(self._state, plugin.status)
        self._state.classes(replace=f"cm-badge {MOODS.get(plugin.status, '')}")
        say(self._trouble, plugin.error or "")
        self._trouble.set_visibility(bool(plugin.error))
        if self._switch.value != plugin.enabled:
            self._switch.set_value(plugin.enabled)

    async def _switched(self) -> None:
        wanted = bool(self._switch.value)
        if wanted == self._plugin.enabled:
            return
        if not wanted and self._plugin.fail == "closed" and not await _sure(self._plugin):
            self._switch.set_value(True)
            return
        done = f"{self._plugin.name} is {'on' if wanted else 'off'}, now and after a restart"
        if await acting(switch_plugin(self._plane, self._plugin.name, wanted, WHO), done):
            for found in (await plugins(self._plane)).plugins:
                if found.name == self._plugin.name:
                    self.show(found)
        else:
            self._switch.set_value(self._plugin.enabled)


FAILS = {
    "open": "When it fails the request goes on without it",
    "closed": "When it fails the request is answered with an error: without it nothing may pass",
}


async def _sure(plugin: Plugin) -> bool:
    with ui.dialog() as dialog, box("cm-dialog"):
        text(f"Switch {plugin.name} off?", tag="h2")
        text(f"{_summary(plugin)} Without it requests go on unprotected by what it does.", "cm-muted")
        with box("cm-dialog-foot"):
            button("Leave it on", lambda: dialog.submit(False))
            button("Switch off", lambda: dialog.submit(True), "danger")
    sure = bool(await dialog)
    dialog.delete()
    return sure


class PluginList:
    """All of them."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._rows: dict[str, Row] = {}

    def build(self) -> None:
        """Lay it out."""
        with heading("Plugins"):
            self._counts = box("cm-row")
            link = text("Settings of the whole proxy", "cm-button", "a")
            link.props["href"] = f"/addons/{BUNDLE}"
        with panel(classes="cm-flush"):
            self._list = box("cm-plugins", "ol").props(
                'aria-label="Plugins, in the order in which a request meets them"'
            )

    async def show(self) -> None:
        """As they are now."""
        found = (await plugins(self._plane)).plugins
        if [plugin.name for plugin in found] != list(self._rows):
            self._list.clear()
            with self._list:
                self._rows = {plugin.name: Row(self._plane, plugin) for plugin in found}
        else:
            for plugin in found:
                self._rows[plugin.name].show(plugin)
        states = [str(plugin.status) for plugin in found]
        self._counts.clear()
        with self._counts:
            for state, mood in MOODS.items():
                if state in states:
                    badge(f"{states.count(state)} {state}", mood)


async def build(plane: Plane) -> None:
    """The list."""
    page = PluginList(plane)
    page.build()
    await refreshing(REFRESH, page.show)


async def build_one(plane: Plane, name: str) -> None:
    """One plugin and its settings."""
    place, shown = box("cm-stack cm-wholly"), False

    async def show() -> None:
        nonlocal shown
        if not shown:
            shown = True
            with place:
                await _whole(plane, name)

    await refreshing(3600.0, show)


async def _whole(plane: Plane, name: str) -> None:
    found = {plugin.name: plugin for plugin in (await plugins(plane)).plugins}
    plugin = found.get(name)
    if plugin is None and name != BUNDLE:
        with heading("Plugins"):
            pass
        with panel():
            empty("There is no such plugin", f"Nothing here is called {name[:80]!r}. The list shows all there are.")
            with box("cm-row cm-center"):
                text("All plugins", "cm-button", "a").props["href"] = "/addons"
        return
    with heading(name if plugin else "Settings of the whole proxy"):
        if plugin:
            badge(plugin.status, MOODS.get(plugin.status, ""))
        text("All plugins", "cm-button", "a").props["href"] = "/addons"
    if plugin:
        _about(plugin)
    if plugin is None or plugin.version is not None:
        await acting(SettingForm(plane, name).build())


def _about(plugin: Plugin) -> None:
    with box("cm-grid"):
        details = {name: value for name, value in plugin.details.items() if value is not None}
        with panel("What it does", classes="cm-span-7" if details or plugin.mishaps else ""):
            text(_summary(plugin))
            with box("cm-pairs"):
                text("Place")
                place = f"{plugin.priority}: those with less see a request before it"
                text("not loaded" if plugin.priority is None else place)
                text("When it fails")
                text(FAILS[plugin.fail])
                if plugin.version:
                    text("Version")
                    text(plugin.version)
            if plugin.error:
                text(plugin.error, "cm-banner bad cm-mono")
        if not details and not plugin.mishaps:
            return
        with panel("Now", classes="cm-span-5"), box("cm-pairs"):
            for label, value in details.items():
                text(label.replace("_", " "))
                text(_plain(value))
            for hook, times in plugin.mishaps.items():
                text(f"failed in {hook}")
                text(f"{times} times" if times > 1 else "once")


def _summary(plugin: Plugin) -> str:
    """Without the marks of code."""
    return plugin.summary.replace("`", "")


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


VIEWS = (
    View("/addons", "plugins", "Plugins", build),
    View("/addons/{name}", "plugins", "Plugin", build_one),
)
