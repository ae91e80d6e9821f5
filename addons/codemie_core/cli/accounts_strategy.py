"""`codemie-proxy accounts strategy`: how an account is chosen, for all proxies of this store."""

from __future__ import annotations

import json

import typer

from codemie_core.accounts.strategy_choice import DEFAULT, VARIABLE, WORDS, check, choose, chosen
from codemie_core.cli.accounts_book import Book, operator
from codemie_core.cli.accounts_output import NOTICE, new_table, print_table, say


def strategy(name: str, as_json: bool) -> None:
    """Show it; with a name, use that one from now on."""
    book = Book()
    if name:
        check(name)
        with book.writing() as connection:
            choose(connection, name, operator())
    stored = _stored(book)
    current, source = book.setting("account_rotation", "strategy")
    pinned = source == VARIABLE
    if stored and not pinned:
        current, source = stored, "store"
    current, source = current or DEFAULT, source or "default"
    if as_json:
        shown = {"strategy": current, "from": source, "stored": stored, "strategies": dict(WORDS)}
        typer.echo(json.dumps(shown, indent=2))
        return
    if name:
        typer.echo(f"Accounts are chosen by {name} from now on: {WORDS[name]}")
    else:
        _print(current)
    if name:
        say(f"{NOTICE} Conversations that have an account keep it.")
    if pinned:
        say(f"{VARIABLE}={current} is set here, and stands above this for every proxy that is started with it.")


def _stored(book: Book) -> str:
    if not book.begun:
        return ""
    with book.reading() as connection:
        return chosen(connection)


def _print(current: str) -> None:
    table = new_table("", "Strategy", "What it does")
    for name, text in WORDS.items():
        table.add_row("*" if name == current else "", name, text, style="bold" if name == current else None)
    print_table(table)
