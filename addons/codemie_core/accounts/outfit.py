"""An exchange gets an account's address and credential; on the flow the one, on the wire copy alone the other."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from mitmproxy import http
from pydantic import SecretStr

from codemie_core.accounts.account import Account
from codemie_core.accounts.keeper import PoolKeeper
from codemie_core.accounts.pool import Ask, Choice
from codemie_core.accounts.providers import OWNER, beside_sign_in, credential_of
from codemie_core.accounts.thinking import rejected_signature, without_thinking
from codemie_core.accounts.turn import AGAIN, Left, Turn, without
from codemie_core.accounts.words import NO_SECRET
from codemie_core.credential import Credential
from codemie_core.errors import CodemieError, Problem
from codemie_core.exchange import Attempt, Exchange
from codemie_core.target import Target, with_prefix

logger = logging.getLogger(__name__)

BAD_PATH = Problem(400, "path_outside_account", "This path does not lie below the base URL of an account.")
CLIENTS_OWN = "no account can serve it: the client's own credentials"

_NOT_TO_BE_HAD = (CodemieError, ValueError)
"""A secret whose source does not give it, or that may not go where its account is."""


@dataclass(frozen=True, slots=True)
class Ready:
    """An account with its secret, taken apart and checked."""

    account: Account
    secret: SecretStr
    target: Target
    credential: Credential


class Outfit:
    """One per pool."""

    def __init__(self, keeper: PoolKeeper) -> None:
        self._keeper = keeper
        self._ready: dict[str, Ready] = {}

    async def equip(self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn, ask: Ask, choice: Choice) -> Left | None:
        """Give the exchange the account's address and credential. Returns why, when it has got none.

        Accounts whose secret cannot be had are passed over, and those whose fallback model cannot be asked for; what
        that takes is bounded by the plan. Nothing has changed when there is none in the end.
        """
        pool, last_moment = self._keeper.pool, time.monotonic() + (turn.plan.budget or math.inf)
        while True:
            wanted = turn.wanted(choice)
            if wanted is None:
                pool.released(choice)
            else:
                try:
                    account = choice.account
                    secret = self._keeper.secret_at_hand(account) or await self._keeper.secret(account)
                    ready = self._made_ready(account, secret)
                except _NOT_TO_BE_HAD as trouble:
                    self._pass_over(choice, trouble)
                else:
                    if self._send(flow, exchange, turn, ask, choice, ready, wanted):
                        return None
                    pool.released(choice)
                    return BAD_PATH
            ask = without(ask, choice)
            found = pool.choose(ask)
            if isinstance(found, tuple):
                return found
            choice = found
            if time.monotonic() > last_moment:
                pool.released(choice)
                return AGAIN

    def undress(self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn) -> None:
        """As if there were no accounts: the client's own address, body and credentials."""
        sent = turn.sent
        _address(flow.request, sent.scheme, sent.host, sent.port)
        _say(flow.request, sent.path, sent.body)
        exchange.credentials = [other for other in exchange.credentials if other.owner != OWNER]
        exchange.plan = turn.plan
        note_account(flow, exchange, "", CLIENTS_OWN)

    async def renewed(self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn) -> bool:
        """A secret other than the one that was refused, for the same account, once per request. Is there one?"""
        choice, wanted = turn.choice, turn.wanted(turn.choice)
        account = choice.account
        if account.id in turn.refreshed or wanted is None:
            return False
        turn.refreshed.add(account.id)
        try:
            secret = await self._keeper.secret(account)
            if secret == turn.secret:  # Else another request has got a new one meanwhile.
                secret = await self._keeper.secret(account, refresh=True)
            if secret == turn.secret:
                return False
            ready = self._made_ready(account, secret)
        except _NOT_TO_BE_HAD as trouble:
            logger.warning("%s", trouble)
            return False
        return self._send(flow, exchange, turn, turn.ask, choice, ready, wanted)

    def repaired(self, flow: http.HTTPFlow, turn: Turn, attempt: Attempt) -> bool:
        """Leave out thinking whose signature this account rejects, only after it has said so. Was there any?"""
        if attempt.status is None or not rejected_signature(attempt.status, attempt.body or b""):
            return False
        body = without_thinking(turn.body)
        if body is None:
            return False
        turn.body = body
        wanted = turn.wanted(turn.choice)
        if wanted is None:
            return False
        _say(flow.request, flow.request.path, wanted[0])
        return True

    def keep(self, accounts: Iterable[Account]) -> None:
        """Forget the secrets of all others."""
        for gone in self._ready.keys() - {account.id for account in accounts}:
            del self._ready[gone]

    def _send(
        self,
        flow: http.HTTPFlow,
        exchange: Exchange,
        turn: Turn,
        ask: Ask,
        choice: Choice,
        ready: Ready,
        wanted: tuple[bytes, str],
    ) -> bool:
        """False, and nothing has changed, where the path leads out of the account's base URL."""
        target, (body, below) = ready.target, wanted
        path = with_prefix(below, target.path)
        if not ready.credential.fits(target.scheme, target.host, target.port, path):
            return False
        request, account = flow.request, ready.account
        _address(request, target.scheme, target.host, target.port)
        _say(request, path, body)
        others = [other for other in exchange.credentials if other.owner != OWNER]
        exchange.credentials = [*others, beside_sign_in(ready.credential, account, request.headers.get)]
        exchange.plan = turn.plan_with(account)
        note_account(flow, exchange, account.name, choice.why)
        turn.take(ask, choice, ready.secret)
        return True

    def _made_ready(self, account: Account, secret: SecretStr) -> Ready:
        """Once per account and secret: it is checked with care, and that takes time."""
        known = self._ready.get(account.id)
        if known is None or known.account is not account or known.secret != secret:
            known = Ready(account, secret, account.target, credential_of(account, secret))
            self._ready[account.id] = known
        return known

    def _pass_over(self, choice: Choice, trouble: Exception) -> None:
        logger.warning("%s", trouble)
        self._keeper.pool.unusable(choice.account.id, NO_SECRET, choice)
        self._keeper.note()


def note_account(flow: http.HTTPFlow, exchange: Exchange, account: str, why: str) -> None:
    """Where people and other addons look for it."""
    exchange.account, exchange.account_why = account, why
    flow.metadata["codemie.account"], flow.metadata["codemie.account_why"] = account, why


def _address(request: http.Request, scheme: str, host: str, port: int) -> None:
    """Send it there; what is so already is not touched."""
    if (request.scheme, request.host, request.port) != (scheme, host, port):
        request.scheme, request.host, request.port = scheme, host, port


def _say(request: http.Request, path: str, body: bytes) -> None:
    """Ask for this path with this body; what is so already is not touched."""
    if request.path != path:
        request.path = path
    if request.raw_content != body and (request.raw_content or body):
        request.raw_content = body
        if "content-length" in request.headers:
            request.headers["content-length"] = str(len(body))
