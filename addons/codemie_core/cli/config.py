"""`codemie-proxy config`: the settings file, what it can hold, what it means and what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Write, look at and check the settings.",
    rich_markup_mode="rich",
    epilog="Example: codemie-proxy config init, edit the file it names, codemie-proxy config validate",
)


@app.command(epilog="Example: codemie-proxy config init")
def init(
    path: Annotated[
        Path | None,
        typer.Option(help="Where to write it, instead of proxy/codemie.yaml in the CodeMie home.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a codemie.yaml that names and explains every setting, all of them commented out."""
    from codemie_core.cli.declared import Declarations
    from codemie_core.cli.template import template
    from codemie_core.errors import SettingsError
    from codemie_core.places import Places

    places = Places.from_env(os.environ)
    wanted = path.expanduser().absolute() if path else places.config
    if wanted.exists() and not force:
        raise SettingsError(f"{wanted} exists: --force replaces it, --path writes another file")
    places.write_private(wanted, template(Declarations.of_bundle().sections).encode())
    typer.echo(f"Wrote {wanted}")
    if wanted != places.config:
        typer.echo(f"To use it: CODEMIE_CONFIG={wanted}")


@app.command(epilog="Example: CODEMIE_UPSTREAM_ATTEMPTS_MAX_ATTEMPTS=5 codemie-proxy config show --changed")
def show(
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not at its default.")] = False,
) -> None:
    """Show every setting: its value at a start now and where that comes from."""
    from rich.console import Console
    from rich.table import Table

    from codemie_core.cli.declared import Declarations
    from codemie_core.places import Places
    from codemie_core.redact import redact_text
    from codemie_core.sources import read_layers

    declarations = Declarations.of_bundle()
    layers = read_layers(Places.from_env(os.environ), os.environ, {})
    table = Table("Setting", "Value", "From", box=None, header_style="bold", pad_edge=False)
    for found in declarations.resolve(layers):
        if found.source != "default" or not changed:
            dim = "dim" if found.source == "default" else None
            # People paste keys into the oddest settings.
            table.add_row(found.setting.key, redact_text(shown(found.value)), found.source, style=dim)
    Console(highlight=False, markup=False, width=None if os.isatty(1) else 160).print(table)
    problems = declarations.problems(layers)
    if problems:
        typer.echo(f"{len(problems)} cannot be used: codemie-proxy config validate", err=True)


@app.command(epilog="Example: codemie-proxy config validate ./codemie.yaml && echo fine")
def validate(
    path: Annotated[
        Path | None,
        typer.Argument(help="The file; without it the one that a start would read.", show_default=False),
    ] = None,
) -> None:
    """Check the settings file, the environment and the CodeMie profile; one line for each problem."""
    from codemie_core.cli.declared import Declarations
    from codemie_core.places import Places
    from codemie_core.sources import read_layers

    named = {"codemie_config": str(path.expanduser().absolute())} if path else {}
    layers = read_layers(Places.from_env(os.environ), os.environ, named)
    problems = list(dict.fromkeys(Declarations.of_bundle().problems(layers)))
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)
    there = "is fine" if Path(layers.file_name).is_file() else "does not exist, the defaults are in force"
    typer.echo(f"{layers.file_name} {there}")


@app.command(epilog="Example: codemie-proxy config schema > codemie.schema.json")
def schema() -> None:
    """Print the JSON Schema of codemie.yaml."""
    import json

    from codemie_core.cli.declared import Declarations
    from codemie_core.schema import config_schema

    typer.echo(json.dumps(config_schema(Declarations.of_bundle().sections), indent=2))


def shown(value: object) -> str:
    """A value for people."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else str(value)
