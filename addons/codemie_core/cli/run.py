"""`codemie-proxy run`: an agent with a proxy for as long as it runs."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from codemie_core.cli.start import ProfileOption

EXAMPLES = """[bold]Examples[/]

codemie-proxy run claude

codemie-proxy run claude -p "say hi"    (all that follows the agent is the agent's)

codemie-proxy run --via https-proxy claude    (it believes that it talks to its vendor)

codemie-proxy run --target https://codemie.example.com/code-assistant-api codex

codemie-proxy run --target https://api.openai.com python my_script.py"""

AS_IT_IS = {"allow_interspersed_args": False}
"""Settings of a command that takes a command line for another program: nothing behind its name is ours."""


class Way(StrEnum):
    """How an agent is led to the proxy."""

    BASE_URL = "base-url"
    HTTPS_PROXY = "https-proxy"


AgentArgument = Annotated[
    str,
    typer.Argument(
        metavar="AGENT",
        help="claude, codex, gemini, opencode, kimi, copilot, pi, or any other command.",
        show_default=False,
    ),
]
ViaOption = Annotated[
    Way,
    typer.Option(
        "--via",
        help="base-url: the agent is told another address for its API. https-proxy: it is told of a proxy and a "
        "certificate, and keeps every feature it has at its vendor's own address.",
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        help="Where the proxy leads to, as with `start`. Without it: the CodeMie profile's base URL, "
        "else where the agent is led already, else its vendor.",
        show_default=False,
    ),
]


def run(
    agent: AgentArgument,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENTS", help="For the agent, as they are.", show_default=False),
    ] = None,
    via: ViaOption = Way.BASE_URL,
    target: TargetOption = None,
    profile: ProfileOption = "",
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="Where the proxy listens.", show_default="a free one")
    ] = 0,
    own: Annotated[bool, typer.Option("--own", help="Start a proxy even if a daemon fits.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting of this proxy; can be repeated.", show_default=False
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No remarks before the agent starts.")] = False,
) -> None:
    """Run an agent through the proxy, with a proxy of its own if no daemon fits.

    The agent has the terminal; exit code and signals are its own. The proxy ends with it.
    """
    from codemie_core.launch.child import NotRun, open_standard_files
    from codemie_core.launch.run import Run, Wanted

    open_standard_files()
    passed_on = [part for setting in settings or () for part in ("--set", setting)]
    wanted = Wanted(agent, tuple(arguments or ()), via.value, target, profile, port, own, passed_on)
    try:
        code = Run(wanted, os.environ, _nothing if quiet else remark).run()
    except NotRun as problem:
        remark(str(problem))
        code = problem.code
    raise typer.Exit(code)


def remark(line: str) -> None:
    """For people; stdout is the agent's. What files of others say may hold what a terminal obeys."""
    from codemie_core.logs.log_text import printable

    if sys.stderr is not None:  # As it is where it was closed: `print` would take stdout.
        print("codemie-proxy:", "\n".join(map(printable, line.split("\n"))), file=sys.stderr, flush=True)


def _nothing(line: str) -> None:
    return
