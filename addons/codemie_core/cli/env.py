"""`codemie-proxy env`: what `run` would tell an agent, for a proxy that runs already."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from codemie_core.cli.run import AgentArgument, ViaOption, Way, remark

EXAMPLES = """[bold]Examples[/]

eval "$(codemie-proxy env claude)"

codemie-proxy env codex --shell fish | source

codemie-proxy env claude --via https-proxy --shell json"""
NONE_RUNS = (
    "no proxy runs that {title} could use{host} in {via} mode. Start one: "
    "codemie-proxy daemon start{arguments}; or let codemie-proxy run {command} start one for itself"
)


class Form(StrEnum):
    """For whom it is printed."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    JSON = "json"


def env(
    agent: AgentArgument,
    via: ViaOption = Way.BASE_URL,
    target: Annotated[
        str | None,
        typer.Option(help="Only a proxy that leads there.", show_default="any that fits the agent"),
    ] = None,
    shell: Annotated[Form | None, typer.Option(help="Lines for this shell, or JSON.", show_default="$SHELL")] = None,
) -> None:
    """Print the variables that lead an agent to a running proxy, for eval: the daemon's, else the newest that fits.

    Codex is led by arguments, so it gets a function of this shell: scripts and editors go past it.
    """
    from codemie_core.errors import CodemieError
    from codemie_core.launch.shells import FAILED

    form = shell or _form()
    try:
        typer.echo(_lines(agent, via, target, form))
    except CodemieError:
        if form is not Form.JSON:
            typer.echo(FAILED)
        raise


def _lines(agent: str, via: Way, target: str | None, form: Form) -> str:
    from codemie_core.errors import SettingsError
    from codemie_core.launch import serving, shells
    from codemie_core.launch.agents import agent_for
    from codemie_core.launch.meant import keep_keys_home
    from codemie_core.launch.nesting import outer_run, remembered
    from codemie_core.launch.run import Wanted, look_of, prepared_for
    from codemie_core.places import Places
    from codemie_core.target import parse_target

    known, places = agent_for(agent), Places.from_env(os.environ)
    host = parse_target(target, "--target").host if target else ""
    entry = next(serving.fitting(known, via.value, host, places), None)
    if entry is None:
        arguments = " --regular" if via is Way.HTTPS_PROXY else f" {target or known.default_target}".rstrip()
        leads = f" for {host}" if host else ""
        raise SettingsError(
            NONE_RUNS.format(title=known.title, host=leads, via=via.value, arguments=arguments, command=agent)
        )
    outer = outer_run(os.environ)
    environ = outer.undone(os.environ) if outer else os.environ
    going, url = serving.destination_of(entry, places, environ), serving.url_of(entry)
    wanted = Wanted(agent, via=via.value)
    keep_keys_home(look_of(known, wanted, environ), target, going)
    prepared = prepared_for(known, wanted, going, url, places, environ, hide=False)
    for note in prepared.notes:
        remark(note)
    prepared = remembered(known, via.value, url, prepared, environ, outer)
    if form is Form.JSON:
        return shells.as_json(prepared)
    program, named = next(iter(known.programs), agent), shells.Shell(form.value)
    stale = [shells.without_function(program, named)] if known.arguments and not prepared.arguments else []
    return "\n".join([*stale, shells.exported(prepared, program, named)])


def _form() -> Form:
    name = os.path.basename(os.environ.get("SHELL", ""))
    return Form(name) if name in ("zsh", "fish") else Form.BASH
