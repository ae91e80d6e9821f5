"""`codemie-proxy keys`: who may use the proxies of this CodeMie home."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from codemie_core.access.client_keys import ClientKey, KeyStore
    from codemie_core.places import Places

app = typer.Typer(
    no_args_is_help=True,
    help="Give clients keys. As soon as there is one, a proxy asks everybody for a key.",
    rich_markup_mode="rich",
    epilog="Example: codemie-proxy keys add ann",
)


@app.command(epilog="Example: codemie-proxy keys add ann")
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is; shown in the log.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one object.")] = False,
) -> None:
    """Make a key and print it. It is printed this once: the file holds only its hash."""
    import json

    from codemie_core.access.key_use import address_for_clients, environment
    from codemie_core.launch.client_key import VARIABLE

    store, places = _store()
    first = not store.ring()
    entry, secret = store.add(name)
    settings = environment(entry.name, secret.get_secret_value(), address_for_clients(places))
    if as_json:
        shown = {**_shown(entry), "key": secret.get_secret_value(), "environment": settings}
        typer.echo(json.dumps(shown, indent=2))
    else:
        typer.echo(f"The key of {entry.name}, shown only now:\n\n  {secret.get_secret_value()}\n")
        typer.echo("For an agent, one of these beside its base URL, or the last one alone:\n")
        for variable, value in settings.items():
            typer.echo(f"  {variable}={value}")
        typer.echo(f"\n`codemie-proxy run` and `env` take it from here:\n\n  {VARIABLE}={secret.get_secret_value()}")
    if first:
        typer.echo(
            "\nThis is the first key: from now on every client needs one, those on this machine too. "
            "Running proxies notice within a second.",
            err=True,
        )


@app.command(name="list", epilog="Example: codemie-proxy keys list --json | jq '.\\[].name'")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a list of objects.")] = False,
) -> None:
    """Show the keys: whose, since when, and whether they are revoked. Never the keys themselves."""
    import json

    store, _ = _store()
    found = store.ring().keys
    if as_json:
        typer.echo(json.dumps([_shown(entry) for entry in found], indent=2))
    elif not found:
        typer.echo("There are no keys: every program on this machine may use the proxy, and nobody else.")
    else:
        _print_table(found)


@app.command(epilog="Example: codemie-proxy keys revoke ann")
def revoke(
    name_or_id: Annotated[str, typer.Argument(help="The name, or the id from the list.", show_default=False)],
) -> None:
    """Take a key back. It stays in the list; its holder is stopped within a second."""
    store, _ = _store()
    entry = store.revoke(name_or_id)
    typer.echo(f"Revoked the key of {entry.name} ({entry.id})")
    if not any(key.active for key in store.ring().keys):
        typer.echo(
            "It was the last one: now nobody is let in. Make another (codemie-proxy keys add), or, to let every "
            f"program on this machine in again, remove {store.path} and restart the proxy.",
            err=True,
        )


def _store() -> tuple[KeyStore, Places]:
    from codemie_core.access.client_keys import KeyStore
    from codemie_core.places import Places

    places = Places.from_env(os.environ)
    return KeyStore(places), places


def _shown(entry: ClientKey) -> dict[str, object]:
    found: dict[str, object] = entry.model_dump(mode="json", exclude={"sha256"})
    return found


def _print_table(found: tuple[ClientKey, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("ID", "Name", "Since", "Revoked", box=None, header_style="bold", pad_edge=False)
    for entry in found:
        since, until = entry.created_at, entry.revoked_at
        revoked = f"{until:%Y-%m-%d %H:%M}" if until else "-"
        table.add_row(entry.id, entry.name, f"{since:%Y-%m-%d %H:%M}", revoked, style=None if entry.active else "dim")
    Console(highlight=False, markup=False, width=None if os.isatty(1) else 160).print(table)
