"""Signing an account in from the page or a script: the provider's own page, and what comes back from it.

One task per sign-in waits for the browser's answer, at a port of this machine where the provider lets it come back
there, or for what a person pastes. A sign-in that another process began can be ended here too. As on the command line,
nothing is stored of one that fails.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from pydantic import Field, SecretStr

from codemie_core.accounts.account import Account
from codemie_core.accounts.roster import accounts
from codemie_core.admin.accounts import door_of
from codemie_core.admin.changing import Body, Done, changing, sentence, told
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import AdminProblem, BadQuestion, Conflict, NotFound
from codemie_core.admin.wire import Wire
from codemie_core.callback import CallbackServer
from codemie_core.errors import CodemieError
from codemie_core.oauth import login
from codemie_core.oauth.grants import Way, discovered
from codemie_core.oauth.held import ways
from codemie_core.oauth.providers import OAuthProvider, UnknownProvider, load_providers, provider_named

if TYPE_CHECKING:
    from sqlalchemy import Connection

TERMS = login.TERMS
LIFETIME = 600.0
"""Seconds in which a sign-in has to end."""
MOST = 8
"""Sign-ins under way; the oldest one gives way."""
MOST_ENDED = 64


class SignInProvider(Wire):
    """Whom accounts can sign in to, and what is still missing for it."""

    name: str
    label: str
    provider: str = Field(description="Whose API its accounts are for.")
    base_url: str | None
    client: bool = Field(description="Is a client of the operator's own registered?")
    client_variable: str = Field(description="The environment variable that names the client.")
    ways: list[str] = Field(description="browser, paste, device (device: on the command line).")
    missing: str = Field(description='What to do before anybody can sign in; "" when nothing is.')


class BeginSignIn(Body):
    """The account to be, or the one to sign in again."""

    name: str = Field("", max_length=64, description='"": the provider\'s name.')
    provider: str = Field("anthropic", max_length=64, description="One of GET /api/oauth/providers.")


class SignInBegun(Wire):
    """Where the browser has to go."""

    success: bool = True
    auth_url: str
    session_id: str
    step: Literal["authorize"] = "authorize"
    comes_back: bool = Field(description="The browser's answer comes by itself, when it is on this machine.")
    how_to_end: str
    terms: str


class EndSignIn(Body):
    """What the browser ended at: `code#state` from the provider's page, or the whole address."""

    session_id: str = Field(pattern="^[A-Za-z0-9_-]{8,64}$")
    code: SecretStr = Field(min_length=1, max_length=16 * 1024)


class SignInEnded(Done):
    """The account that is signed in."""

    account_id: str
    account: str


class SignInState(Wire):
    """How a sign-in of this process goes."""

    session_id: str
    state: Literal["waiting", "done", "failed", "unknown"]
    message: str
    account_id: str | None = None


@dataclass
class _Waiting:
    begun: login.Begun
    pasted: asyncio.Future[login.Answer]
    task: asyncio.Task[tuple[Account, bool]] | None = None


@dataclass
class _SignIns:
    """Of one process."""

    waiting: dict[str, _Waiting] = field(default_factory=dict)

    def add(self, one: _Waiting) -> None:
        self.waiting[one.begun.id] = one
        under_way = [known for known in self.waiting.values() if known.task and not known.task.done()]
        for former in under_way[: max(0, len(under_way) - MOST)]:
            assert former.task is not None
            former.task.cancel()
        for ended in [key for key, known in self.waiting.items() if known.task and known.task.done()]:
            if len(self.waiting) <= MOST_ENDED:
                break
            del self.waiting[ended]


_of_plane: WeakKeyDictionary[Plane, _SignIns] = WeakKeyDictionary()


async def sign_in_providers(plane: Plane) -> list[SignInProvider]:
    """Whom accounts can sign in to."""
    with told():
        known = await plane.in_thread(lambda: load_providers(plane.places, plane.environ))
    return [
        SignInProvider(
            name=found.name,
            label=found.label or found.name,
            provider=found.provider,
            base_url=found.api or None,
            client=bool(found.client_id),
            client_variable=found.variable,
            ways=ways(found),
            missing=_missing(plane, found),
        )
        for found in known.values()
    ]


