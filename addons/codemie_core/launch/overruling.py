"""What overrules the files that overrule the environment: Claude Code takes settings as an argument, too."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from codemie_core.launch.agents import LaunchAgent
from codemie_core.launch.environment import Prepared, direct
from codemie_core.launch.traps import PROXIES, Trap
from codemie_core.logs.log_text import printable

OVERRULED = "{file}: {key} is overruled for this run, by {argument}"


def overrule(
    agent: LaunchAgent, prepared: Prepared, found: Sequence[Trap], arguments: Sequence[str], environ: Mapping[str, str]
) -> Prepared:
    """The same with an argument against those traps that it helps against, and a note for every trap.

    None where the user gives that argument; the others keep their own words.
    """
    argument = agent.settings_argument
    helped = [trap for trap in found if trap.variable and not trap.managed]
    helped = helped if takes_settings(agent, arguments) else []
    values: dict[str, str] = {}
    for trap in helped:
        values |= _instead(agent, prepared, trap.variable, environ)
    notes = [
        printable(OVERRULED.format(file=trap.file, key=trap.key, argument=argument)) if trap in helped else str(trap)
        for trap in found
    ]
    added = (argument, json.dumps({"env": values})) if values else ()
    return dataclasses.replace(prepared, arguments=(*added, *prepared.arguments), notes=(*prepared.notes, *notes))


def takes_settings(agent: LaunchAgent, arguments: Sequence[str]) -> bool:
    """Has it an argument for settings, and does its user leave it to us?"""
    argument = agent.settings_argument
    return bool(argument) and not any(one.partition("=")[0] == argument for one in arguments)


def _instead(agent: LaunchAgent, prepared: Prepared, variable: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    if variable in prepared.set:
        return {variable: prepared.set[variable]}
    if variable in PROXIES:
        # That proxy may stay, but not for what goes to this machine.
        return direct(environ, ())
    return {variable: "0" if variable in agent.removed else ""}
