"""A form made of what a plugin declares about its settings: nothing in here knows any of them by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nicegui import ui

from codemie_core.admin.pages.layout import acting, box, button, empty, panel, say, text, toast
from codemie_core.admin.settings import change_settings, plugin_settings

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane
    from codemie_core.admin.setting_views import PluginSettings, SettingView

WHO = "dashboard"
UNSET = "not set"
SET_HERE = "set here"


class Field:
    """One setting: what it is called, what it is for, its control, and where its value comes from."""

    def __init__(self, setting: SettingView, changed: Callable[[], object], give_back: Callable[[str], object]) -> None:
        self.setting = setting
        label, about = f"{setting.key.replace('_', ' ').capitalize()}", f"about-{setting.option}"
        with box("cm-setting") as self._row:
            with box("cm-setting-what"):
                with box("cm-row"):
                    text(label, "cm-strong", "span")
                    text(setting.key, "cm-mono cm-faint cm-wide", "span")
                    self._source = text("", "cm-tag", "span")
                    self._back = button("Reset", lambda: give_back(setting.key), "quiet small cm-setting-back")
                    self._back.props["title"] = "Forget what was set here"
                text(setting.help, "cm-muted").props["id"] = about
                self._held = text("", "cm-faint")
            with box("cm-setting-control"):
                self._control = self._made(setting, changed)
                self._control.props["aria-label"] = label
                self._control.props["aria-describedby"] = about
        self.show(setting)

    @property
    def value(self) -> Any:
        """As the form has it now, in JSON's words."""
        value = self._control.value
        kind = self.setting.type
        if kind == "number":
            return None if value is None else round(value)
        if kind == "list":
            return [line.strip() for line in str(value or "").splitlines() if line.strip()]
        if self.setting.optional and value == "":
            return None
        return value

    @property
    def changed(self) -> bool:
        """Is it another than the one in force?"""
        return self.setting.pinned_by is None and not self.setting.masked and self.value != self.setting.value

    def show(self, setting: SettingView) -> None:
        """The value in force, and whence."""
        self.setting = setting
        self._control.set_value(_in_control(setting))
        pinned = setting.pinned_by
        say(self._source, SET_HERE if setting.stored else setting.source)
        self._source.set_visibility(setting.source != "default")
        self._source.props["title"] = f"{setting.source}; built in: {_words(setting.default)}"
        say(self._held, f"Decided by {pinned}: change it there." if pinned else "It holds a secret and is not shown.")
        self._held.set_visibility(pinned is not None or setting.masked)
        self._back.set_visibility(setting.stored and pinned is None)
        self._control.set_enabled(pinned is None and not setting.masked)
        self.mark()

    def mark(self) -> bool:
        """Show whether it is changed; is it?"""
        self._row.classes(add="changed") if self.changed else self._row.classes(remove="changed")
        return self.changed

    def undo(self) -> None:
        """Back to the value in force."""
        self._control.set_value(_in_control(self.setting))

    def _made(self, setting: SettingView, changed: Callable[[], object]) -> Any:
        value = _in_control(setting)
        match setting.type:
            case "switch":
                return ui.switch(value=value, on_change=changed)
            case "choice":
                return ui.select(list(setting.choices or []), value=value, on_change=changed).props("dense outlined")
            case "number":
                return ui.number(value=value, on_change=changed).props("dense outlined")
            case "list":
                control = ui.textarea(value=value, on_change=changed, placeholder="One each line")
                return control.props("dense outlined autogrow")
        return ui.input(value=value, on_change=changed, placeholder=UNSET).props("dense outlined")


class SettingForm:
    """The settings of one plugin, changed together."""

    def __init__(self, plane: Plane, name: str) -> None:
        self._plane, self._name = plane, name
        self._fields: dict[str, Field] = {}

    async def build(self) -> None:
        """Lay it out, with the values in force."""
        found = await plugin_settings(self._plane, self._name)
        with panel("Settings", classes="cm-flush cm-settings"):
            if not found.settings:
                empty("Nothing to set", "It works the same for everybody.")
                return
            for setting in found.settings:
                self._fields[setting.key] = Field(setting, self._noted, self._give_back)
            with box("cm-setting-foot").props('role="region" aria-label="Changes"') as self._foot:
                self._said = text("", "cm-muted").props('role="status"')
                box("cm-grow")
                button("Undo", self._undone)
                button("Save", self._saved, "primary")
        self._noted()

    def _noted(self) -> None:
        count = sum(field.mark() for field in self._fields.values())
        self._foot.set_visibility(count > 0)
        say(self._said, "1 change, not saved yet" if count == 1 else f"{count} changes, not saved yet")

    def _undone(self) -> None:
        for field in self._fields.values():
            field.undo()

    async def _saved(self) -> None:
        changes = {key: field.value for key, field in self._fields.items() if field.changed}
        if changes:
            await self._change(changes, "Saved. It counts from now on, and after a restart")

    async def _give_back(self, key: str) -> None:
        await self._change({key: None}, f"{key} is as it was without what was set here")

    async def _change(self, changes: dict[str, Any], done: str) -> None:
        found: list[PluginSettings] = []

        async def change() -> None:
            found.append(await change_settings(self._plane, self._name, changes, WHO))

        if await acting(change()):
            for setting in found[0].settings:
                if setting.key in changes or not self._fields[setting.key].changed:
                    self._fields[setting.key].show(setting)
            self._noted()
            toast(done, "good")


def _in_control(setting: SettingView) -> Any:
    value = setting.value
    if setting.type == "list":
        return "\n".join(str(item) for item in value) if isinstance(value, list) else ""
    if setting.type == "text":
        return "" if value is None else str(value)
    return value


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    if isinstance(value, bool):
        return "on" if value else "off"
    return UNSET if value is None else str(value) or "nothing"
