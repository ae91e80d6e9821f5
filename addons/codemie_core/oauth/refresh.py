"""Keeps sign-ins alive: one refresh at a time for each account, in this process and in all that share the database."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pydantic import SecretStr

from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.accounts.vault_door import VaultDoor
from codemie_core.errors import SettingsError
from codemie_core.oauth.deposit import Call, Deposit
from codemie_core.oauth.errors import OAuthFailed
from codemie_core.oauth.grants import Way, discovered, refreshed
from codemie_core.oauth.providers import load_providers
from codemie_core.oauth.token_store import Stored, TokenStore
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places

LEAST = 60.0
"""Seconds that a token has to be good for when it is given out."""
AHEAD = 600.0
"""Seconds before its end from which on it is renewed in the background."""
BACK_OFF, LONGEST_BACK_OFF = 60.0, 600.0
"""Seconds for which a provider that failed is left alone; doubled each time."""
TOO_YOUNG = 30.0
"""Seconds in which a new token that is refused is not renewed once more: that would not help."""
TIMEOUT = 25.0
"""Seconds for asking the provider; less than the lease is good for."""
LAST_WAIT = 10.0
"""Seconds for a refresh that is under way when the proxy ends: given up, its tokens may be lost."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Trouble:
    """A provider that did not renew, and until when it is left alone."""

    until: float = 0.0
    pause: float = BACK_OFF
    words: str = ""