async def begin_sign_in(plane: Plane, asked: BeginSignIn, who: str) -> SignInBegun:
    """Open what waits for the browser's answer, and say where it has to go."""
    provider, name = await _checked(plane, asked)
    started: asyncio.Future[tuple[_Waiting, bool, str]] = asyncio.get_running_loop().create_future()
    task = asyncio.get_running_loop().create_task(_wait(plane, provider, name, who, started), name="sign in")
    either: set[asyncio.Future[Any]] = {task, started}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        await task  # It has failed before it began.
    waiting, comes_back, uri = started.result()
    waiting.task = task
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # Else asyncio reports it as lost.
    _of_plane.setdefault(plane, _SignIns()).add(waiting)
    return SignInBegun(
        auth_url=waiting.begun.url,
        session_id=waiting.begun.id,
        comes_back=comes_back,
        how_to_end=login.how_to_paste(uri, comes_back),
        terms=TERMS.format(provider=provider.provider),
    )


async def end_sign_in(plane: Plane, asked: EndSignIn, who: str) -> SignInEnded:
    """What a person has pasted ends the sign-in. What cannot be read does not use it up."""
    known = _of_plane.setdefault(plane, _SignIns()).waiting.get(asked.session_id)
    if known is None or known.task is None:
        account, new = await _end_of_another(plane, asked, who)
        return _ended(account, new)
    if known.task.done():
        raise Conflict("This sign-in has ended already: begin it anew.")
    answer = _read(asked.code, known.begun.state)
    if not known.pasted.done():
        known.pasted.set_result(answer)
    try:
        account, new = await asyncio.shield(known.task)
    except asyncio.CancelledError:
        if not known.task.cancelled():
            raise
        raise Conflict("This sign-in has given way to another one: begin it anew.") from None
    return _ended(account, new)


async def sign_in_state(plane: Plane, session_id: str) -> SignInState:
    """Has the browser come back?"""
    known = _of_plane.setdefault(plane, _SignIns()).waiting.get(session_id)
    if known is None or known.task is None:
        return SignInState(session_id=session_id, state="unknown", message="No such sign-in was begun here.")
    task = known.task
    if not task.done():
        return SignInState(session_id=session_id, state="waiting", message="Waiting for the browser.")
    if task.cancelled():
        return SignInState(session_id=session_id, state="failed", message="It has given way to another sign-in.")
    if (problem := task.exception()) is not None:
        return SignInState(session_id=session_id, state="failed", message=_words(problem))
    account, new = task.result()
    ended = _ended(account, new)
    return SignInState(session_id=session_id, state="done", message=ended.message, account_id=account.id)


async def _checked(plane: Plane, asked: BeginSignIn) -> tuple[OAuthProvider, str]:
    """What can be told before anybody goes to a browser."""
    try:
        provider = await plane.in_thread(lambda: provider_named(plane.places, plane.environ, asked.provider))
    except UnknownProvider as problem:
        raise BadQuestion(sentence(problem)) from None
    if missing := _missing(plane, provider):
        raise Conflict(missing)
    name = asked.name or provider.name

    def look(connection: Connection) -> None:
        known = next((account for account in accounts(connection) if account.name == name), None)
        login.check_name(provider, name, known)

    await changing(plane, look)  # As one that writes: the database is made where there is none.
    return provider, name


