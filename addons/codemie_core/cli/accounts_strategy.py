"""`codemie-proxy accounts strategy`: how an account is chosen, for all proxies of this store."""

from __future__ import annotations

import json
from collections.abc import Mapping

import typer

from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.cli.accounts_book import Book, operator
from codemie_core.cli.accounts_output import NOTICE, new_table, print_table, say
from codemie_core.errors import SettingsError
from codemie_core.settings import nearest

SETTING = "account_rotation.strategy"
VARIABLE = "CODEMIE_ACCOUNT_ROTATION_STRATEGY"
DEFAULT = "session"

WORDS: Mapping[str, str] = {
    "session": "a new conversation takes the lowest priority number, equals share by weight; it stays for 5 h",
    "global-session": "all clients share one account for 5 h, then the first that is free",
    "least-used": "a new conversation takes the account that has used least of its limits",
    "drain-soonest": "a new conversation takes the account whose limit resets first, before the rest of it is lost",
}


def strategy(name: str, as_json: bool) -> None:
    """Show it; with a name, use that one from now on."""
    book = Book()
    if name and name not in STRATEGIES:
        close = nearest(name, STRATEGIES)
        meant = f"did you mean {close!r}? There are" if close else "there are"
        raise SettingsError(f"there is no strategy {name!r}; {meant}: {', '.join(STRATEGIES)}")
    if name:
        _choose(book, name)
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


def _choose(book: Book, name: str) -> None:
    from codemie_core.store.audit import record
    from codemie_core.store.settings import put_setting

    with book.writing() as connection:
        put_setting(connection, SETTING, name)
        record(connection, "", "", "strategy", name, operator())


def _stored(book: Book) -> str:
    from codemie_core.store.settings import load_settings

    if not book.begun:
        return ""
    with book.reading() as connection:
        found = load_settings(connection).get(SETTING)
    return found if isinstance(found, str) and found in STRATEGIES else ""


def _print(current: str) -> None:
    table = new_table("", "Strategy", "What it does")
    for name, text in WORDS.items():
        table.add_row("*" if name == current else "", name, text, style="bold" if name == current else None)
    print_table(table)
