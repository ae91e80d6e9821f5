"""Signing in to CodeMie: through the browser, by what the browser was given, or with a token.

CodeMie's login page learns nothing about us but a port, so the usual `state` is not there to tell our sign-in from one
that somebody else began. Instead: the port is random and open for two minutes, it takes only what a browser was
navigated to, the session is verified at the backend before it is kept, and its user's name is shown. A backend that
cannot say anything costs nobody a sign-in: then the session is kept with a warning.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from codemie_core.arrival import first_arrival
from codemie_core.callback import CallbackServer
from codemie_core.errors import CodemieError
from codemie_core.places import Places
from codemie_core.sso.backend import Backend, Verdict, api_base
from codemie_core.sso.callback import session_callback
from codemie_core.sso.payload import session_pasted
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore

UNDATED_SECONDS = 24 * 3600.0
"""How long CodeMie's own tools believe in a session that does not say when it ends."""

AUTH_STATUS = "analytics-auth-status.json"
"""Where CodeMie's own tools note that the session was refused; with a new one that is over."""


class SignInFailed(CodemieError):
    """Nobody signed in, or CodeMie refused the session. One line, with what to do, without a secret."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What was kept. `who` is the backend's word, else the token's own; `verified` is False when it could not say."""

    session: Session
    who: str | None
    verified: bool
    stored: str


class SignIn:
    """One sign-in to the CodeMie at `url`. `say` gets lines for the person, `now` is the clock."""

    def __init__(
        self,
        url: str,
        places: Places,
        store: CredentialStore,
        client: httpx.AsyncClient,
        say: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.url, self.api_url = url, api_base(url)
        self._places, self._store, self._client, self._say, self._now = places, store, client, say, now

    async def with_browser(
        self,
        opener: Callable[[str], Awaitable[bool]] | None,
        pasted: AsyncGenerator[str, None] | None,
        port: int = 0,
        timeout: float = 120.0,
    ) -> SignedIn:
        """Print the login page's address, open it, and wait for the session to come by callback or as a pasted line.

        SignInFailed after `timeout` seconds.
        """
        async with session_callback(self.api_url, port) as callback:
            address = f"{self.api_url}/v1/auth/login/{callback.port}"
            self._say(f"To sign in, open:\n\n  {address}\n")
            if pasted:
                self._say(
                    "If that ends at a page that cannot be reached (the browser is on another machine), copy the\n"
                    f"address http://localhost:{callback.port}/... out of it, paste it here (it stays hidden), Enter."
                )
            try:
                done = await self._keep(await self._arriving(callback, address, opener, pasted, timeout))
            except CodemieError as problem:
                callback.settle(str(problem))
                raise
            callback.settle()
            return done

    async def with_line(self, pasted: AsyncGenerator[str, None], timeout: float = 120.0) -> SignedIn:
        """Take what somebody got from the login page from a pipe: one line. SignInFailed when it is unusable."""
        line = await first_line(pasted, timeout, "the address that the login page led to")
        try:
            session = session_pasted(line, self.api_url)
        except ValueError as problem:
            raise SignInFailed(f"the line on standard input cannot be used: {problem}") from None
        return await self._keep(session)

    async def with_token(self, token: SecretStr) -> SignedIn:
        """Keep a JWT. SignInFailed when it is none, is over, or CodeMie refuses it."""
        if token.get_secret_value().count(".") != 2:
            raise SignInFailed("this is no JWT: it must have three parts with dots between them")
        try:
            session = Session(self.api_url, token=token)
        except ValueError as problem:
            raise SignInFailed(f"the JWT cannot be used: {problem}") from None
        return await self._keep(session)

    async def _arriving(
        self,
        callback: CallbackServer[Session],
        address: str,
        opener: Callable[[str], Awaitable[bool]] | None,
        pasted: AsyncGenerator[str, None] | None,
        timeout: float,
    ) -> Session:
        def read(line: str) -> Session:
            return session_pasted(line, self.api_url)

        try:
            return await first_arrival(callback, address, opener, pasted, read, timeout, self._say)
        except TimeoutError:
            raise SignInFailed(
                f"nobody signed in within {timeout:g} seconds; run it again, with --timeout for more time"
            ) from None

    async def _keep(self, session: Session) -> SignedIn:
        host = urlsplit(self.api_url).netloc
        if session.expired(self._now()):
            raise SignInFailed(f"the session for {host} was over before it came; sign in again, and check the clock")
        backend = Backend(self.api_url, self._client)
        verdict, who = await backend.check(session)
        if verdict is Verdict.EXPIRED:
            raise SignInFailed(f"{host} does not accept this session; nothing was stored, sign in again")
        if session.kind == "sso":
            session = replace(session, api_url=await backend.api_url_of(session))
            if session.expires_at is None:
                session = replace(session, expires_at=self._now() + UNDATED_SECONDS)
        stored = self._store.write(self.url, session)
        with suppress(OSError):  # Theirs; the sign-in is good without it.
            (self._places.home / AUTH_STATUS).unlink(missing_ok=True)
        return SignedIn(session, who or session.who, verdict is Verdict.VALID, str(stored))


async def first_line(arriving: AsyncGenerator[str, None], timeout: float, what: str) -> str:
    """The first line that is not empty. SignInFailed when none comes in time; `what` says what was waited for."""
    try:
        async with asyncio.timeout(timeout), aclosing(arriving):
            async for line in arriving:
                if line:
                    return line
    except TimeoutError:
        raise SignInFailed(f"standard input did not bring {what} within {timeout:g} seconds") from None
    raise SignInFailed(f"standard input ended without {what}")
