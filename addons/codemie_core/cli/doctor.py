"""`codemie-proxy doctor`: what is wrong here, and what mends it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from codemie_core.doctor.finding import Finding
    from codemie_core.doctor.surroundings import Surroundings

EXAMPLES = """[bold]Examples[/]

codemie-proxy doctor

codemie-proxy doctor https://api.anthropic.com    (can this one be reached?)

codemie-proxy doctor --json | jq '.findings\\[] | select(.level == "problem")'"""
_COLORS = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "red"}


def doctor(
    target: Annotated[
        str | None,
        typer.Argument(
            help="The model API to reach. Without it: where running proxies and the CodeMie profile lead.",
            metavar="TARGET",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="The port a start would take.")] = 8080,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody beyond this machine.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one object.")] = False,
) -> None:
    """Look for what is wrong here, and say what mends it. Ends with 1 when there is a problem.

    Changes nothing, shows no secret, and sends none: a target is asked without a credential.
    """
    import json
    from dataclasses import asdict

    from codemie_core.doctor.checks import CHECKS
    from codemie_core.doctor.examine import examine

    found = examine(CHECKS, _around(target or "", offline, port))
    if as_json:
        counted = Counter(one.level for one in found)
        report = {"findings": [asdict(one) for one in found], "problems": counted["problem"]}
        typer.echo(json.dumps({**report, "warnings": counted["warning"]}, indent=2))
    else:
        _print(found)
    if any(one.level == "problem" for one in found):
        raise typer.Exit(1)


def _around(target: str, offline: bool, port: int) -> Surroundings:
    from pathlib import Path

    from codemie_core.doctor.surroundings import Surroundings
    from codemie_core.places import Places

    try:
        folder: Path | None = Path.cwd()
    except OSError:
        folder = None  # It was removed under us.
    try:
        home = Path("~").expanduser()
    except RuntimeError:
        home = Path("/")  # A user of a container that nobody has entered anywhere.
    places = Places.from_env(os.environ)
    return Surroundings(places, dict(os.environ), home, folder, target, offline, port)


def _print(found: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    from codemie_core.logs.log_text import printable

    console = Console(highlight=False, markup=False)
    for room, findings in groupby(found, key=lambda one: one.room):
        console.print(Text(room, style="bold"))
        for one in findings:
            level = Text(f"  {one.level:<9}", style=_COLORS[one.level])
            console.print(level + Text(printable(one.what)), soft_wrap=True)
            if one.fix:
                # As it is on one line, however long: it is to be copied.
                fix = Text(f"{'':11}-> {printable(one.fix)}", style="bold" if one.level == "problem" else "dim")
                console.print(fix, soft_wrap=True)
    console.print(f"\n{summary(found)}")


def summary(found: Sequence[Finding]) -> str:
    """Like `2 problems, 1 warning`."""
    counted = Counter(one.level for one in found)
    told = [(counted[level], level) for level in ("problem", "warning") if counted[level]]
    words = [f"{count} {level}{'s' * (count != 1)}" for count, level in told]
    return ", ".join(words) or "Nothing is wrong."
