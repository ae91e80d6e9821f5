"""An exchange gets an account's address and credential; on the flow the one, on the wire copy alone the other."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from mitmproxy import http
from pydantic import SecretStr

from codemie_core.accounts.account import Account
from codemie_core.accounts.empty import Unusable
from codemie_core.accounts.keeper import PoolKeeper
from codemie_core.accounts.providers import OWNER, credential_of
from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.accounts.thinking import rejected_signature, without_thinking
from codemie_core.accounts.turn import Turn
from codemie_core.accounts.words import NO_SECRET
from codemie_core.credential import Credential
from codemie_core.errors import Problem
from codemie_core.exchange import Attempt, Exchange
from codemie_core.target import with_prefix

logger = logging.getLogger(__name__)

BAD_PATH = Problem(400, "path_outside_account", "This path does not lie below the base URL of an account.")

type Left = Problem | tuple[Unusable, ...]
"""Why no account can be had: an answer, or the pool's own reasons."""


class Outfit:
    """One per pool."""

    def __init__(self, keeper: PoolKeeper) -> None:
        self._keeper = keeper
        self._credentials: dict[str, tuple[Account, SecretStr, Credential]] = {}

    async def equip(self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn) -> Left | None:
        """Give the exchange the account's address and credential. Returns why, when it has got none.

        Accounts whose secret cannot be had are passed over, and those whose fallback model cannot be asked for.
        """
        pool = self._keeper.pool
        while True:
            account = turn.choice.account
            wanted = turn.wanted()
            if wanted is None:
                pool.released(turn.choice)
            else:
                try:
                    secret = self._keeper.secret_at_hand(account) or await self._keeper.secret(account)
                    return self._send_with(flow, exchange, turn, wanted, self._credential(account, secret))
                except (SecretTrouble, ValueError) as trouble:
                    logger.warning("%s", trouble)
                    pool.unusable(account.id, NO_SECRET, turn.choice)
                    self._keeper.note()
            turn.settled = True
            ask = turn.without_current()
            found = pool.choose(ask)
            if isinstance(found, tuple):
                return found
            turn.take(ask, found)

    def undress(self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn) -> None:
        """As if there were no accounts: the client's own address, body and credentials."""
        sent = turn.sent
        _address(flow.request, sent.scheme, sent.host, sent.port)
        _say(flow.request, sent.path, sent.body)
        exchange.credentials = [other for other in exchange.credentials if other.owner != OWNER]
        exchange.plan = turn.plan
        exchange.account, exchange.account_why = "", "no account can serve it: the client's own credentials"
        flow.metadata["codemie.account"], flow.metadata["codemie.account_why"] = "", exchange.account_why

    async def renewed(self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn) -> bool:
        """A secret other than the one that was refused, for the same account, once per request. Is there one?"""
        account, wanted = turn.choice.account, turn.wanted()
        if account.id in turn.refreshed or wanted is None:
            return False
        turn.refreshed.add(account.id)
        refused = [dict(one.headers) for one in exchange.credentials if one.owner == OWNER]
        for refresh in (False, True):  # Another request may have got a new one meanwhile.
            try:
                secret = await self._keeper.secret(account, refresh=refresh)
                credential = self._credential(account, secret)
            except (SecretTrouble, ValueError) as trouble:
                logger.warning("%s", trouble)
                return False
            if dict(credential.headers) not in refused:
                return self._send_with(flow, exchange, turn, wanted, credential) is None
        return False

    def repaired(self, flow: http.HTTPFlow, turn: Turn, attempt: Attempt) -> bool:
        """Leave out thinking whose signature this account rejects; only after it has said so, and once."""
        if turn.repaired or attempt.status is None or not rejected_signature(attempt.status, attempt.body or b""):
            return False
        turn.repaired = True
        body = without_thinking(turn.body)
        if body is None:
            return False
        turn.body = body
        wanted = turn.wanted()
        if wanted is None:
            return False
        _say(flow.request, flow.request.path, wanted[0])
        return True

    def keep(self, accounts: Iterable[Account]) -> None:
        """Forget the secrets of all others."""
        known = {account.id for account in accounts}
        for gone in self._credentials.keys() - known:
            del self._credentials[gone]

    def _send_with(
        self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn, wanted: tuple[bytes, str], credential: Credential
    ) -> Problem | None:
        request, account = flow.request, turn.choice.account
        target, (body, path) = account.target, wanted
        _address(request, target.scheme, target.host, target.port)
        _say(request, with_prefix(path, target.path), body)
        if not credential.fits(request.scheme, request.host, request.port, request.path):
            return BAD_PATH
        others = [other for other in exchange.credentials if other.owner != OWNER]
        exchange.credentials = [*others, credential]
        exchange.plan = turn.plan_for()
        exchange.account, exchange.account_why = account.name, turn.choice.why
        flow.metadata["codemie.account"] = account.name
        flow.metadata["codemie.account_why"] = turn.choice.why
        return None

    def _credential(self, account: Account, secret: SecretStr) -> Credential:
        """Made once per account and secret: it is checked with care, and that takes time."""
        known = self._credentials.get(account.id)
        if known is None or known[0] is not account or known[1] != secret:
            known = self._credentials[account.id] = account, secret, credential_of(account, secret)
        return known[2]


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
