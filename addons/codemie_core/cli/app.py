"""The commands, put together. `--help` loads typer and nothing of the proxy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

try:
    import typer
except ModuleNotFoundError:
    # A wheel installed without its extra.
    sys.exit("codemie-proxy: the command line needs typer and rich: pip install 'codemie-proxy[cli]'")

from codemie_core.cli import (
    accounts,
    auth,
    config,
    daemon,
    demo,
    doctor,
    env,
    export,
    keys,
    logs,
    metrics,
    open_page,
    requests,
    run,
    sessions,
    shell_integration,
    start,
    stats,
    status,
    top,
    vault,
    version,
)
from codemie_core.errors import CodemieError

PROGRAM = "codemie-proxy"

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    # Local variables in a traceback may hold a credential.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps: [bold]codemie-proxy demo[/], then [bold]codemie-proxy run claude[/]. "
    "With CodeMie: [bold]codemie-proxy auth login[/], then the same, or [bold]codemie-proxy start[/]",
)
_USE, _LOOK, _SET_UP = "Run it", "See what happens", "Set it up"

app.command(epilog=run.EXAMPLES, context_settings=run.AS_IT_IS, rich_help_panel=_USE)(run.run)
app.command(cls=start.PassesOn, epilog=start.EXAMPLES, rich_help_panel=_USE)(start.start)
app.add_typer(daemon.app, name="daemon", rich_help_panel=_USE)
app.command(epilog=env.EXAMPLES, rich_help_panel=_USE)(env.env)
app.add_typer(shell_integration.app, name="shell-integration", rich_help_panel=_USE)
app.command(epilog="Example: codemie-proxy demo", rich_help_panel=_USE)(demo.demo)
app.command(epilog="Example: codemie-proxy status --json | jq '.\\[].addresses'", rich_help_panel=_LOOK)(status.status)
app.command(epilog=doctor.EXAMPLES, rich_help_panel=_LOOK)(doctor.doctor)
app.command("open", epilog=open_page.EXAMPLES, rich_help_panel=_LOOK)(open_page.open_page)
app.command(epilog=top.EXAMPLES, rich_help_panel=_LOOK)(top.top)
app.command(epilog=stats.EXAMPLES, rich_help_panel=_LOOK)(stats.stats)
app.add_typer(sessions.app, name="sessions", rich_help_panel=_LOOK)
app.add_typer(requests.app, name="requests", rich_help_panel=_LOOK)
app.command(epilog=logs.EXAMPLES, rich_help_panel=_LOOK)(logs.logs)
app.command(epilog=export.EXAMPLES, rich_help_panel=_LOOK)(export.export)
app.add_typer(metrics.app, name="metrics", rich_help_panel=_LOOK)
app.add_typer(accounts.app, name="accounts", rich_help_panel=_SET_UP)
app.add_typer(auth.app, name="auth", rich_help_panel=_SET_UP)
app.add_typer(keys.app, name="keys", rich_help_panel=_SET_UP)
app.add_typer(vault.app, name="vault", rich_help_panel=_SET_UP)
app.add_typer(config.app, name="config", rich_help_panel=_SET_UP)
app.command(epilog="Example: codemie-proxy version", rich_help_panel=_SET_UP)(version.version)


def _print_version(wanted: bool) -> None:
    if wanted:
        version.print_short()
        raise typer.Exit()


@app.callback()
def codemie_proxy(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The gateway between coding agents and their model APIs."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; `arguments` default to those of the process. Ends in SystemExit."""
    try:
        app(args=arguments, prog_name=PROGRAM)
    except CodemieError as problem:
        sys.exit(f"{PROGRAM}: {problem}")
