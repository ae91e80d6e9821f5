"""`codemie-proxy shell-integration`: `claude` typed in a shell is `codemie-proxy run claude` from then on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from codemie_core.errors import SettingsError
from codemie_core.launch.agents import AGENTS
from codemie_core.launch.shells import Shell, wrapper

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Make the names of the agents start them through the proxy: functions in your shell's start file.",
    epilog="Example: codemie-proxy shell-integration install zsh, then claude in a new shell",
)
ShellArgument = Annotated[Shell, typer.Argument(help="Whose start file.", show_default=False)]
AgentsOption = Annotated[
    list[str] | None,
    typer.Option("--agent", help="Only this agent; can be repeated.", show_default="those on the PATH"),
]
AllOption = Annotated[bool, typer.Option("--all", help="All agents that are known, found or not.")]
NO_AGENT = "none of {names} is on the PATH: install one, or take --all"
_MAC = "darwin"


@app.command(epilog="Example: codemie-proxy shell-integration install zsh")
def install(shell: ShellArgument, agents: AgentsOption = None, every: AllOption = False) -> None:
    """Write the functions into the start file, or bring them up to date. `remove` undoes it to the byte."""
    from codemie_core.launch import rc_file

    path, lines = start_file(shell, os.environ, Path.home()), functions(shell, _names(agents, every))
    if rc_file.install(path, lines):
        typer.echo(f"{path}: done; it counts in new shells, and in this one after: {_source(shell, path)}")
    else:
        typer.echo(f"{path}: it is there already")


@app.command(epilog="Example: codemie-proxy shell-integration remove zsh")
def remove(shell: ShellArgument) -> None:
    """Take the functions out of the start file again: it is then as it was."""
    from codemie_core.launch import rc_file

    files = start_files(shell, os.environ, Path.home())
    path = next(filter(rc_file.installed, files), files[0])
    typer.echo(
        f"{path}: taken out; new shells do without" if rc_file.remove(path) else f"{path}: nothing of ours is there"
    )


@app.command("print", epilog='Example: eval "$(codemie-proxy shell-integration print bash)"')
def print_functions(shell: ShellArgument, agents: AgentsOption = None, every: AllOption = False) -> None:
    """Print the functions and write nothing."""
    typer.echo(functions(shell, _names(agents, every)))


def start_file(shell: Shell, environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> Path:
    """What this shell reads when somebody opens a terminal."""
    files = start_files(shell, environ, home, platform)
    return next((file for file in files if file.exists()), files[0])


def start_files(shell: Shell, environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> Sequence[Path]:
    """It reads the first of them that is there."""
    if shell is Shell.FISH:
        named = environ.get("XDG_CONFIG_HOME")
        return [(Path(named) if named else home / ".config") / "fish" / "config.fish"]
    if shell is Shell.ZSH:
        return [Path(environ.get("ZDOTDIR") or home) / ".zshrc"]
    # A terminal on a Mac opens a login shell, which reads no .bashrc.
    names = (".bash_profile", ".bash_login", ".profile") if platform == _MAC else (".bashrc",)
    return [home / name for name in names]


def functions(shell: Shell, names: list[str]) -> str:
    """One for each agent."""
    return "\n".join(wrapper(name, _ours(), shell) for name in names)


def _names(wanted: list[str] | None, every: bool) -> list[str]:
    unknown = [name for name in wanted or () if name not in AGENTS]
    if unknown:
        raise SettingsError(f"--agent {unknown[0]}: there is no such agent; there are: {', '.join(AGENTS)}")
    if wanted or every:
        return wanted or list(AGENTS)
    found = [name for name, agent in AGENTS.items() if any(map(shutil.which, agent.programs))]
    if not found:
        raise SettingsError(NO_AGENT.format(names=", ".join(AGENTS)))
    return found


def _ours() -> str:
    """How a shell finds us: by our name, else by the path that we were called with."""
    if shutil.which("codemie-proxy"):
        return "codemie-proxy"
    called = Path(sys.argv[0])
    beside = Path(sys.executable).with_name("codemie-proxy")
    return str(
        next((path for path in (called, beside) if path.name == beside.name and path.is_file()), beside).absolute()
    )


def _source(shell: Shell, path: Path) -> str:
    return f"{'source' if shell is Shell.FISH else '.'} {path}"
