"""Finds the program of an agent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from codemie_core.launch.agents import LaunchAgent
from codemie_core.launch.child import NotRun


def find_program(command: str, agent: LaunchAgent, environ: Mapping[str, str]) -> str:
    """Its path. NotRun, with 127, says how to install it; a shell's own function or alias is never asked."""
    names = (command == agent.name and agent.programs) or (command,)
    path = environ.get("PATH", os.defpath)
    if found := next(filter(None, (shutil.which(name, path=path) for name in names)), None):
        return found
    if os.sep in command:
        code = 126 if os.path.exists(command) else 127
        raise NotRun(f"{command} is {'no program' if code == 126 else 'not there'}", code)
    install = f"; install it: {agent.install}" if agent.install else ""
    raise NotRun(f"{names[0] or repr(command)} is not on the PATH{install}", 127)
