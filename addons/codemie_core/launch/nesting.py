"""A run within a run: an agent that was started here starts another, or itself, from its own shell.

What is set for an agent is inherited by all that it starts. The variable RUN says what that was and what stood there
before, so that a run within it does not take the outer proxy for the user's own gateway. `env` sets it in a shell, too.
"""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from codemie_core.launch.agents import LaunchAgent
from codemie_core.launch.environment import Prepared, Via

RUN = "CODEMIE_PROXY_RUN"
DEEPEST = 5
LOOP = (
    "{program} has called `codemie-proxy run {command}` {depth} times within itself: it is a script that calls us; "
    "name the agent's own program by its path instead"
)


@dataclass(frozen=True, slots=True)
class Outer:
    """The run that we are in."""

    agent: str
    via: str
    url: str
    before: Mapping[str, str | None]
    """The variables it has changed, as they were; None for those that were not set."""
    depth: int = 1
    """It is in so many runs, itself among them."""

    def serves(self, agent: LaunchAgent, via: Via) -> bool:
        """Would we lead this agent just where it is led already, and does that proxy still listen?"""
        if (self.agent, self.via) != (agent.name, via):
            return False
        try:
            parts = urlsplit(self.url)
            with socket.create_connection((parts.hostname or "", parts.port or 0), 1):
                return True
        except (OSError, ValueError):
            return False

    def undone(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment as it would be without that run, but for the secrets it took out."""
        kept = {name: value for name, value in environ.items() if name not in self.before and name != RUN}
        return kept | {name: value for name, value in self.before.items() if value is not None}


def outer_run(environ: Mapping[str, str]) -> Outer | None:
    """The run we are in; None when there is none."""
    try:
        found = json.loads(environ.get(RUN, ""))
        before = {str(name): value if value is None else str(value) for name, value in found["before"].items()}
        return Outer(str(found["agent"]), str(found["via"]), str(found["url"]), before, int(found["depth"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def leave_outer_run(environ: MutableMapping[str, str]) -> None:
    """Put this process outside the run it is in, whose proxy may end before it."""
    if (outer := outer_run(environ)) is None:
        return
    undone = outer.undone(environ)
    environ.clear()
    environ.update(undone)


def marked(
    agent: LaunchAgent, via: Via, url: str, prepared: Prepared, environ: Mapping[str, str], depth: int = 1
) -> dict[str, str]:
    """The agent's environment, with what a run within it has to know. No secret that was taken out is in it."""
    return prepared.applied(environ) | {RUN: _mark(agent, via, url, prepared, environ, {}, depth)}


def remembered(
    agent: LaunchAgent, via: Via, url: str, prepared: Prepared, environ: Mapping[str, str], outer: Outer | None
) -> Prepared:
    """The same for a shell that is told by `env`, again and again for all we know: it adds to what the shell knows."""
    before, depth = (outer.before, outer.depth) if outer else ({}, 0)
    mark = _mark(agent, via, url, prepared, environ, before, depth)
    return dataclasses.replace(prepared, set={**prepared.set, RUN: mark})


def _mark(
    agent: LaunchAgent,
    via: Via,
    url: str,
    prepared: Prepared,
    environ: Mapping[str, str],
    before: Mapping[str, str | None],
    depth: int,
) -> str:
    changed = (*prepared.set, *(name for name in prepared.removed if name not in prepared.hidden))
    was = {name: None if name in prepared.hidden else environ.get(name) for name in changed}
    return json.dumps({"agent": agent.name, "via": via, "url": url, "before": {**before, **was}, "depth": depth})
