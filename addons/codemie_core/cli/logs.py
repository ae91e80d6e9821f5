"""`codemie-proxy logs`: what the proxies of this home have written, and what they write now."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from codemie_core.logs.log_reading import Kept

EXAMPLES = """[bold]Examples[/]

codemie-proxy logs -f

codemie-proxy logs --level warn -n 20

codemie-proxy logs --level debug --grep 19a2b763-    (all about one request)"""

PERIOD = 0.25
"""Seconds between two looks at the file."""
_COLORS = {"DEBUG": "bright_black", "WARN": "yellow", "ERROR": "red"}


class Level(StrEnum):
    """The least that is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl+C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=100_000, help="The newest so many records.")] = 50,
    level: Annotated[
        Level, typer.Option("--level", "-l", case_sensitive=False, help="Leave out what is less serious.")
    ] = Level.INFO,
    grep: Annotated[
        str, typer.Option("--grep", "-g", help="Leave out what this regular expression does not find, in any case.")
    ] = "",
) -> None:
    """Show the log, the newest last. All proxies of this CodeMie home write into it, and CodeMie's own tools do."""
    from codemie_core.logs.log_reading import Follower, log_files, newest_first
    from codemie_core.places import Places

    folder = Places.from_env(os.environ).logs
    wanted = _wanted(level, grep)
    if not log_files(folder):
        typer.echo(f"There is no log in {folder} yet: a proxy writes it. Start one: codemie-proxy start", err=True)
        if not follow:
            return
    follower = Follower(folder) if follow else None
    older = newest_first(folder, follower.place if follower is not None else None)
    for record in reversed(list(islice(filter(wanted, older), lines))):
        _show(record)
    if follower is not None:
        for record in filter(wanted, _coming(follower.news)):
            _show(record)


def _coming(news: Callable[[], list[Kept]]) -> Iterator[Kept]:
    import time

    while True:
        yield from news()
        time.sleep(PERIOD)


def _wanted(level: Level, grep: str) -> Callable[[Kept], bool]:
    import re

    from codemie_core.errors import SettingsError
    from codemie_core.logs.log_reading import LEVELS

    try:
        pattern = re.compile(grep, re.IGNORECASE)
    except re.error as problem:
        raise SettingsError(
            f"--grep {grep}: no regular expression ({problem}); write \\ before . * + ? ( ) [ ] to mean just them"
        ) from None
    serious = LEVELS[LEVELS.index(level.upper()) :]
    return lambda record: record.level in serious and pattern.search(record.text) is not None


def _show(record: Kept) -> None:
    from codemie_core.logs.log_text import printable

    # Other tools write here too: what a stranger got into a line must not steer this terminal.
    text = "\n".join(map(printable, record.text.split("\n")))
    color = _COLORS.get(record.level)
    typer.echo(typer.style(text, fg=color) if color else text)
