"""What the shells call things: setting and unsetting variables, and functions that stand before a program."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codemie_core.launch.environment import Prepared


KNOWN = (
    "# {program} is led by arguments, which a function of this shell{children} adds. Started otherwise (by command, "
    "xargs, npx, make, an editor) it goes past the proxy: there say codemie-proxy run {program}"
)
FAILED = "false;"
"""For `eval`, which would have succeeded with nothing: what stands behind it must not go past the proxy."""
_OURS = "model_provider=codemie-proxy"


class Shell(StrEnum):
    """Those we write for. zsh takes what bash takes."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def exported(prepared: Prepared, program: str, shell: Shell) -> str:
    """Lines for `eval`, one for each variable; where the agent needs arguments as well, a function that adds them."""
    if shell is Shell.FISH:
        lines = [f"set -e {name};" for name in prepared.removed]
        lines += [f"set -gx {name} {fish_quoted(value)};" for name, value in prepared.set.items()]
    else:
        lines = [f"unset {name};" for name in prepared.removed]
        lines += [f"export {name}={shlex.quote(value)};" for name, value in prepared.set.items()]
    if prepared.arguments:
        lines.insert(0, KNOWN.format(program=program, children=" and its bash scripts" if shell is Shell.BASH else ""))
        lines.append(function(program, ("command", program, *prepared.arguments), shell))
        if shell is Shell.BASH:
            lines.append(f'[ -z "${{BASH_VERSION-}}" ] || export -f {program};')
    return "\n".join(lines)


def as_json(prepared: Prepared) -> str:
    """For programs."""
    found = {"set": dict(prepared.set), "unset": prepared.removed, "arguments": prepared.arguments}
    return json.dumps(found, indent=2)


def without_function(program: str, shell: Shell) -> str:
    """A line that takes the function away that an earlier `env` has made, and nobody else's."""
    if shell is Shell.FISH:
        return f"functions {program} 2>/dev/null | string match -q '*{_OURS}*'; and functions -e {program}; or true;"
    return f'case "$(typeset -f {program})" in (*{_OURS}*) unset -f {program};; esac;'


def function(name: str, command: Sequence[str], shell: Shell) -> str:
    """A function called `name` that runs the command, with what the function itself is given behind it."""
    if shell is Shell.FISH:
        return f"function {name}; {' '.join(map(fish_quoted, command))} $argv; end;"
    # With the word `function` an alias of that name stays one; without, it would be put in the place of the name.
    return f'function {name} {{ {shlex.join(command)} "$@"; }};'


def wrapper(name: str, ours: str, shell: Shell) -> str:
    """A function that starts `name` through the proxy, and as it is when our program `ours` is gone."""
    if shell is Shell.FISH:
        us = fish_quoted(ours)
        return (
            f"function {name}; if command -q {us}; command {us} run {name} $argv; else; command {name} $argv; end; end"
        )
    us = shlex.quote(ours)
    return (
        f'function {name} {{ if command -v {us} >/dev/null; then command {us} run {name} "$@"; '
        f'else command {name} "$@"; fi; }}'
    )


def fish_quoted(text: str) -> str:
    """For fish: within single quotes only the quote and the backslash mean anything."""
    if text and all(char.isalnum() or char in "-_./:=,@%+" for char in text) and not text.startswith(("-", "%")):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
