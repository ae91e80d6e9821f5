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
    epilog="First steps: [bold]codemie-proxy demo[/], then [bold]codemie-proxy start https://api.anthropic.com[/]. "
    "With CodeMie: [bold]codemie-proxy auth login[/], then [bold]codemie-proxy start[/]",
)
app.command(cls=start.PassesOn, epilog=start.EXAMPLES)(start.start)
app.command(epilog=run.EXAMPLES, context_settings=run.AS_IT_IS)(run.run)
app.command(epilog=env.EXAMPLES)(env.env)
app.add_typer(shell_integration.app, name="shell-integration")
app.command(epilog="Example: codemie-proxy demo")(demo.demo)
app.add_typer(daemon.app, name="daemon")
app.command(epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(accounts.app, name="accounts")
app.add_typer(auth.app, name="auth")
app.add_typer(keys.app, name="keys")
app.add_typer(vault.app, name="vault")
app.add_typer(config.app, name="config")
app.command(epilog=stats.EXAMPLES)(stats.stats)
app.add_typer(sessions.app, name="sessions")
app.add_typer(requests.app, name="requests")
app.add_typer(metrics.app, name="metrics")
app.command(epilog=export.EXAMPLES)(export.export)
app.command(epilog=logs.EXAMPLES)(logs.logs)
app.command("open", epilog=open_page.EXAMPLES)(open_page.open_page)
app.command(epilog="Example: codemie-proxy status --json | jq '.\\[].addresses'")(status.status)
app.command(epilog=top.EXAMPLES)(top.top)
app.command(epilog="Example: codemie-proxy version")(version.version)


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
