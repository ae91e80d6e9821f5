"""`codemie-proxy accounts list` and `show`: how the accounts are, as a proxy started now would see them."""

from __future__ import annotations

import json

import typer

from codemie_core.accounts import words
from codemie_core.accounts.account import Account
from codemie_core.accounts.roster import NONE_YET, accounts, one, statuses
from codemie_core.accounts.state import Status
from codemie_core.cli.accounts_book import Book
from codemie_core.cli.accounts_events import event_as_json, event_line
from codemie_core.cli.accounts_output import new_table, print_rows, print_table

LAST_EVENTS = 5


def list_(as_json: bool) -> None:
    """All of them."""
    book = Book()
    now = book.clock()
    found: list[tuple[Account, Status]] = []
    if book.begun:
        with book.reading() as connection:
            listed = accounts(connection)
            known = statuses(connection, listed, now)
            found = [(account, known[account.id]) for account in listed]
    if as_json:
        typer.echo(json.dumps([words.as_json(account, status, now) for account, status in found], indent=2))
    elif not found:
        typer.echo(f"T{NONE_YET[1:]}\nUntil then clients' own keys pass through untouched.")
    else:
        _print(found, now)


def show(name: str, as_json: bool) -> None:
    """One of them, with what happened last."""
    from codemie_core.store.audit import events

    book = Book()
    now = book.clock()
    with book.reading() as connection:
        account = one(connection, name)
        status = statuses(connection, accounts(connection), now)[account.id]
        happened = events(connection, account.id, LAST_EVENTS)
    if as_json:
        shown = {**words.as_json(account, status, now), "events": [event_as_json(event) for event in happened]}
        typer.echo(json.dumps(shown, indent=2))
        return
    rows = words.lines(account, status, now)
    print_rows([*rows, ("Last events", "\n".join(event_line(event) for event in happened) or "none")])


def _print(found: list[tuple[Account, Status]], now: float) -> None:
    from rich.text import Text

    several = len({account.origin for account, _ in found}) > len({account.provider for account, _ in found})
    table = new_table("Name", "Provider", "Priority", "State", "Used", "Conversations", "Why")
    for account, status in found:
        why = [status.reason if status.state != "paused" else ""]
        why += [f"without {words.model_words(out, now)}" for out in status.models]
        table.add_row(
            account.name,
            f"{account.provider} at {account.base_url}" if several else account.provider,
            str(account.priority),
            Text(words.state_words(account, status, now), style=words.style(status)),
            words.used(status),
            str(status.conversations or "-"),
            "\n".join(filter(None, why)) or "-",
            style="dim" if status.state == "paused" else None,
        )
    print_table(table)
    for account, status in found:
        if fix := words.remedy(account, status):
            typer.echo(f"{account.name}: {fix}", err=True)
