"""What `codemie-proxy sessions` shows."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import typer

from codemie_core.amounts import count, money, plain, several, share, short, spans, tokens, when
from codemie_core.cli import history_json, history_tables
from codemie_core.cli.accounts_output import print_rows
from codemie_core.cli.history_book import NO_HISTORY, NOTHING_FOUND, NOTHING_YET, Given, HistoryBook, session_id
from codemie_core.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.store.sessions import Session

FILES = 10
"""Files that are shown; --json has all."""


def list_(given: Given, limit: int, as_json: bool) -> None:
    """Those that have turns of these."""
    from codemie_core.store.filters import EVERYTHING
    from codemie_core.store.sessions import sessions

    book = HistoryBook()
    found: list[Session] = []
    asked = None
    with book.database(given) as database:
        if database is not None:
            with database.reading() as connection:
                asked = book.filter(connection, given)
                found = sessions(connection, asked, limit)
    if as_json:
        typer.echo(json.dumps([history_json.session(each) for each in found], indent=2))
    elif not found:
        typer.echo(NOTHING_YET if asked in (None, EVERYTHING) else NOTHING_FOUND)
    else:
        columns = ("Id", "Last used", "Lasted", "Agent", "Project", "Branch", *history_tables.COLUMNS)
        history_tables.draw(6, columns, [_row(each) for each in found])
        history_tables.footnote(each.figures for each in found)


def show(start: str, as_json: bool) -> None:
    """One of them."""
    with HistoryBook().database() as database:
        if database is None:
            raise SettingsError(NO_HISTORY)
        with database.reading() as connection:
            found = session_id(connection, start)
            if as_json:
                typer.echo(json.dumps(session_as_json(connection, found), indent=2))
            else:
                draw_session(connection, found)


def session_as_json(connection: Connection, whole_id: str) -> dict[str, Any]:
    """All of one session."""
    from codemie_core.store import analytics
    from codemie_core.store.filters import Filter
    from codemie_core.store.sessions import changed_files, sessions

    asked = Filter(sessions=(whole_id,))
    [seen] = sessions(connection, asked)
    latency = analytics.latency(connection, asked)
    models = analytics.by(connection, "model", asked)
    return {
        **history_json.session(seen),
        **history_json.figures(seen.figures, latency),
        "models": [{"model": name or None, **history_json.figures(figures)} for name, figures in models.items()],
        "branches": [name or None for name in analytics.by(connection, "branch", asked)],
        "tools": [dataclasses.asdict(tool) for tool in analytics.tools(connection, asked)],
        "files": [dataclasses.asdict(file) for file in changed_files(connection, asked)],
    }


def draw_session(connection: Connection, whole_id: str) -> None:
    """For a person: what it was, what it cost, and what for."""
    from codemie_core.store import analytics
    from codemie_core.store.filters import Filter
    from codemie_core.store.sessions import changed_files, sessions

    asked = Filter(sessions=(whole_id,))
    [seen] = sessions(connection, asked)
    latency = analytics.latency(connection, asked)
    models = analytics.by(connection, "model", asked)
    branches = analytics.by(connection, "branch", asked)
    print_rows(
        [
            ("Session", plain(seen.id)),
            *_labels(seen, list(branches)),
            ("Time", f"{when(seen.figures.first_ms or 0)}, {history_tables.lasted(seen.figures)}"),
            ("Requests", _requests(seen)),
            ("Tokens", _tokens(seen)),
            ("Answer", f"{spans(latency.total.p50, latency.total.p95)} (p50 / p95)"),
            ("First token", f"{spans(latency.first_token.p50, latency.first_token.p95)} (p50 / p95)"),
            ("Cost", money(seen.figures.cost_nano_usd, seen.figures.unpriced)),
        ]
    )
    for parts, title in ((models, "Model"), (branches, "Branch")):
        if len(parts) > 1 or title == "Model":
            history_tables.blank()
            history_tables.draw_groups(title, parts)
    if tools := analytics.tools(connection, asked):
        history_tables.blank()
        history_tables.draw_tools(tools)
    if files := changed_files(connection, asked):
        history_tables.blank()
        history_tables.draw_files(files[:FILES])
        if len(files) > FILES:
            typer.echo(f"and {len(files) - FILES} files more")
    history_tables.footnote([seen.figures])


def _labels(seen: Session, branches: list[str]) -> list[tuple[str, str]]:
    rows = [
        ("Agent", seen.agent),
        ("Project", seen.project),
        ("Repository", seen.repository),
        ("Branch", ", ".join(filter(None, branches))),
        ("Account", "several" if "account" in seen.several else seen.account),
        ("Client key", seen.client_key),
    ]
    return [(name, plain(text)) for name, text in rows if text]


def _requests(seen: Session) -> str:
    figures = seen.figures
    parts = [count(figures.requests)]
    parts += [f"{history_tables.errors(figures)} failed"] if figures.errors else []
    parts += [several(figures.prompts, "prompt"), several(figures.tool_calls, "tool call")]
    return ", ".join(parts)


def _tokens(seen: Session) -> str:
    figures = seen.figures
    cached = "" if figures.cache_hit_rate is None else f" ({share(figures.cache_hit_rate)} from cache)"
    return f"{tokens(figures.prompt_tokens)} read{cached}, {tokens(figures.output_tokens)} written"


def _row(seen: Session) -> list[str]:
    names = [plain(getattr(seen, name)) + (", ..." if name in seen.several else "") for name in _NAMES]
    return [
        short(seen.id),
        when(seen.figures.last_ms or 0),
        history_tables.lasted(seen.figures),
        *names,
        *history_tables.cells(seen.figures),
    ]


_NAMES = ("agent", "project", "branch")
