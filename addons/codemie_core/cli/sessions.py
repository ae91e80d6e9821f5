"""`codemie-proxy sessions`: what each session of an agent did and cost."""

from __future__ import annotations

from typing import Annotated

import typer

from codemie_core.cli.history_book import LAST, Given
from codemie_core.cli.history_names import known
from codemie_core.cli.history_options import AsJson, AsList, choosing

app = typer.Typer(
    help="What each session did and cost.",
    rich_markup_mode="rich",
    epilog="Examples: codemie-proxy sessions --since 7d --branch main, codemie-proxy sessions show last",
)


@app.callback(invoke_without_command=True)
@choosing
def sessions(
    context: typer.Context,
    given: Given,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="The newest so many.")] = 20,
    as_json: AsList = False,
) -> None:
    """Show the sessions, the one used last at the top; with filters what of them passes the filter."""
    if context.invoked_subcommand is None:
        from codemie_core.cli import sessions_views

        sessions_views.list_(given, limit, as_json)


@app.command(epilog="Example: codemie-proxy sessions show last")
def show(
    session: Annotated[
        str,
        typer.Argument(help='The start of its id, or "last".', autocompletion=known("session"), metavar="ID"),
    ] = LAST,
    as_json: AsJson = False,
) -> None:
    """Show one session: cost by model, tools, files."""
    from codemie_core.cli import sessions_views

    sessions_views.show(session, as_json)
