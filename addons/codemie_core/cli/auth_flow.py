"""The sign-ins of the command line: what comes from the terminal, and what is said there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import typer
from pydantic import SecretStr

from codemie_core.cli.auth_context import AuthContext, run
from codemie_core.cli.auth_words import Standing
from codemie_core.errors import SettingsError
from codemie_core.sso.backend import Backend, Verdict, api_base
from codemie_core.sso.browser import open_browser
from codemie_core.sso.login import SignedIn, SignIn, first_line
from codemie_core.sso.paste import can_ask, hidden, lines
from codemie_core.sso.payload import LONGEST
from codemie_core.urls import origin_of

_STDIN = 0
# Percent-encoding may make three characters of one.
_LONGEST_LINE = 3 * LONGEST


def by_browser(context: AuthContext, may_open: bool, paste: bool, timeout: float, port: int) -> Standing:
    """Through CodeMie's login page. With `paste` and no terminal, what it gave comes on standard input."""
    asking = can_ask(_STDIN)
    if paste and not asking:
        return _signed_in(context, lambda sign_in: sign_in.with_line(_typed(), timeout))
    opener = (lambda address: open_browser(address, context.environ)) if may_open else None
    if context.folder_file:
        say(f"{context.folder_file}, a file of this folder, has a word in where to sign in: {context.url}")

    async def waiting(sign_in: SignIn) -> SignedIn:
        with hidden(_STDIN) if asking else nullcontext():
            return await sign_in.with_browser(opener, _typed() if asking else None, port, timeout)

    return _signed_in(context, waiting)


def by_token(context: AuthContext, timeout: float) -> Standing:
    """With a JWT: of its variable, else typed or pasted unseen, else from standard input."""
    if context.folder_file:
        raise SettingsError(
            f"{context.folder_file} has a word in where the token would go, and a folder's file may come from anyone: "
            f"if that is right, add --url {context.url}"
        )
    variable = context.profile.jwt_variable
    text = context.environ.get(variable, "") or run(_typed_token(context.host, variable, timeout))
    token = SecretStr(text.strip().removeprefix("Bearer ").strip())
    return _signed_in(context, lambda sign_in: sign_in.with_token(token))


def standing(context: AuthContext, check: bool) -> Standing:
    """What a proxy would sign requests with now; with `check` CodeMie is asked about it."""
    session = context.session()
    if session is None or not check:
        return Standing(context, session)

    async def asked() -> tuple[Verdict, str | None]:
        async with context.client() as client:
            return await Backend(api_base(context.url), client).check(session)

    return Standing(context, session, *run(asked()))


def say(line: str) -> None:
    """For the person; standard output is for the result."""
    typer.echo(line, err=True)


async def _typed_token(host: str, variable: str, timeout: float) -> str:
    if not can_ask(_STDIN):
        return await first_line(_typed(), timeout, f"a JWT; set {variable} or pipe one in")
    with hidden(_STDIN):
        # Only now: whoever types at once is hidden, too.
        say(f"The JWT for {host} (it stays hidden), Enter:")
        return await first_line(_typed(), timeout, "a JWT")


def _signed_in(context: AuthContext, way: Callable[[SignIn], Coroutine[Any, Any, SignedIn]]) -> Standing:
    async def signing_in() -> SignedIn:
        async with context.client() as client:
            return await way(SignIn(context.url, context.places, context.store, client, say))

    done = run(signing_in())
    for problem in context.store.problems:
        say(problem)
    if not done.verified:
        say(f"{context.host} could not be asked about this session; it is stored all the same. To ask later:")
        say(f"  {context.command('status --check')}")
    _say_what_is_left(context, done)
    session = replace(done.session, source=done.stored)
    return Standing(context, session, Verdict.VALID if done.verified else Verdict.UNKNOWN, done.who)


def _say_what_is_left(context: AuthContext, done: SignedIn) -> None:
    """A session is worth nothing if the profile looks for another one."""
    profile = context.profile
    wanted = profile.auth_method or "sso"
    if done.session.kind != wanted:
        say(
            f"The profile {profile.name!r} signs in by {wanted}: for this session set authMethod in it, or "
            f"CODEMIE_AUTH_METHOD, to {done.session.kind}."
        )
    gateway = profile.gateway_url
    if gateway and not context.named and origin_of(gateway) != origin_of(context.url):
        say(f"The profile's requests go to {gateway}, which keeps its own sessions. If needed, add --url {gateway}")


def _typed() -> AsyncGenerator[str, None]:
    return lines(_STDIN, _LONGEST_LINE)
