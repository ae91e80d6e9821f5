"""`codemie-proxy top`: sessions, requests, accounts and cost on a terminal."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from codemie_core.errors import SettingsError

EXAMPLES = """[bold]Examples[/]

codemie-proxy top    (starts a proxy when none runs, and ends it again)

codemie-proxy top https://api.anthropic.com --stay    (the proxy goes on afterwards)

codemie-proxy top --port 9000    (the one that listens there)"""
NO_TERMINAL = (
    "top needs a terminal (ssh -t gives one); for programs: codemie-proxy status --json, "
    "codemie-proxy sessions --json, codemie-proxy requests --json"
)


def top(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="Where the proxy that is started leads to, as with `start`. Without effect when one runs already.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", min=1, max=65535, help="Show the proxy on this port; start it there if none is."),
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="A proxy that is started here goes on when this ends.")] = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="Start no proxy; wait for one.")] = False,
) -> None:
    """Watch sessions, requests, accounts and cost live; add, pause and resume accounts.

    Starts a proxy when none runs, and ends it again when this ends.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise SettingsError(NO_TERMINAL)
    try:
        from codemie_core.top.app import Top
    except ModuleNotFoundError as problem:
        if (problem.name or "").partition(".")[0] != "textual":
            raise
        raise SettingsError("top needs textual: pip install 'codemie-proxy[top]'") from None
    from codemie_core.places import Places
    from codemie_core.top.attachment import Wanted

    arguments = [*([target] if target else []), *(["--port", str(port)] if port else [])]
    wanted = Wanted(Places.from_env(os.environ), os.environ, tuple(arguments), port, stay, may_start=not no_start)
    screen = Top(wanted)
    try:
        screen.run()
    finally:
        said = screen.end()
    if said:
        typer.echo(said)
    if screen.failure is not None:
        raise screen.failure
    raise typer.Exit(screen.return_code or 0)