class TokenKeeper:
    """One per process, on its event loop. What it is told by `take` is also renewed in the background."""

    def __init__(
        self,
        places: Places,
        environ: Mapping[str, str],
        door: VaultDoor,
        call: Call,
        who: str = "proxy",
        *,
        ca_file: Callable[[], str] = str,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._places, self._environ, self._ca_file = places, environ, ca_file
        self._clock, self._chance = clock, chance
        self._deposit = Deposit(places, door, call, TokenStore(places, door.vault_for, uuid.uuid4().hex, who, clock))
        self._accounts: dict[str, Account] = {}
        self._versions: Mapping[str, int] = {}
        self._held: dict[str, Stored] = {}
        self._unread: dict[str, None] = {}
        self._reading: asyncio.Task[None] | None = None
        self._flights: dict[str, asyncio.Task[Tokens]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._troubles: dict[str, _Trouble] = {}
        self._ending = False

    def at_hand(self, account: Account) -> SecretStr | None:
        """A token that is good for a while, without waiting."""
        held = self._held.get(account.id)
        if held is None or held.tokens.left(self._clock()) <= _least(held.tokens):
            return None
        return held.tokens.access

    async def access_token(self, account: Account, force: bool = False) -> SecretStr:
        """A token that is good now; with `force` another one than the last. SecretTrouble when there is none.

        All who ask at the same time wait for the same refresh, and one that leaves does not end it.
        """
        if not force and (good := self.at_hand(account)):
            return good
        held = self._held.get(account.id)
        refused = held.tokens.access if force and held else None
        while True:
            joined = self._flights.get(account.id)
            if joined is not None and joined.done():
                joined = None
            tokens = await asyncio.shield(joined or self._fly(account, refused))
            # What was under way may have been a look into the store, for somebody who had no token at all.
            if joined is None or tokens.access != refused:
                return tokens.access

    def take(self, accounts: Iterable[Account], versions: Mapping[str, int]) -> None:
        """The accounts there are, and the versions of their tokens: what is new of them is read ahead.

        So the tokens of an account that was not used yet are there when the database is not.
        """
        self._accounts = {account.id: account for account in accounts if account.kind is Kind.OAUTH}
        for account_id, held in [*self._held.items()]:
            if versions.get(account_id) != held.version and self._deposit.owed(account_id) is None:
                self._forget(account_id)
        news = (one for one in self._accounts if self._versions.get(one) != versions.get(one))
        self._unread |= {account_id: None for account_id in news if account_id not in self._held}
        self._versions = versions
        if self._unread and not self._ending and (self._reading is None or self._reading.done()):
            self._reading = asyncio.get_running_loop().create_task(self._read_ahead(), name="read sign-ins")

    async def _read_ahead(self) -> None:
        while self._unread:
            account_id, _ = self._unread.popitem()
            account = self._accounts.get(account_id)
            if account is None or account_id in self._flights:
                continue
            with suppress(SecretTrouble, SettingsError):
                stored = await self._deposit.look(account)
                good = stored.tokens.left(self._clock()) > _least(stored.tokens)
                if good and account_id not in self._held and account_id not in self._flights:
                    self._keep(account, stored)

    async def end(self) -> None:
        """Let what is under way come to its end, within a bound."""
        self._ending = True
        if self._reading is not None:
            self._reading.cancel()
        for timer in self._timers.values():
            timer.cancel()
        if self._flights:
            await asyncio.wait(self._flights.values(), timeout=LAST_WAIT)
        for flight in self._flights.values():
            flight.cancel()
        self._deposit.end()

    def _fly(self, account: Account, refused: SecretStr | None, enough: float | None = None) -> asyncio.Task[Tokens]:
        """Begin the one refresh of this account."""

        def landed(task: asyncio.Task[Tokens]) -> None:
            if self._flights.get(account.id) is task:
                del self._flights[account.id]
            if not task.cancelled():
                task.exception()  # Perhaps nobody waits for it any more.
            if enough is not None and account.id in self._held and account.id not in self._timers:
                self._at(account.id, BACK_OFF)

        renewing = self._renewed(account, refused, enough)
        task = self._flights[account.id] = asyncio.get_running_loop().create_task(renewing, name="renew a sign-in")
        task.add_done_callback(landed)
        return task

    async def _renewed(self, account: Account, refused: SecretStr | None, enough: float | None) -> Tokens:
        """Tokens other than the refused ones, with `enough` seconds left (None: as many as a request needs)."""

        def will_do(tokens: Tokens) -> bool:
            now = self._clock()
            if tokens.left(now) <= (_least(tokens) if enough is None else enough):
                return False
            return tokens.access != refused or 0 <= now - tokens.obtained_at < TOO_YOUNG

        try:
            if (owed := self._deposit.owed(account.id)) is not None:
                return self._make_do(account, owed.tokens, refused, "the database does not take what was renewed")
            stored = await self._deposit.look(account)
            if will_do(stored.tokens):
                return self._keep(account, stored)
            self._held[account.id] = stored
            trouble = self._troubles.get(account.id)
            if trouble is not None and trouble.until > self._clock():
                return self._make_do(account, stored.tokens, refused, trouble.words)
            stored, mine = await self._deposit.lease(account, will_do)
            return await self._ask(account, stored, refused) if mine else self._keep(account, stored)
        except SettingsError as problem:
            # A database or a vault that does not answer now: what is in memory serves to its end.
            held = self._held.get(account.id)
            if held is None:
                raise SecretTrouble(f"account {account.name}: {problem}") from None
            return self._make_do(account, held.tokens, refused, str(problem))

    async def _ask(self, account: Account, stored: Stored, refused: SecretStr | None) -> Tokens:
        """Ask the provider; the lease is ours."""
        if stored.over:
            await self._deposit.release(account)
            raise SecretTrouble(_over(account, stored))
        try:
            tokens = await self._from_provider(account, stored.tokens)
        except (OAuthFailed, SettingsError) as problem:
            if isinstance(problem, OAuthFailed) and problem.lasting:
                return await self._end(account, stored, problem)
            await self._deposit.release(account)
            self._held[account.id] = stored
            self._fail(account, str(problem), getattr(problem, "after", None) or 0.0)
            return self._make_do(account, stored.tokens, refused, str(problem))
        return self._keep(account, await self._deposit.put(account, tokens, stored))

    async def _from_provider(self, account: Account, tokens: Tokens) -> Tokens:
        providers = await asyncio.to_thread(load_providers, self._places, self._environ)
        provider = providers.get(tokens.provider)
        if provider is None:
            raise SettingsError(f"proxy/providers.yaml has no {tokens.provider!r} any more: write it there again")
        provider.require_client(self._places)
        way = Way(self._places, self._environ, self._ca_file(), account.outbound_proxy)
        try:
            async with asyncio.timeout(TIMEOUT):
                if not provider.token_url:
                    provider = await discovered(provider, way)
                return await refreshed(provider, way, tokens, self._clock())
        except TimeoutError:
            raise OAuthFailed(f"{provider.name} did not answer within {TIMEOUT:g} s") from None

    async def _end(self, account: Account, stored: Stored, problem: OAuthFailed) -> Tokens:
        """The provider says that the sign-in is over: so it is, unless there is another by now."""
        now = await self._deposit.over(account, problem.code, stored)
        if not now.over:
            return self._keep(account, now)
        self._forget(account.id)
        words = _over(account, stored)
        logger.warning("%s (%s)", words, problem)
        raise SecretTrouble(words)

    def _fail(self, account: Account, words: str, after: float) -> None:
        """Leave the provider alone for a while, and try again then."""
        trouble = self._troubles.get(account.id)
        if trouble is None:
            trouble = self._troubles[account.id] = _Trouble()
            logger.warning("account %s: its sign-in could not be renewed: %s", account.name, words)
        else:
            trouble.pause = min(2 * trouble.pause, LONGEST_BACK_OFF)
        pause = max(trouble.pause, min(after, LONGEST_BACK_OFF))
        trouble.until, trouble.words = self._clock() + pause, words
        self._at(account.id, pause)

    def _make_do(self, account: Account, tokens: Tokens, refused: SecretStr | None, why: str) -> Tokens:
        """The old ones, while they are good."""
        if tokens.left(self._clock()) > 0 and tokens.access != refused:
            return tokens
        raise SecretTrouble(f"account {account.name}: its sign-in could not be renewed: {why}")

    def _keep(self, account: Account, stored: Stored) -> Tokens:
        """Good ones: give them out from now on, and renew them in time."""
        if self._troubles.pop(account.id, None):
            logger.warning("account %s: its sign-in is good again", account.name)
        self._held[account.id], tokens = stored, stored.tokens
        if tokens.refresh and tokens.expires_at is not None:
            # Not all accounts at once, nor all processes.
            ahead = _ahead(tokens) * (0.5 + 0.5 * self._chance())
            self._at(account.id, tokens.left(self._clock()) - ahead)
        return tokens

    def _at(self, account_id: str, after: float) -> None:
        if (timer := self._timers.pop(account_id, None)) is not None:
            timer.cancel()
        if not self._ending:
            loop = asyncio.get_running_loop()
            self._timers[account_id] = loop.call_later(max(after, 0.0), self._in_background, account_id)

    def _in_background(self, account_id: str) -> None:
        self._timers.pop(account_id, None)
        account, held = self._accounts.get(account_id), self._held.get(account_id)
        if account is None or held is None or account.paused is not None or account.needs_login:
            return
        if account_id not in self._flights:
            self._fly(account, None, _ahead(held.tokens))

    def _forget(self, account_id: str) -> None:
        self._held.pop(account_id, None)
        self._troubles.pop(account_id, None)
        if (timer := self._timers.pop(account_id, None)) is not None:
            timer.cancel()


def _least(tokens: Tokens) -> float:
    return min(LEAST, tokens.lifetime / 20)


def _ahead(tokens: Tokens) -> float:
    return min(AHEAD, tokens.lifetime / 4)


def _over(account: Account, stored: Stored) -> str:
    login = f"codemie-proxy auth login {stored.tokens.provider} --name {account.name}"
    return f"account {account.name}: its sign-in is over; sign in again: {login}"
