"""What a setting is, as a form shows it: its kind, its value and where that comes from, and what holds it fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from codemie_core import live_settings
from codemie_core.core_addon import CoreAddon
from codemie_core.durations import text_option_of
from codemie_core.options import STORED, Layers, Setting
from codemie_core.redact import redact_text
from codemie_core.redact_names import is_secret_name
from codemie_core.store.stored_settings import LIVE

type Kind = Literal["text", "number", "switch", "list", "choice"]

BUNDLE = "codemie"
"""The settings of the bundle as a whole, by this name."""
AT_START = frozenset({"codemie_config", "codemie_profile"})
"""Read before there are options: nothing that changes later changes them."""
MASK = "[hidden]"


class SettingView(BaseModel):
    """One setting of an addon."""

    model_config = ConfigDict(frozen=True)

    key: str
    option: str = Field(description="The name of the mitmproxy option, for --set.")
    variables: list[str] = Field(description="The environment variables that set it.")
    type: Kind
    choices: list[str] | None
    optional: bool = Field(description="May it be unset?")
    help: str
    value: JsonValue = Field(description="In force now.")
    default: JsonValue = Field(description="Built in.")
    source: str = Field(description="Where the value comes from.")
    pinned_by: str | None = Field(description="What would overrule a change; it has to go first.")
    stored: bool = Field(description="Was it changed here, to stay so after a restart?")
    masked: bool = Field(description="It holds a secret, and is not shown.")


class PluginSettings(BaseModel):
    """The settings of an addon."""

    model_config = ConfigDict(frozen=True)

    name: str
    settings: list[SettingView]
    values: dict[str, JsonValue] = Field(description="The values alone, by key.")
    settings_schema: dict[str, Any] = Field(description="JSON Schema of the section in codemie.yaml.")


def view(setting: Setting, core: CoreAddon, stored: Mapping[str, Any]) -> SettingView:
    """With its value in force."""
    value = live_settings.value_of(setting.option)
    if setting.key in LIVE and setting.key in stored:
        value = stored[setting.key]
    default = setting.resolve(Layers({})).value
    masked = _holds_secret(setting, value)
    return SettingView(
        key=setting.name,
        option=setting.option,
        variables=setting.variables,
        type=kind_of(setting),
        choices=None if setting.choices is None else list(setting.choices),
        optional=setting.optional,
        help=setting.help,
        value=MASK if masked else value,
        default=default,
        source=_source(setting, core, stored, value),
        pinned_by=pinned_by(setting, core),
        stored=setting.key in stored,
        masked=masked,
    )


def kind_of(setting: Setting) -> Kind:
    """How a form asks for it."""
    if setting.choices is not None:
        return "choice"
    if text_option_of(setting.info):
        return "text"
    spec = setting.typespec
    kinds = {str: "text", int: "number", bool: "switch", Sequence[str]: "list"}
    plain: Any = next((kind for kind in kinds if spec in (kind, kind | None)), str)
    found: Any = kinds[plain]
    return found  # type: ignore[no-any-return] # one of the words of `kinds`


def pinned_by(setting: Setting, core: CoreAddon) -> str | None:
    """What stands above a change made here."""
    if setting.option in core.layers.given:
        return f"--set {setting.option}"
    for variable in setting.variables:
        if variable in core.layers.environ:
            return f"environment: {variable}"
    if setting.option in AT_START:
        return f"the start: set {setting.option.upper()} and start again"
    return None


def without(setting: Setting, core: CoreAddon, stored: Mapping[str, Any]) -> Any:
    """Its value, as the option holds it, when nothing is stored for it."""
    rest = {key: value for key, value in stored.items() if key != setting.key}
    return setting.resolve(replace(core.layers, stored=rest, problems=[])).value


def _source(setting: Setting, core: CoreAddon, stored: Mapping[str, Any], value: Any) -> str:
    if setting.option in core.layers.given:
        return f"--set {setting.option}"
    if setting.key in LIVE:
        return STORED if setting.key in stored else "as started"
    resolved = setting.resolve(replace(core.layers, stored=stored, problems=[]))
    return resolved.source if resolved.value == value else "changed while it runs"


def _holds_secret(setting: Setting, value: Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    told = [text for text in texts if isinstance(text, str) and text]
    return bool(told) and (is_secret_name(setting.name) or any(redact_text(text) != text for text in told))
