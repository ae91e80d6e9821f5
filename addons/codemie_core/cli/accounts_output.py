"""What the `accounts` commands say: results on standard output, words for the person on the error output."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

NOTICE = "Running proxies notice within a second."


def say(line: str) -> None:
    """For the person; standard output is for the result."""
    typer.echo(line, err=True)


def result(text: str, shown: object, as_json: bool) -> None:
    """The result: a text for people, or JSON."""
    typer.echo(json.dumps(shown, indent=2) if as_json else text)


def new_table(*columns: str) -> Table:
    """An empty one, as all commands draw it."""
    from rich.table import Table

    return Table(*columns, box=None, header_style="bold", pad_edge=False)


def print_table(table: Table) -> None:
    """As wide as the terminal; wide enough for all in a pipe."""
    from rich.console import Console

    Console(highlight=False, markup=False, width=None if os.isatty(1) else 200).print(table)


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Names and texts, below each other; further lines of a text stand below its first."""
    width = max(len(name) for name, _ in rows) + 2
    for name, text in rows:
        typer.echo(f"{name:<{width}}" + text.replace("\n", "\n" + " " * width))
