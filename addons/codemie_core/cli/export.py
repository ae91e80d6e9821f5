"""`codemie-proxy export`: the history for other programs, as CSV, JSON lines or HAR."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codemie_core.cli.history_book import Given
from codemie_core.cli.history_options import choosing

EXAMPLES = """[bold]Examples[/]

codemie-proxy export --csv --since 30d --out november.csv

codemie-proxy export --jsonl --project shop | jq -s 'map(.cost_usd // 0) | add'

codemie-proxy export --har --session last --out session.har    (opens in a browser's network panel)"""


@choosing
def export(
    given: Given,
    csv: Annotated[bool, typer.Option("--csv", help="A row for each request; for spreadsheets.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="An object for each request in a line, with attempts, tools and files.")
    ] = False,
    har: Annotated[bool, typer.Option("--har", help="HTTP Archive 1.2, for tools that show network traffic.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Write this file, for you alone; else standard output.", metavar="FILE", dir_okay=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
    bodies: Annotated[
        bool,
        typer.Option("--bodies", help="With --har: what was asked and answered, where the proxy was told to keep it."),
    ] = False,
) -> None:
    """Write the requests, oldest first. Memory does not grow with their number."""
    from codemie_core.cli import export_run

    asked = [kind for kind, wanted in (("csv", csv), ("jsonl", jsonl), ("har", har)) if wanted]
    export_run.export(given, asked, out, force, bodies)
