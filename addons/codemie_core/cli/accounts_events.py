"""`codemie-proxy accounts events`: what happened to accounts, when, why, and who did it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from codemie_core.accounts import words
from codemie_core.accounts.roster import past_id
from codemie_core.cli.accounts_book import Book
from codemie_core.cli.accounts_output import new_table, print_table
from codemie_core.redact import redact_text

if TYPE_CHECKING:
    from codemie_core.store.audit import Event


def events(name: str, limit: int, as_json: bool) -> None:
    """The newest so many, the newest last: that is where a terminal leaves the eye."""
    book = Book()
    found: list[Event] = []
    if book.begun:
        found = _found(book, name, limit)
    if as_json:
        typer.echo(json.dumps([event_as_json(event) for event in found], indent=2))
    elif not found:
        typer.echo("Nothing has happened yet.")
    else:
        _print(found)


def event_as_json(event: Event) -> dict[str, Any]:
    """For programs. Times are ISO 8601 in UTC."""
    return {
        "at": words.moment(event.at),
        "account": event.account_name or None,
        "account_id": event.account_id or None,
        "event": event.event,
        "reason": redact_text(event.reason) or None,
        "who": event.who,
    }


def event_line(event: Event) -> str:
    """Like `2026-08-21 12:03 paused by ann, command line: holidays`."""
    reason = f": {redact_text(event.reason)}" if event.reason else ""
    return f"{words.local(event.at)} {event.event} by {event.who}{reason}"


def _found(book: Book, name: str, limit: int) -> list[Event]:
    from codemie_core.store.audit import events as newest

    with book.reading() as connection:
        return list(reversed(newest(connection, past_id(connection, name) if name else None, limit)))


def _print(found: list[Event]) -> None:
    table = new_table("When", "Account", "What", "Why", "Who")
    for event in found:
        reason = redact_text(event.reason) or "-"
        table.add_row(words.local(event.at), event.account_name or "all", event.event, reason, event.who)
    print_table(table)
