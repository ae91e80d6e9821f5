"""`codemie-proxy daemon`: the proxy in the background."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from codemie_core.cli.start import PASSED_ON, ListenHostOption, PassesOn, ProfileOption, RegularOption

if TYPE_CHECKING:
    from codemie_core.daemon.control import Look
    from codemie_core.places import Places

EXAMPLES = """[bold]Examples[/]

codemie-proxy daemon start https://api.anthropic.com

codemie-proxy daemon start --regular --port 9000

codemie-proxy daemon start --profile work -- --set codemie_hosts=api.example.com"""
PERIOD = 0.25
"""Seconds between two looks at the log."""

app = typer.Typer(
    no_args_is_help=True,
    help="Run the proxy in the background: it outlives the terminal, and is started anew when it fails.",
    rich_markup_mode="rich",
    epilog="Example: codemie-proxy daemon start https://api.anthropic.com",
)
PATIENCE = 10.0
"""Seconds: a turn that is nearly through is not paid for twice, and nobody takes us to hang."""
Wait = Annotated[
    float, typer.Option(min=0, help="Seconds to wait, at most, for open requests to end; then they are cut.")
]
Now = Annotated[bool, typer.Option("--now", help="Cut open requests at once, as --wait 0 does.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one object.")]


@app.command(cls=PassesOn, epilog=EXAMPLES)
def start(
    context: typer.Context,
    target: Annotated[
        str | None, typer.Argument(help="The model API, as with `start`.", metavar="TARGET", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")] = 8080,
    listen_host: ListenHostOption = "127.0.0.1",
    profile: ProfileOption = "",
    regular: RegularOption = False,
    retarget: Annotated[
        list[str] | None,
        typer.Option(
            help="With --regular: send the model calls of a host elsewhere, as with `start`.",
            metavar="HOST=URL",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch/--no-watch", help="Start it anew, on the same port, when it ends or hangs.")
    ] = True,
) -> None:
    """Start the proxy in the background, and wait until it serves. Ends with 1 when it does not.

    Everything after -- goes to mitmdump as it is, and so it may hold no password.
    """
    from codemie_core.daemon import control
    from codemie_core.daemon.order import Order
    from codemie_core.launch.child import open_standard_files

    open_standard_files()
    passed_on = tuple(context.meta[PASSED_ON])
    order = Order(target or "", regular, profile, listen_host, port, watch, tuple(retarget or ()), passed_on)
    found, started = control.start(_places(), order, os.environ)
    _tell(found, "runs in the background" if started else "runs already")
    if found.condition != "ok":
        raise typer.Exit(1)


@app.command(epilog="Example: codemie-proxy daemon stop")
def stop(wait: Wait = PATIENCE, now: Now = False) -> None:
    """End it once no request is open, or after a while; by force when it has not ended 15 seconds later.

    Until then it serves as before, and Ctrl+C leaves it as it is.
    """
    from codemie_core.daemon import control

    _quiet(0 if now else wait)
    ended = control.stop(_places())
    typer.echo(f"Ended (it listened on port {ended.port})" if ended else "There was no daemon to end.")


@app.command(epilog="Example: codemie-proxy daemon restart")
def restart(wait: Wait = PATIENCE, now: Now = False) -> None:
    """End it, as `stop` does, and start it with the same arguments on the same port.

    It gets the environment of this shell.
    """
    from codemie_core.daemon import control

    _quiet(0 if now else wait)
    _tell(control.restart(_places(), os.environ), "runs again")


@app.command(epilog="Example: codemie-proxy daemon status --json | jq -r .state")
def status(as_json: AsJson = False) -> None:
    """Ask it how it is: ok, unhealthy, dead-socket or stopped, and what to do. Ends with 1 when it is not ok."""
    import json

    from codemie_core.daemon import control

    found = control.look(_places())
    if as_json:
        typer.echo(json.dumps(_shown(found), indent=2))
    else:
        _print(found)
    if found.condition != "ok":
        raise typer.Exit(1)


@app.command(epilog="Example: codemie-proxy daemon logs -f")
def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl+C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=100_000, help="The newest so many lines.")] = 50,
) -> None:
    """Show what it printed, the newest last. What happens to requests is in `codemie-proxy logs`."""
    import time

    from codemie_core.daemon.journal import Journal

    journal = Journal(_places())
    position = journal.size()
    if not position and not follow:
        typer.echo(f"There is nothing in {journal.file} yet.", err=True)
    for line in journal.last(lines, position):
        _say(line)
    if follow:
        for text in journal.follow(position):
            for line in text.splitlines():
                _say(line)
            time.sleep(0 if text else PERIOD)


def _places() -> Places:
    from codemie_core.places import Places

    return Places.from_env(os.environ)


def _quiet(seconds: float) -> None:
    from codemie_core.daemon import control

    def say(still: int) -> None:
        words = "1 request is open" if still == 1 else f"{still} requests are open"
        typer.echo(f"{words}: waiting, {seconds:g} s at most (--now does not)", err=True)

    if still := control.quiet(_places(), seconds, say):
        words = "1 request is still open, and is cut" if still == 1 else f"{still} requests are still open, and are cut"
        typer.echo(words, err=True)


def _tell(found: Look, words: str) -> None:
    state = found.state
    assert state is not None
    typer.echo(f"The proxy {words} (pid {state.pid}): {state.url}  ->  {_where(found)}")
    if found.condition != "ok" or found.fix:
        typer.echo(f"  it is {found.condition}: {found.words}; {found.fix}", err=True)
    agent = "codemie-proxy run --via https-proxy claude" if state.order.regular else "codemie-proxy run claude"
    typer.echo(f"\n  {agent:<30}  an agent on it; any other in the same way")
    typer.echo("  codemie-proxy daemon status     also: logs -f, restart, stop")


def _print(found: Look) -> None:
    import time

    from codemie_core.cli.status import in_words, uptime

    state = found.state
    healthy = in_words(dict(found.health)) if found.condition == "ok" and found.health else ""
    words = found.words if found.fix or not healthy else healthy
    typer.echo(f"{found.condition}{f': {words}' if words != found.condition else ''}")
    if found.fix:
        typer.echo(f"fix        {found.fix}")
    if state is None:
        return
    if state.lives:
        typer.echo(f"serves     {state.url}  ->  {_where(found)}")
        typer.echo(
            f"processes  {state.pid} looks after {state.proxy_pid}, for {uptime(time.time() - state.started_at)}"
        )
    if state.restarts:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(state.restarted_at))
        typer.echo(f"restarts   {state.restarts}, the last {when}: {state.trouble}")


def _shown(found: Look) -> dict[str, object]:
    import dataclasses

    state = found.state
    shown: dict[str, object] = {"state": found.condition, "words": found.words, "fix": found.fix or None}
    if state is None:
        return shown
    order = dataclasses.asdict(state.order)
    return {
        **shown,
        "pid": state.pid,
        "proxy_pid": state.proxy_pid,
        "port": state.port,
        "url": state.url,
        "mode": list(found.entry.mode) if found.entry else [],
        "started_at": state.started_at,
        "watched": state.watched,
        "restarts": state.restarts,
        "restarted_at": state.restarted_at or None,
        "trouble": state.trouble or None,
        "asked": {**order, "folder": state.folder},
        "health": found.health,
    }


def _where(found: Look) -> str:
    from codemie_core.redact import redact_url

    return ", ".join(map(redact_url, found.entry.mode)) if found.entry else "nowhere yet"


def _say(line: str) -> None:
    from codemie_core.logs.log_text import printable

    typer.echo(printable(line))
