"""Reading what people write into files and variables, with errors that say where and how to mend it."""

from __future__ import annotations

import difflib
import json
import os
import re
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from codemie_core.errors import SettingsError

MAX_FILE_SIZE = 1024 * 1024
"""Bytes. A settings file is some kilobytes; more than this is the wrong file."""

YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"0", "false", "no", "off"})

_INTEGER = re.compile(r"[+-]?[0-9]+")
_IPV6_ADDRESS = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]")
_DUPLICATE_KEY = re.compile(r'found duplicate key "?([^"\n]*?)"? with value')


def load_config_file(path: Path, required: bool) -> dict[str, Any]:
    """The settings of a YAML file; {} when it is empty, or missing and not required.

    SettingsError, in one line with the place, when it cannot be read or is not a mapping with text keys.
    """
    text = read_text(path, required)
    loaded = _parse_yaml(path, text) if text else None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise SettingsError(f"{path}: the file must hold keys and values, like hosts: [api.example.com]")
    for key in loaded:
        if not isinstance(key, str):
            raise SettingsError(f"{path}: the key {key!r} must be text; put it in quotes")
    return loaded


def read_text(path: Path, required: bool) -> str:
    """A settings file's text without a byte order mark; "" when it is missing and not required."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except FileNotFoundError as error:
        if not required:
            return ""
        raise SettingsError(f"{path}: there is no such file; create it or name another") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror or error}); name a readable file") from error
    if len(data) > MAX_FILE_SIZE:
        raise SettingsError(f"{path} is larger than {MAX_FILE_SIZE // 1024} KiB; is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        raise SettingsError(f"{path}, {_place(before)}: this is not UTF-8; save the file as UTF-8") from error


def nearest(key: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a mistyped key most likely meant, or None when none is close."""
    found = list(candidates)
    # A prefix that all share (codemie_) would make everything look alike.
    common = os.path.commonprefix([key, *found])  # noqa: RUF071 - these are words, not paths
    start = common.rfind("_") + 1
    by_rest = {_plain(candidate[start:]): candidate for candidate in reversed(found)}
    matches = difflib.get_close_matches(_plain(key[start:]), by_rest, n=1, cutoff=0.65)
    return by_rest[matches[0]] if matches else None


def coerce_env(text: str, kind: Any, variable: str) -> Any:
    """The value of an environment variable as an option of this kind holds it.

    `kind` is str, int, bool, Sequence[str] or one of them or None (then empty text is None). Lists are written
    with commas or as JSON. SettingsError names the variable and never repeats its value.
    """
    members = get_args(kind)
    if types.NoneType in members:
        if not text.strip():
            return None
        kind = next(member for member in members if member is not types.NoneType)
    if kind is str:
        return text
    if kind is int:
        return _integer(text.strip(), variable)
    if kind is bool:
        return _yes_or_no(text.strip().lower(), variable)
    if get_origin(kind) is Sequence:
        return _list(text.strip(), variable)
    raise TypeError(f"{variable}: options cannot be of kind {kind!r}")


def _integer(text: str, variable: str) -> int:
    # int() would also take 1_000 and the digits of other scripts.
    if not _INTEGER.fullmatch(text) or len(text) > 20:
        raise SettingsError(f"this must be a whole number, like {variable}=3")
    return int(text)


def _yes_or_no(text: str, variable: str) -> bool:
    if text not in YES | NO:
        raise SettingsError(f"this must be yes or no: {variable}=1 (true, yes, on) or {variable}=0 (false, no, off)")
    return text in YES


def _list(text: str, variable: str) -> list[str]:
    # [::1],example.com is a comma list although it opens like JSON.
    if text.startswith("[") and not _IPV6_ADDRESS.match(text):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise SettingsError(f'this must be a list of texts, like {variable}=a,b or {variable}=\'["a", "b"]\'')
        return found
    return [item.strip() for item in text.split(",") if item.strip()]


def _parse_yaml(path: Path, text: str) -> Any:
    # Imported here: it is not quick, and most starts have no settings file.
    from ruamel.yaml import YAML
    from ruamel.yaml.composer import Composer
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.events import AliasEvent
    from ruamel.yaml.reader import ReaderError

    class ComposerWithoutAliases(Composer):
        """A few nested aliases unfold into gigabytes, and settings do not need them."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.parser.check_event(AliasEvent):
                event = self.parser.peek_event()
                raise MarkedYAMLError(
                    problem="aliases are not supported; write the value out", problem_mark=event.start_mark
                )
            return super().compose_node(parent, index)

    # The C parser would take a composer of ours, but not ask it.
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = ComposerWithoutAliases
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(f"{path}{place}: {_yaml_problem(error)}") from None
    except ReaderError as error:
        place = _place(text[: error.position])
        raise SettingsError(f"{path}, {place}: a control character that YAML does not allow; remove it") from None
    except RecursionError:
        raise SettingsError(f"{path}: the values are nested too deeply; flatten them") from None
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        # Constructors of tags such as !!timestamp or !!int let any of these out, without a place.
        raise SettingsError(f"{path}: a value does not fit its YAML type; put texts and dates in quotes") from None


def _yaml_problem(error: Any) -> str:
    problem = str(error.problem or error.context or "this is not YAML")
    if duplicate := _DUPLICATE_KEY.search(problem):
        return f"the key {duplicate[1]!r} is given twice; keep one"
    if "'\\t'" in problem or "\t" in problem:
        return "a tab where YAML wants spaces; indent with spaces"
    return f"{' '.join(problem.split())}; check indentation, colons and quotes"


def _place(before: str) -> str:
    line_start = before.rfind("\n") + 1
    return f"line {before.count(chr(10)) + 1}, column {len(before) - line_start + 1}"


def _plain(key: str) -> str:
    return key.lower().replace("-", "_")
