"""`codemie-proxy vault`: the key that seals the accounts' secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from codemie_core.cli.accounts import accounts as with_libraries

if TYPE_CHECKING:
    from codemie_core.vault_rotation import VaultStatus

NOTHING = "Nothing is sealed yet: the first account whose secret goes into the vault makes its key."

app = typer.Typer(
    no_args_is_help=True,
    help="The vault: what is secret in the database is sealed with its key.",
    rich_markup_mode="rich",
    epilog="Example: codemie-proxy vault status",
)
app.callback()(with_libraries)

AsJson = Annotated[bool, typer.Option("--json", help="For programs: one object.")]


@app.command(epilog="Example: codemie-proxy vault status --json | jq .key")
def status(as_json: AsJson = False) -> None:
    """Show where the key is, which one, since when, and whether it opens everything. Ends with 1 when not."""
    from codemie_core.cli.accounts_book import Book
    from codemie_core.cli.accounts_output import print_rows, result, say
    from codemie_core.vault_rotation import vault_status

    book, found = Book(), None
    if book.begun:
        with book.reading() as connection:
            found = vault_status(connection, book.places, book.environ)
    if found is None:
        result(NOTHING, _shown(None), as_json)
        return
    if as_json:
        result("", _shown(found), as_json)
    else:
        print_rows(_words(found))
    for name in found.broken:
        say(f"{name}: what is sealed for it does not open; give it a new secret: codemie-proxy accounts key {name}")
    if found.broken:
        raise typer.Exit(1)


@app.command(epilog="Example: codemie-proxy vault rotate")
def rotate(as_json: AsJson = False) -> None:
    """Seal everything with a new key. Running proxies go on; a crash at any point loses nothing."""
    from codemie_core.cli.accounts_book import Book, operator
    from codemie_core.cli.accounts_output import NOTICE, result, say
    from codemie_core.store.place import DATABASE_VARIABLE
    from codemie_core.vault_rotation import rotate as rotate_key

    book = Book()
    with book.writing() as connection:
        found = rotate_key(connection, book.places, book.environ, operator(), round(book.clock() * 1000))
    result(f"{_count(found)} sealed with the new key {found.key_id}, which is in {found.place}", _shown(found), as_json)
    say(f"{NOTICE} The key before it is kept until the next rotation: copies of the database from before need it.")
    if book.environ.get(DATABASE_VARIABLE):
        say(f"Proxies of other homes that share this database need the new key: copy {found.place} to them.")


def _shown(found: VaultStatus | None) -> dict[str, object]:
    if found is None:
        return {"place": None, "key": None, "since": None, "secrets": 0, "broken": [], "former": []}
    return {
        "place": found.place,
        "key": found.key_id,
        "since": _date(found.since_ms),
        "secrets": found.secrets,
        "broken": list(found.broken),
        "former": list(found.former),
    }


def _words(found: VaultStatus) -> list[tuple[str, str]]:
    from codemie_core.accounts.words import local

    opens = ", which opens" if found.secrets == 1 else ", all of which open"
    broken = f"; what is sealed for {', '.join(found.broken)} does not open" if found.broken else opens
    return [
        ("Key", f"{found.key_id}, in {found.place}"),
        ("Since", local(found.since_ms / 1000)),
        ("Sealed with it", _count(found) + (broken if found.secrets else "")),
        ("Kept beside it", ", ".join(found.former) or "-"),
    ]


def _count(found: VaultStatus) -> str:
    return f"{found.secrets} secret{'' if found.secrets == 1 else 's'}"


def _date(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
