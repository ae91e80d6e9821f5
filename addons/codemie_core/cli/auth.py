"""`codemie-proxy auth`: sign in to CodeMie, or an account of the pool to its provider; see who is, sign out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from codemie_core.cli.auth_words import Standing

app = typer.Typer(
    no_args_is_help=True,
    help="Sign in to CodeMie, or an account of the pool to its provider; see who is signed in, sign out.",
    rich_markup_mode="rich",
    epilog="Once a day: [bold]codemie-proxy auth login[/]. A running proxy takes the new session by itself.",
)

LOGIN_EXAMPLES = """[bold]Examples[/]

codemie-proxy auth login    (the CodeMie of your profile)

codemie-proxy auth login --url https://codemie.example.com

codemie-proxy auth login --no-browser    (over SSH, in a container: open the address it prints on your own machine, \
then paste the one you end at)

CODEMIE_JWT_TOKEN=... codemie-proxy auth login --jwt    (without the variable it asks)

codemie-proxy auth login anthropic --name work    (an account of the pool; see codemie-proxy auth providers)"""

REFRESH_EXAMPLES = """Examples: codemie-proxy auth refresh, or before a long job codemie-proxy auth refresh --force"""

HOUR = 3600.0

CODEMIE = "codemie"


def _providers(incomplete: str) -> list[str]:
    from codemie_core.cli.accounts_names import sign_in_names

    return sign_in_names(incomplete)


def _accounts(incomplete: str) -> list[str]:
    from codemie_core.cli.accounts_names import account_names

    return account_names(incomplete)


Provider = Annotated[
    str,
    typer.Argument(
        help="Whose sign-in: codemie, or one that `auth providers` shows.",
        metavar="PROVIDER",
        autocompletion=_providers,
    ),
]
Name = Annotated[
    str,
    typer.Option(
        help="The account of the pool, for all providers but codemie.", show_default=False, autocompletion=_accounts
    ),
]
Url = Annotated[
    str, typer.Option(help="Where CodeMie is; without it the profile says it.", metavar="URL", show_default=False)
]
ProfileName = Annotated[
    str, typer.Option("--profile", help="The CodeMie profile, when it is not the active one.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one object on standard output.")]
Timeout = Annotated[float, typer.Option(min=1, max=3600, help="Seconds to wait for you.", metavar="SECONDS")]
Port = Annotated[
    int,
    typer.Option(min=0, max=65535, help="Where the browser comes back to; 0 takes a free one.", metavar="PORT"),
]


@app.command(epilog=LOGIN_EXAMPLES)
def login(
    provider: Provider = CODEMIE,
    name: Name = "",
    url: Url = "",
    profile: ProfileName = "",
    device: Annotated[
        bool, typer.Option("--device", help="Sign in on any other device, by a code; where the provider can do that.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no browser here; print the address and wait.")
    ] = False,
    paste: Annotated[
        bool,
        typer.Option("--paste", help="Take the address you end at from the terminal, or from a pipe; no browser."),
    ] = False,
    jwt: Annotated[
        bool, typer.Option("--jwt", help="Sign in with a token: CODEMIE_JWT_TOKEN, a hidden prompt, or a pipe.")
    ] = False,
    timeout: Timeout = 120.0,
    port: Port = 0,
    as_json: AsJson = False,
) -> None:
    """Sign in, and keep the session where CodeMie's own tools keep it.

    Opens the login page in the browser; the session comes back to a port of this machine.

    At another provider than codemie, the sign-in becomes an account of the pool, or renews the one of that name.
    """
    if provider != CODEMIE:
        from codemie_core.cli.auth_sign_in import login as sign_in

        _only_for_codemie(url=url, profile=profile, jwt=jwt)
        sign_in(provider, name, device, not no_browser, paste, timeout, port, as_json)
        return
    _only_for_accounts(name=name, device=device)
    from codemie_core.cli import auth_flow
    from codemie_core.cli.auth_context import AuthContext

    context = AuthContext.of(provider, profile, url)
    if jwt:
        standing = auth_flow.by_token(context, timeout)
    else:
        standing = auth_flow.by_browser(context, not (no_browser or paste), paste, timeout, port)
    _show(standing, as_json)


@app.command(epilog="Example: codemie-proxy auth status --check && codemie-proxy start")
def status(
    provider: Provider = CODEMIE,
    url: Url = "",
    profile: ProfileName = "",
    check: Annotated[bool, typer.Option("--check", help="Ask CodeMie whether it accepts the session.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show who is signed in, where, and until when. Ends with 0 when somebody is, else with 1."""
    if provider != CODEMIE:
        from codemie_core.cli.auth_accounts import status as status_of

        _only_for_codemie(url=url, profile=profile, check=check)
        status_of(provider, as_json)
        return
    from codemie_core.cli import auth_flow
    from codemie_core.cli.auth_context import AuthContext

    context = AuthContext.of(provider, profile, url)
    standing = auth_flow.standing(context, check)
    for problem in context.store.problems:
        typer.echo(problem, err=True)
    _show(standing, as_json)


