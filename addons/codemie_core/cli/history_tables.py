"""The tables in which the history's commands answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from codemie_core.amounts import FOOTNOTE, NONE, UNKNOWN, count, money, plain, share, span, spans, tokens
from codemie_core.cli.accounts_output import new_table, print_table, say

if TYPE_CHECKING:
    from codemie_core.store.analytics import Latency, ToolFigures
    from codemie_core.store.figures import Figures
    from codemie_core.store.sessions import FileChange

type Cells = Sequence[str]

COLUMNS = ("Requests", "Errors", "Read", "From cache", "Written", "Cost")


def cells(figures: Figures) -> Cells:
    """Below `COLUMNS`."""
    return (
        count(figures.requests),
        errors(figures),
        _known(figures.prompt_tokens, figures),
        share(figures.cache_hit_rate),
        _known(figures.output_tokens, figures),
        money(figures.cost_nano_usd, figures.unpriced),
    )


def _known(number: int | None, figures: Figures) -> str:
    return NONE if number is None and not figures.uncounted else tokens(number)


def errors(figures: Figures) -> str:
    """Like 3 (0.4%)."""
    return f"{figures.errors:,} ({share(figures.error_rate)})" if figures.errors else "0" if figures.requests else NONE


def draw(names: int, columns: Iterable[str], rows: Iterable[Cells]) -> None:
    """A table whose first columns are names, and the others numbers."""
    table = new_table(*columns)
    for column in table.columns[names:]:
        column.justify = "right"
    for column in table.columns:
        column.no_wrap = True
    for row in rows:
        table.add_row(*row)
    print_table(table)


def draw_groups(title: str, found: Mapping[str, Figures], times: Mapping[str, Latency] | None = None) -> None:
    """Models, accounts, ... with what is counted of them, and how long they took."""
    columns = (title, *COLUMNS, *(("p50 / p95", "First token p50 / p95") if times is not None else ()))
    rows = []
    for name, figures in found.items():
        row = (plain(name), *cells(figures))
        if times is not None and (took := times.get(name)) is not None:
            row += (spans(took.total.p50, took.total.p95), spans(took.first_token.p50, took.first_token.p95))
        rows.append(row)
    draw(1, columns, rows)


def draw_periods(periods: Mapping[str, tuple[Figures, Latency]]) -> None:
    """Spans of time beside each other."""
    found = list(periods.values())
    rows = {
        "Requests": [count(figures.requests) for figures, _ in found],
        "Errors": [errors(figures) for figures, _ in found],
        "Tokens read": [cells(figures)[2] for figures, _ in found],
        "  from cache": [share(figures.cache_hit_rate) for figures, _ in found],
        "Tokens written": [cells(figures)[4] for figures, _ in found],
        "  per second": [speed(figures) for figures, _ in found],
        "Answer, p50 / p95": [spans(times.total.p50, times.total.p95) for _, times in found],
        "First token, p50 / p95": [spans(times.first_token.p50, times.first_token.p95) for _, times in found],
        "Cost": [cells(figures)[5] for figures, _ in found],
    }
    draw(1, ("", *periods), ([name, *values] for name, values in rows.items()))


def draw_tools(found: Iterable[ToolFigures]) -> None:
    """Tools, and how their calls went."""
    rows = [
        (plain(tool.name), count(tool.calls), count(tool.ok), count(tool.failed), count(tool.unknown)) for tool in found
    ]
    draw(1, ("Tool", "Calls", "Went well", "Failed", "Not told"), rows)


def draw_files(found: Iterable[FileChange]) -> None:
    """Files, and the lines that came and went."""
    rows = [
        (plain(each.path), plain(each.language), count(each.operations), lines(each.lines_added, each.lines_removed))
        for each in found
    ]
    draw(2, ("File", "Language", "Changes", "Lines"), rows)


def lines(added: int | None, removed: int | None) -> str:
    """Like +12 -3."""
    return UNKNOWN if added is None and removed is None else f"+{added or 0} -{removed or 0}"


def speed(figures: Figures) -> str:
    """Tokens per second."""
    return "-" if figures.tokens_per_second is None else f"{figures.tokens_per_second:.0f}"


def lasted(figures: Figures) -> str:
    """How long it was from the first turn's begin to the last one's end."""
    return span(None if figures.first_ms is None else (figures.ended_ms or 0) - figures.first_ms)


def footnote(found: Iterable[Figures]) -> None:
    """Says so, when a cost is not known."""
    if any(figures.unpriced for figures in found):
        say(FOOTNOTE)


def blank() -> None:
    """Between two tables."""
    typer.echo()
