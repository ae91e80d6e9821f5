"""JSON Schema of the whole codemie.yaml, for editors and for checks without us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from codemie_core.durations import text_option_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema(sections: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The schema for these sections; the keys of the section "" stand at the top level."""
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for section, model in sections.items():
        schema = _of_model(model, f"#/properties/{section}/$defs" if section else "#/$defs")
        if section:
            # The class is called Settings in every addon, and its docstring is for those who read the code.
            properties[section] = {key: value for key, value in schema.items() if key not in ("title", "description")}
        else:
            # `config` names the file itself and is no key of it.
            properties |= {name: value for name, value in schema["properties"].items() if name != "config"}
            definitions = schema.get("$defs", {})
    found = {
        "$schema": DIALECT,
        "title": "codemie.yaml",
        "description": "Settings of codemie-proxy.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return {**found, "$defs": definitions} if definitions else found


def _of_model(model: type[BaseModel], definitions: str) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=definitions + "/{model}")
    for name, info in model.model_fields.items():
        marker = text_option_of(info)
        written = schema["properties"][name]
        # pydantic gives the default as the number it is in memory, beside the type of the text it is in the file.
        if marker and written.get("default") is not None:
            written["default"] = marker.format(info.get_default(call_default_factory=True))
    return schema
