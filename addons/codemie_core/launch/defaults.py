"""A file of settings for an agent that would not start without them; whatever its user has chosen counts more."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from codemie_core.launch.agents import Defaults, LaunchAgent
from codemie_core.launch.environment import Via
from codemie_core.places import Places


def lacking(agent: LaunchAgent, via: Via, environ: Mapping[str, str]) -> Defaults | None:
    """What `run` and `env` bring along for this agent; None where it needs nothing, or has such a file already."""
    wanted = agent.defaults
    if wanted is None or via != "base-url" or environ.get(wanted.variable) or any(map(os.path.exists, wanted.files)):
        return None
    return wanted


def defaults_for(agent: LaunchAgent, via: Via, places: Places, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The variable that names it, once it is written; nothing where there is such a file already, whoever made it."""
    wanted = lacking(agent, via, environ)
    if wanted is None:
        return {}
    file = places.proxy / "agents" / f"{agent.name}-defaults.json"
    text = f"{json.dumps(dict(wanted.settings), indent=2)}\n".encode()
    if not file.is_file() or file.read_bytes() != text:
        places.ensure_private(file.parent)
        places.write_private(file, text)
    return {wanted.variable: str(file)}
