"""Writes docs/options.md from the declarations: `PYTHONPATH=addons:tests python -m support.options_doc`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from codemie_core.cli.declared import Declarations
from codemie_core.options import FromProfile, Layers, Setting, settings_of

FILE = Path(__file__).resolve().parents[2] / "docs" / "options.md"

HEAD = """\
# Options

Generated from the declarations in the code; a test compares the two.

Each setting has three names. For `max_attempts` of the addon `upstream_attempts` they are the mitmproxy option
`codemie_upstream_attempts_max_attempts` (`--set NAME=VALUE`), the variable of the same name in capitals, and the key
`max_attempts` in the section `upstream_attempts` of `codemie.yaml`, which lies in `${CODEMIE_HOME:-~/.codemie}/proxy/`.

The strongest first: a change while the proxy runs, mitmproxy's own `config.yaml`, `--set`, the environment, what the
[admin API](admin.md) changed, `codemie.yaml`, the CodeMie profile, the default. Lists are written with commas in the
environment, as YAML lists in the file and by repeating `--set`. Durations are written like `250ms`, `30s`, `5m`, `2h`,
`1d`; sizes like `512k`, `64m`.

`codemie-proxy config init` writes a commented `codemie.yaml`, `config show` tells what is in force and why,
`config validate` what is wrong, `config schema` prints the JSON Schema.
"""


def options_doc(declarations: Declarations) -> str:
    """The whole page."""
    addons = {addon.name: addon for addon in declarations.addons}
    parts = [HEAD]
    for section, model in declarations.sections.items():
        if section:
            addon = addons[section]
            title = f"`{section}` (priority {addon.priority}, fails {addon.fail})"
        else:
            title = "The bundle as a whole"
        rows = "\n".join(_rows(section, model))
        parts.append(f"## {title}\n\n{rows or 'No settings.'}\n")
    return "\n".join(parts)


def _rows(section: str, model: type[BaseModel]) -> Iterator[str]:
    found = settings_of(section, model)
    if found:
        yield "| YAML key | Type | Default | Option, variable | Meaning |"
        yield "|---|---|---|---|---|"
    for setting in found:
        names = "<br>".join(f"`{name}`" for name in (setting.option, *setting.variables))
        key = "(none)" if setting.key == "config" else f"`{setting.name}`"
        yield f"| {key} | {kind(setting)} | {default(setting)} | {names} | {_cell(setting.help)}{_profile(setting)} |"


def kind(setting: Setting) -> str:
    """The type in a word or two."""
    schema: dict[str, Any] = setting_schema(setting)
    if setting.choices:
        return " or ".join(f"`{choice}`" for choice in setting.choices)
    if schema.get("type") == "string" and "pattern" in schema:
        return "duration" if "ms" in schema["pattern"] else "size"
    words = {"string": "text", "integer": "whole number", "boolean": "yes or no", "array": "list of texts"}
    return words[schema["type"]]


def setting_schema(setting: Setting) -> dict[str, Any]:
    """JSON Schema of one setting, without the null of an optional one."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(setting.info.rebuild_annotation()).json_schema()
    return next((part for part in schema.get("anyOf", ()) if part.get("type") != "null"), schema)


def default(setting: Setting) -> str:
    """The default as the option holds it."""
    value = setting.resolve(Layers({})).value
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, list):
        return "<br>".join(f"`{item}`" for item in value) or "empty"
    return "empty" if value in (None, "") else f"`{value}`"


def _profile(setting: Setting) -> str:
    marks = [mark.attribute for mark in setting.info.metadata if isinstance(mark, FromProfile)]
    return f" From the CodeMie profile: {', '.join(marks)}." if marks else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(options_doc(Declarations.of_bundle()))
