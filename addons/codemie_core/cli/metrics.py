"""`codemie-proxy metrics`: what is told to CodeMie about sessions, what waits, and sending it now."""

from __future__ import annotations

from typing import Annotated

import typer

from codemie_core.cli.accounts import accounts as with_libraries

app = typer.Typer(
    no_args_is_help=True,
    help="Session metrics: how much was done in each session, for CodeMie's API.",
    rich_markup_mode="rich",
    epilog="See what would be sent: [bold]codemie-proxy metrics sync --dry-run[/]",
)
app.callback()(with_libraries)

AsJson = Annotated[bool, typer.Option("--json", help="For programs: one object.")]


@app.command(epilog="Example: codemie-proxy metrics status --json | jq .waiting")
def status(as_json: AsJson = False) -> None:
    """Show whether metrics are written and sent, where to, how much waits and what went wrong last."""
    from codemie_core.cli.accounts_output import print_rows, result
    from codemie_core.cli.metrics_home import MetricsHome, status_rows

    found = MetricsHome.here().status()
    if as_json:
        result("", found.shown(), True)
    else:
        print_rows(status_rows(found))


@app.command(epilog="Example: codemie-proxy metrics sync --dry-run")
def sync(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: print what would be sent, byte for byte.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send what waits now, also where the proxies' own sync is off. Ends with 1 while something still waits."""
    from codemie_core.cli.accounts_output import result, say
    from codemie_core.cli.auth_context import run
    from codemie_core.cli.metrics_home import MetricsHome, letter_lines, shown_letter

    home = MetricsHome.here()
    home.require()
    if dry_run:
        letters = run(home.preview())
        lines = [line for letter in letters for line in letter_lines(home.url, letter)]
        result("\n".join(lines) or "Nothing waits.", [shown_letter(home.url, letter) for letter in letters], as_json)
        return
    report = run(home.sync())
    text = f"Sent {report.sent} records, {report.waiting} wait." if report.sent or report.waiting else "Nothing waits."
    shown = {"sent": report.sent, "waiting": report.waiting, "problem": report.problem, "busy": report.busy}
    if report.busy:
        text = "A proxy is sending just now: try again in a moment."
    result(text, shown, as_json)
    if report.problem:
        say(f"Not sent: {report.problem}")
    if report.busy or report.waiting or report.problem:
        raise typer.Exit(1)


@app.command(epilog="Example: codemie-proxy metrics show")
def show(
    session: Annotated[
        str, typer.Argument(help="A session's id, or its beginning; without it all sessions.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List the sessions with what is written and sent of each; of one session show all that was sent, byte for byte."""
    from codemie_core.cli.accounts_output import result
    from codemie_core.cli.metrics_home import MetricsHome
    from codemie_core.cli.metrics_sessions import one_session, print_session, print_sessions, sessions

    home = MetricsHome.here()
    if session:
        found = one_session(home, session)
        result("", found.shown(), True) if as_json else print_session(found)
        return
    listed = sessions(home)
    result("", [each.shown() for each in listed], True) if as_json else print_sessions(listed)
