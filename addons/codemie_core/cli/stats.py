"""`codemie-proxy stats`: how much, how fast, how well, and at what cost."""

from __future__ import annotations

from typing import Annotated

import typer

from codemie_core.cli.history_book import Given
from codemie_core.cli.history_options import AsJson, choosing

EXAMPLES = """[bold]Examples[/]

codemie-proxy stats    (today, 7 days, 30 days)

codemie-proxy stats --last-session    (what the last session cost)

codemie-proxy stats --since 7d --by branch --project shop

codemie-proxy stats --since 30d --bucket 1d

codemie-proxy stats --since 24h --by tool

codemie-proxy stats --json | jq .periods.today.cost_usd"""


@choosing
def stats(
    given: Given,
    by: Annotated[
        str,
        typer.Option(
            help="A row for each model, account, agent, session, conversation, project, branch, key or tool.",
            metavar="WHAT",
            show_default=False,
        ),
    ] = "",
    bucket: Annotated[
        str, typer.Option(help="A row for each 1h, 6h, 24h (1d), 7d or 30d.", metavar="TIME", show_default=False)
    ] = "",
    last_session: Annotated[bool, typer.Option("--last-session", help="Only the last session: what it cost.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many rows with --by.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what the agents used: requests, errors, tokens, cache, latency, cost.

    Without options for today, 7 days and 30 days.
    """
    from codemie_core.cli import stats_views

    stats_views.show(given, by, bucket, last_session, limit, as_json)
