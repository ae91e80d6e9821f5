"""The codemie.yaml that `config init` writes: every setting with its meaning, all of them commented out."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from codemie_core.options import Layers, Setting, settings_of

_WIDTH = 100

_HEAD = """\
Settings of codemie-proxy.

Every setting stands here with its default, commented out: as it is, this file changes nothing. To change a setting,
remove the # before it and, if it is indented, the # before the line of its section. Check with `codemie-proxy config
validate`.

Stronger than this file are the environment and, above all, mitmproxy's `--set NAME=VALUE`; weaker is the CodeMie
profile. Durations are written like 250ms, 30s, 5m; sizes like 512k, 64m. Secrets do not belong here."""


def template(sections: Mapping[str, type[BaseModel]]) -> str:
    """The whole file."""
    lines = list(_comment(_HEAD))
    for section, model in sections.items():
        # `config` names this very file; in it, it would come too late.
        found = [setting for setting in settings_of(section, model) if setting.key != "config"]
        if found and section:
            lines += ["", "", f"#{section}:"]
        for setting in found:
            lines += ["", *_setting(setting, indent="  " if section else "")]
    return "\n".join(lines) + "\n"


def _setting(setting: Setting, indent: str) -> Iterator[str]:
    yield from _comment(setting.help, indent)
    if setting.choices:
        yield from _comment(f"One of: {', '.join(setting.choices)}.", indent)
    yield from _comment(f"{', '.join(setting.variables)}; --set {setting.option}", indent)
    default = setting.resolve(Layers({})).value
    if isinstance(default, Sequence) and not isinstance(default, str) and default:
        yield f"#{indent}{setting.name}:"
        for item in default:
            yield f"#{indent}  - {_scalar(item)}"
    else:
        yield f"#{indent}{setting.name}: {_scalar(default)}"


def _comment(text: str, indent: str = "") -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if paragraph is not text and not text.startswith(paragraph):
            yield "#"
        # Longer words are option names, which must stay whole.
        for line in textwrap.wrap(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False):
            yield f"{indent}# {line}"


def _scalar(value: Any) -> str:
    # JSON's scalars are YAML's; an ordinary duration or size needs no quotes.
    if isinstance(value, str) and value[:1].isdigit() and value.isalnum() and not value.isdigit():
        return value
    return json.dumps(value, ensure_ascii=False)
