"""`codemie-proxy start`: the proxy in the foreground, in this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from codemie_core.cli.plan import Plan

EXAMPLES = """[bold]Examples[/]

codemie-proxy start https://api.anthropic.com

codemie-proxy start https://codemie.example.com/code-assistant-api --port 9000

codemie-proxy start --profile work    (a CodeMie profile says where to)

codemie-proxy start --regular    (agents without a base URL setting: HTTPS_PROXY)

codemie-proxy start --regular --retarget api.anthropic.com=https://codemie.example.com/code-assistant-api

codemie-proxy start -- -w flows.mitm --set codemie_hosts=api.example.com"""

PASSED_ON = "codemie_core.cli.start.passed_on"

# Also those of `daemon start`.
ListenHostOption = Annotated[str, typer.Option(help="The address to listen on.")]
ProfileOption = Annotated[str, typer.Option(help="The CodeMie profile to use, when it is not the active one.")]
RegularOption = Annotated[
    bool, typer.Option("--regular", help="For agents that are sent here by HTTPS_PROXY; takes no TARGET.")
]


class PassesOn(TyperCommand):
    """Keeps everything after `--` away from our own options: it is mitmdump's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Split at the first `--`."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[PASSED_ON] = args[at + 1 :]
        rest: list[str] = super().parse_args(ctx, args[:at])
        return rest


def start(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            help="The model API, as a URL with an optional path. Without it: the base URL of the CodeMie profile, "
            "else that of its provider, else https://api.anthropic.com.",
            metavar="TARGET",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.", show_default="8080")
    ] = None,
    listen_host: ListenHostOption = "127.0.0.1",
    profile: ProfileOption = "",
    regular: RegularOption = False,
    retarget: Annotated[
        list[str] | None,
        typer.Option(
            help="With --regular: send the model calls of a host elsewhere; can be repeated.",
            metavar="HOST=URL",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No line per request.")] = False,
    all_addons: Annotated[
        bool, typer.Option("--all-addons", help="Keep the addons of mitmproxy that have nothing to do.")
    ] = False,
) -> None:
    """Run the proxy in the foreground, until Ctrl-C.

    Everything after -- goes to mitmdump as it is (its own help: start -- --help).
    """
    from codemie_core.cli import banner, event_loop, launcher, plan
    from codemie_core.launch.nesting import leave_outer_run

    leave_outer_run(os.environ)
    passed_on: Sequence[str] = context.meta[PASSED_ON]
    planned = plan.make(target, regular, passed_on, os.environ, profile, retarget or ())
    confdir = _own_authority() if plan.wants_own_authority(planned, passed_on) else None
    arguments = plan.arguments(planned, port, listen_host, quiet, passed_on, confdir)
    loop = event_loop.choose_event_loop()
    _say(planned)
    launcher.run(
        arguments, all_addons, lambda master: typer.echo(banner.text(master, loop)), usual_config=confdir is not None
    )


def _own_authority() -> Path:
    """Made before the proxy starts: two that start at once would each make one."""
    from codemie_core.interception import trust
    from codemie_core.places import Places

    places = Places.from_env(os.environ)
    trust.make_trust(places, os.environ)
    return trust.confdir(places)


def _say(planned: Plan) -> None:
    if planned.note:
        typer.echo(planned.note)
