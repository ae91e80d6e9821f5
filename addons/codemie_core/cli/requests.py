"""`codemie-proxy requests`: the model turns one by one."""

from __future__ import annotations

from typing import Annotated

import typer

from codemie_core.cli.history_book import LAST, Given
from codemie_core.cli.history_names import request_ids
from codemie_core.cli.history_options import AsJson, AsList, choosing

app = typer.Typer(
    help="The requests one by one: who asked which model, how it went, what it cost.",
    rich_markup_mode="rich",
    epilog="Examples: codemie-proxy requests --status error --since 24h, codemie-proxy requests show last",
)


@app.callback(invoke_without_command=True)
@choosing
def requests(
    context: typer.Context,
    given: Given,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="The newest so many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with those that come, until Ctrl+C.")] = False,
    as_json: AsList = False,
) -> None:
    """Show the requests to models, the newest last: that is where a terminal leaves the eye."""
    if context.invoked_subcommand is None:
        from codemie_core.cli import requests_views

        requests_views.list_(given, limit, follow, as_json)


@app.command(epilog="Example: codemie-proxy requests show last")
def show(
    request: Annotated[
        str,
        typer.Argument(help='The start of its id, or "last".', autocompletion=request_ids, metavar="ID"),
    ] = LAST,
    as_json: AsJson = False,
) -> None:
    """Show all of one request: tokens, cost by part, attempts, tools, files."""
    from codemie_core.cli import requests_views

    requests_views.show(request, as_json)
