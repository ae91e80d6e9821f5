import json
import re
from enum import StrEnum
from typing import Any, Literal

import pytest
from pydantic import Field

from codemie_core.addon import AddonSettings
from codemie_core.cli.declared import Declarations
from codemie_core.durations import Duration
from codemie_core.schema import DIALECT, config_schema


class Bundle(AddonSettings):
    config: str = Field("", description="This file.")
    hosts: tuple[str, ...] = Field(("a.example",), description="Hosts.")


class Shade(StrEnum):
    DARK = "dark"


class Settings(AddonSettings):
    """For those who read the code."""

    wait: Duration = Field(0.25, description="A wait.")
    way: Literal["in", "out"] = Field("in", description="A way.")
    shade: Shade = Field(Shade.DARK, description="A shade.")


SCHEMA = config_schema({"": Bundle, "one_addon": Settings, "other_addon": Settings})


def resolve(reference: str) -> Any:
    found: Any = SCHEMA
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_schema_is_json_of_a_known_dialect() -> None:
    assert json.loads(json.dumps(SCHEMA))["$schema"] == DIALECT


def test_bundle_settings_are_top_level_keys_and_addons_are_sections() -> None:
    assert SCHEMA["properties"].keys() == {"hosts", "one_addon", "other_addon"}
    assert SCHEMA["properties"]["hosts"]["type"] == "array"
    section = SCHEMA["properties"]["one_addon"]
    assert section["properties"]["way"]["enum"] == ["in", "out"]
    assert "description" not in section


def test_unknown_keys_are_refused_everywhere() -> None:
    assert SCHEMA["additionalProperties"] is False
    assert SCHEMA["properties"]["one_addon"]["additionalProperties"] is False


def test_durations_are_text_with_a_pattern_and_a_readable_default() -> None:
    wait = SCHEMA["properties"]["one_addon"]["properties"]["wait"]
    assert wait["type"] == "string"
    assert wait["default"] == "250ms"
    assert re.match(wait["pattern"], "250ms")


def test_references_lead_to_their_own_sections_definitions() -> None:
    for section in ("one_addon", "other_addon"):
        shade = SCHEMA["properties"][section]["properties"]["shade"]
        assert shade["$ref"] == f"#/properties/{section}/$defs/Shade"
        assert resolve(shade["$ref"])["type"] == "string"


@pytest.mark.parametrize("setting", list(Declarations.of_bundle().settings()), ids=lambda setting: setting.key)
def test_every_setting_of_the_bundle_is_in_it_with_its_description(setting: Any) -> None:
    properties = config_schema(Declarations.of_bundle().sections)["properties"]
    if setting.section:
        properties = properties[setting.section]["properties"]
    assert (setting.key == "config") is (setting.name not in properties)
    assert setting.key == "config" or properties[setting.name]["description"] == setting.help


def test_every_default_of_the_bundle_fits_its_own_type() -> None:
    schema = config_schema(Declarations.of_bundle().sections)
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list}
    sections = [schema, *(section for section in schema["properties"].values() if section["type"] == "object")]
    checked = 0
    for section in sections:
        for name, written in section["properties"].items():
            if "default" in written and written.get("type") in kinds:
                assert isinstance(written["default"], kinds[written["type"]]), name
                assert re.match(written.get("pattern", ""), str(written["default"])), name
                checked += 1
    assert checked > 20
