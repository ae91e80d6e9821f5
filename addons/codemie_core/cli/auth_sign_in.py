"""`codemie-proxy auth login PROVIDER`: the sign-in of an account of the pool, in the browser or on another device."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, nullcontext
from urllib.parse import urlsplit

from codemie_core.accounts import words
from codemie_core.accounts.account import Account
from codemie_core.accounts.state import Status
from codemie_core.arrival import first_arrival
from codemie_core.callback import CallbackServer
from codemie_core.cli.accounts_book import Book, operator
from codemie_core.cli.accounts_output import NOTICE, result, say
from codemie_core.cli.auth_accounts import ca_file
from codemie_core.cli.auth_context import run
from codemie_core.errors import CodemieError, SettingsError
from codemie_core.oauth.device import agreed
from codemie_core.oauth.grants import Way, ask_device, discovered
from codemie_core.oauth.login import (
    TERMS,
    Answer,
    Begun,
    LoginFailed,
    begin,
    callback_port,
    check_name,
    checked,
    exchanged,
    how_to_paste,
    keep,
    read_address,
    read_pasted,
    redirect_uri_of,
    take,
)
from codemie_core.oauth.providers import OAuthProvider, provider_named
from codemie_core.oauth.tokens import Tokens
from codemie_core.sso.browser import open_browser
from codemie_core.sso.login import first_line
from codemie_core.sso.paste import can_ask, hidden, lines

_STDIN = 0
_LONGEST_LINE = 16 * 1024


class SignIn:
    """One run of the command. `name` is the account's."""

    def __init__(self, book: Book, provider: OAuthProvider, name: str, timeout: float) -> None:
        self._book, self._provider, self._name, self._timeout = book, provider, name, timeout
        self._way = Way(book.places, book.environ, ca_file(book))
        self._state = self._path = ""  # No request has an empty path, so nothing is taken before the sign-in begins.

    async def by_browser(self, may_open: bool, paste: bool, port: int) -> tuple[Account, bool]:
        """Through the provider's page; its answer comes to a port of this machine, or is pasted."""
        provider = await discovered(self._provider, self._way)
        asking = can_ask(_STDIN)
        async with AsyncExitStack() as stack:
            uri, callback = await self._callback(stack, provider, port)
            if callback is None and not (asking or paste):
                raise SettingsError(
                    f"{provider.name} shows a code to paste, and nobody is here to do so: add --paste to read it from "
                    "standard input"
                )
            with self._book.writing(make=True) as connection:
                vault = self._book.vault(connection)
                begun = begin(connection, vault, provider, self._name, uri, time.time())
            self._state, self._path = begun.state, urlsplit(uri).path or "/"
            say(f"To sign in, open:\n\n  {begun.url}\n")
            if asking and not paste:
                say(f"{how_to_paste(uri, callback is not None)} It stays hidden; Enter.")
            try:
                answer = await self._arriving(stack, begun, callback, may_open and not paste, asking, paste)
                account = self._keep(provider, await self._exchanged(provider, begun, answer))
            except CodemieError as problem:
                if callback is not None:
                    callback.settle(str(problem))
                raise
            if callback is not None:
                callback.settle()
            return account

    async def by_device(self) -> tuple[Account, bool]:
        """With a code that is typed in on any other device."""
        provider = await discovered(self._provider, self._way)
        if not provider.device_url:
            raise SettingsError(f"{provider.name} has no device_url, so --device cannot be used; leave it out")
        device = await ask_device(provider, self._way)
        say(f"On any device, open:\n\n  {device.verification_uri_complete or device.verification_uri}\n")
        say(f"and enter or compare this code: {device.user_code}\nWaiting. Ctrl-C gives up.")
        return self._keep(provider, await agreed(provider, self._way, device))

    async def _callback(
        self, stack: AsyncExitStack, provider: OAuthProvider, port: int
    ) -> tuple[str, CallbackServer[Answer] | None]:
        """The redirect URI, and the server behind it where that is on this machine."""
        here = callback_port(provider)
        if here is None:
            return provider.redirect_uri, None
        server = await stack.enter_async_context(CallbackServer(self._read, here or port))
        return redirect_uri_of(provider, server.port), server

    def _read(self, target: str) -> Answer | None:
        return read_address(target, self._path, self._state)

    async def _arriving(
        self,
        stack: AsyncExitStack,
        begun: Begun,
        callback: CallbackServer[Answer] | None,
        may_open: bool,
        asking: bool,
        paste: bool,
    ) -> Answer:
        def read(line: str) -> Answer:
            return read_pasted(line, begun.state)

        if paste and not asking:
            try:
                return read(await first_line(_typed(), self._timeout, "the code, or the address you ended at"))
            except ValueError as problem:
                raise LoginFailed(f"the line on standard input cannot be used: {problem}") from None
        opener = (lambda address: open_browser(address, self._book.environ)) if may_open else None
        stack.enter_context(hidden(_STDIN) if asking else nullcontext())
        pasted = _typed() if asking else None
        try:
            return await first_arrival(callback, begun.url, opener, pasted, read, self._timeout, say)
        except TimeoutError:
            raise LoginFailed(
                f"nobody signed in within {self._timeout:g} seconds; run it again, with --timeout for more time"
            ) from None

    async def _exchanged(self, provider: OAuthProvider, begun: Begun, answer: Answer) -> Tokens:
        now = time.time()
        with self._book.writing() as connection:
            taken = take(connection, self._book.vault(connection), begun.id, now)
        held = checked(taken, begun.state)
        return await exchanged(provider, self._way, held, answer, now)

    def _keep(self, provider: OAuthProvider, tokens: Tokens) -> tuple[Account, bool]:
        with self._book.writing(make=True) as connection:
            vault = self._book.vault(connection)
            return keep(connection, vault, provider, self._name, tokens, operator(), time.time())


def login(
    provider_name: str, name: str, device: bool, may_open: bool, paste: bool, timeout: float, port: int, as_json: bool
) -> None:
    """Sign an account in, a new one or one that is there."""
    book = Book()
    provider = provider_named(book.places, book.environ, provider_name)
    name = name or provider.name
    _check(book, provider, name)
    if not provider.base_url:
        say(TERMS.format(provider=provider.provider))
    sign_in = SignIn(book, provider, name, timeout)
    account, new = run(sign_in.by_device() if device else sign_in.by_browser(may_open, paste, port))
    text = f"{'Added' if new else 'Signed in'} {account.name}: {provider.label or provider.name} at {account.base_url}"
    result(text, words.as_json(account, Status("ready"), book.clock()), as_json)
    say(NOTICE)


def _check(book: Book, provider: OAuthProvider, name: str) -> None:
    """What can be told before anybody goes to a browser."""
    from codemie_core.store.accounts import find

    provider.require_client(book.places)
    known = None
    if book.begun:
        with book.reading() as connection:
            known = find(connection, name)
    check_name(provider, name, known)


def _typed() -> AsyncGenerator[str, None]:
    return lines(_STDIN, _LONGEST_LINE)