async def _wait(
    plane: Plane,
    provider: OAuthProvider,
    name: str,
    who: str,
    started: asyncio.Future[tuple[_Waiting, bool, str]],
) -> tuple[Account, bool]:
    way = _way(plane)
    try:
        async with AsyncExitStack() as stack:
            provider = await discovered(provider, way)
            port = login.callback_port(provider)
            begun: login.Begun | None = None
            path = ""  # No request has an empty path, so nothing is taken before the sign-in begins.

            def read(target: str) -> login.Answer | None:
                return login.read_address(target, path, begun.state if begun else "")

            server = await stack.enter_async_context(CallbackServer(read, port)) if port is not None else None
            uri = login.redirect_uri_of(provider, server.port) if server else provider.redirect_uri
            door = door_of(plane)
            begun = await changing(
                plane,
                lambda connection: login.begin(
                    connection, door.vault_for(connection, make=True), provider, name, uri, plane.clock()
                ),
            )
            path = urlsplit(uri).path or "/"
            waiting = _Waiting(begun, asyncio.get_running_loop().create_future())
            started.set_result((waiting, server is not None, uri))
            try:
                answer = await _arrived(waiting, server)
                account = await _finish(plane, provider, name, begun, answer, way, who)
            except (CodemieError, AdminProblem) as problem:
                if server is not None:
                    server.settle(_words(problem))
                raise
            if server is not None:
                server.settle()
            return account
    except CodemieError as problem:
        raise Conflict(sentence(problem)) from None


async def _arrived(waiting: _Waiting, server: CallbackServer[login.Answer] | None) -> login.Answer:
    sources: set[asyncio.Future[login.Answer]] = {waiting.pasted}
    if server is not None:
        sources.add(asyncio.get_running_loop().create_task(server.brought(), name="browser's answer"))
    try:
        done, _ = await asyncio.wait(sources, timeout=LIFETIME, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for source in sources:
            if not source.done():
                source.cancel()
    if not done:
        raise login.LoginFailed("nobody signed in within ten minutes. Begin it anew")
    return done.pop().result()


async def _finish(
    plane: Plane, provider: OAuthProvider, name: str, begun: login.Begun, answer: login.Answer, way: Way, who: str
) -> tuple[Account, bool]:
    door, now = door_of(plane), plane.clock()
    taken = await changing(plane, lambda connection: login.take(connection, door.vault_for(connection), begun.id, now))
    tokens = await login.exchanged(provider, way, login.checked(taken, begun.state), answer, now)
    return await changing(
        plane,
        lambda connection: login.keep(connection, door.vault_for(connection), provider, name, tokens, who, now),
    )


async def _end_of_another(plane: Plane, asked: EndSignIn, who: str) -> tuple[Account, bool]:
    """One that was begun by another process, or before this one was started anew."""
    door, now = door_of(plane), plane.clock()

    def take(connection: Connection) -> login.Held | None:
        return login.take(connection, door.vault_for(connection), asked.session_id, now)

    held = await changing(plane, take)
    if held is None:
        raise NotFound("This sign-in is not known any more: it lasts ten minutes and ends once. Begin it anew.")
    answer = _read(asked.code, held.state.get_secret_value())
    try:
        provider = await plane.in_thread(lambda: provider_named(plane.places, plane.environ, held.provider))
        way = _way(plane)
        provider = await discovered(provider, way)
        tokens = await login.exchanged(provider, way, held, answer, now)
    except CodemieError as problem:
        raise Conflict(sentence(problem)) from None
    return await changing(
        plane,
        lambda connection: login.keep(
            connection, door.vault_for(connection), provider, held.account_name, tokens, who, now
        ),
    )


def _read(code: SecretStr, state: str) -> login.Answer:
    try:
        return login.read_pasted(code.get_secret_value(), state)
    except ValueError as problem:
        raise BadQuestion(f"What was pasted cannot be used: {problem}.") from None


def _ended(account: Account, new: bool) -> SignInEnded:
    message = f"{account.name} is {'added' if new else 'signed in again'}: {account.provider} at {account.base_url}"
    return SignInEnded(message=message, account_id=account.id, account=account.name)


def _way(plane: Plane) -> Way:
    return Way(plane.places, plane.environ, plane.keeper.ca_file if plane.keeper is not None else "")


def _missing(plane: Plane, provider: OAuthProvider) -> str:
    try:
        provider.require_client(plane.places)
    except CodemieError as problem:
        return str(problem)
    return "" if provider.api else f"{provider.name} has no base_url: write where its API is into providers.yaml"


def _words(problem: BaseException) -> str:
    if isinstance(problem, AdminProblem):
        return problem.detail
    return sentence(problem) if isinstance(problem, CodemieError) else f"It failed: {type(problem).__name__}"