@app.command(epilog=REFRESH_EXAMPLES)
def refresh(
    provider: Provider = CODEMIE,
    name: Name = "",
    url: Url = "",
    profile: ProfileName = "",
    force: Annotated[bool, typer.Option("--force", help="Sign in anew, whatever is left.")] = False,
    browser: Annotated[
        bool, typer.Option("--browser", help="Open a browser although nobody sits at this terminal.")
    ] = False,
    timeout: Timeout = 120.0,
    port: Port = 0,
    as_json: AsJson = False,
) -> None:
    """Sign in anew when the session is over or ends within the hour; else leave it as it is.

    An account's tokens are renewed at its provider, without anybody at a browser.
    """
    if provider != CODEMIE:
        from codemie_core.cli.auth_accounts import refresh as refresh_of

        _only_for_codemie(url=url, profile=profile, browser=browser)
        refresh_of(provider, name, as_json)
        return
    _only_for_accounts(name=name)
    import time

    from codemie_core.cli import auth_flow
    from codemie_core.cli.auth_context import AuthContext
    from codemie_core.sso.login import SignInFailed
    from codemie_core.sso.paste import can_ask

    context = AuthContext.of(provider, profile, url)
    session = context.session()
    if session and not force and not session.expired(time.time() + HOUR):
        typer.echo("Nothing to do: the session lasts for more than an hour. --force signs in anew.", err=True)
        _show(auth_flow.standing(context, check=False), as_json)
        return
    if (session.kind if session else context.profile.auth_method) == "jwt":
        raise SignInFailed(f"a JWT cannot be renewed from here. With a new one run: {context.command('login --jwt')}")
    if not browser and not can_ask(0):
        raise SignInFailed(f"nobody is here to sign in. In a terminal run: {context.command('login')}")
    _show(auth_flow.by_browser(context, True, False, timeout, port), as_json)


@app.command(epilog="Example: codemie-proxy auth logout")
def logout(
    provider: Provider = CODEMIE,
    name: Name = "",
    url: Url = "",
    profile: ProfileName = "",
    as_json: AsJson = False,
) -> None:
    """Remove the session of this CodeMie from this machine: files and keyring, whatever tool wrote them.

    An account is signed out at its provider, where that can be done, and removed from the pool.
    """
    if provider != CODEMIE:
        from codemie_core.cli.auth_accounts import logout as logout_of

        _only_for_codemie(url=url, profile=profile)
        logout_of(provider, name, as_json)
        return
    _only_for_accounts(name=name)
    import json

    from codemie_core.cli.auth_context import AuthContext

    context = AuthContext.of(provider, profile, url)
    removed = context.store.delete(context.url)
    lines = [f"Removed {entry}" for entry in removed] or [f"Nobody was signed in to {context.host}."]
    typer.echo(json.dumps({"removed": removed}, indent=2) if as_json else "\n".join(lines))
    for problem in context.store.problems:
        typer.echo(problem, err=True)
    if context.profile.auth_method == "jwt" and os.environ.get(context.profile.jwt_variable):
        typer.echo(f"{context.profile.jwt_variable} still signs requests in; unset it.", err=True)


@app.command(epilog="Example: codemie-proxy auth providers")
def providers(as_json: AsJson = False) -> None:
    """Show whom accounts of the pool can sign in to, and what is still missing for it."""
    from codemie_core.cli.auth_accounts import providers as show

    show(as_json)


def _only_for_codemie(**given: object) -> None:
    from codemie_core.cli.accounts import accounts

    _refuse(given, "is for CodeMie's own sign-in only; leave it out")
    accounts()


def _only_for_accounts(**given: object) -> None:
    _refuse(given, "is for accounts of the pool: name their provider first, as in codemie-proxy auth login anthropic")


def _refuse(given: Mapping[str, object], why: str) -> None:
    for name, value in given.items():
        if value:
            raise typer.BadParameter(f"--{name} {why}")


def _show(standing: Standing, as_json: bool) -> None:
    """On standard output who is signed in; exit 1 with the reason on the error output when nobody is."""
    import json

    if as_json:
        typer.echo(json.dumps(standing.as_json(), indent=2))
    elif standing.signed_in:
        typer.echo("\n".join(standing.lines()))
    if not standing.signed_in:
        typer.echo(f"codemie-proxy: {standing.problem()}", err=True)
        raise typer.Exit(1)
