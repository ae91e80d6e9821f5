"""The agents on PATH, and the files of theirs that overrule what they are told about a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

from codemie_core.doctor.certificates import program_of
from codemie_core.doctor.finding import Finding, note, ok, warning
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.launch.agents import AGENTS, LaunchAgent
from codemie_core.launch.environment import Via
from codemie_core.launch.traps import Look, Trap, traps
from codemie_core.logs.log_text import printable


def installed(around: Surroundings) -> Iterator[Finding]:
    """Which are there."""
    found = [(agent, path) for agent in AGENTS.values() if (path := program_of(agent, around.environ))]
    for agent, path in found:
        yield ok("agents", f"{agent.title}: {path}")
    if not found:
        yield note("agents", "no agent known here is on PATH", next(iter(AGENTS.values())).install)


def overriding(around: Surroundings) -> Iterator[Finding]:
    """Settings files that count more than the environment, for each way in."""
    quiet = True
    for agent in AGENTS.values():
        if not program_of(agent, around.environ):
            continue
        for trap, ways in _found(agent, around).items():
            quiet = False
            what, _, helps = trap.words.partition(": ")
            # A cloned repository may have chosen these names.
            file, key = printable(str(trap.file)), printable(trap.key)
            words = f"{agent.title}, {' and '.join(ways)}: {file}: {key} {what}"
            if trap.managed:
                helps = f"it is an administrator's: ask for {key} to be taken out of {file}"
            yield warning("overriding", words, helps or f"take {key} out of {file}")
        for finding in (*_by_hand(agent, around), *_by_argument(agent, around)):
            quiet = False
            yield finding
    if quiet:
        yield ok("overriding", "no settings file of an agent overrules the proxy")


def _by_argument(agent: LaunchAgent, around: Surroundings) -> Iterator[Finding]:
    """A variable says where to go, and it is led by arguments: of a function of that shell, if `env` has made one."""
    variable = next(filter(around.environ.get, agent.base_url), "")
    if variable and agent.arguments:
        words = (
            f"{agent.title} passes over {variable}: where a script, xargs, npx or an editor starts it, it goes past us"
        )
        yield note("overriding", words, f"codemie-proxy run {agent.name}    (leads it, whoever starts it so)")


def _by_hand(agent: LaunchAgent, around: Surroundings) -> Iterator[Finding]:
    """What `run` and `env` would have brought along, where a shell leads an agent somewhere without them."""
    variable = next(filter(around.environ.get, agent.base_url), "")
    if not variable:
        return
    look = Look(agent, "base-url", around.home, around.folder or Path("/"), around.environ)
    usual = traps(look)
    sets = f'eval "$(codemie-proxy env {agent.name})"    (or start it by codemie-proxy run {agent.name})'
    for trap in traps(replace(look, by_hand=True)):
        if trap in usual:
            continue
        words = f"{agent.title}, with {variable} set by hand: {trap.file}: {trap.key} {trap.words.partition(': ')[0]}"
        yield note("overriding", printable(words), sets)


def _found(agent: LaunchAgent, around: Surroundings) -> dict[Trap, list[str]]:
    """Each trap with the ways in that it lies on."""
    found: dict[Trap, list[str]] = {}
    ways: tuple[Via, ...] = get_args(getattr(Via, "__value__", Via))
    for via in ways:
        for trap in traps(Look(agent, via, around.home, around.folder or Path("/"), around.environ)):
            found.setdefault(trap, []).append(via)
    return found
