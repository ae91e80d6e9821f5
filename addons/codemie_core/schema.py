"""JSON Schema of the whole codemie.yaml, for editors and for checks without us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema(sections: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The schema for these sections; the keys of the section "" stand at the top level."""
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for section, model in sections.items():
        place = f"#/properties/{section}/$defs" if section else "#/$defs"
        schema = model.model_json_schema(ref_template=place + "/{model}")
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
