"""An exchange gets an account's address and credential; on the flow the one, on the wire copy alone the other."""

from __future__ import annotations

import logging
import time

from mitmproxy import http
from pydantic import SecretStr

from codemie_core.accounts.account import Account
from codemie_core.accounts.empty import pool_empty
from codemie_core.accounts.fallback import with_model
from codemie_core.accounts.keeper import PoolKeeper
from codemie_core.accounts.providers import OWNER, credential_of
from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.accounts.thinking import rejected_signature, without_thinking
from codemie_core.accounts.turn import Turn
from codemie_core.credential import Credential
from codemie_core.errors import Problem
from codemie_core.exchange import Attempt, Exchange
from codemie_core.target import with_prefix

logger = logging.getLogger(__name__)

BAD_PATH = Problem(400, "path_outside_account", "This path does not lie below the base URL of an account.")
NO_SECRET = "its secret cannot be had"


class Outfit:
    """One per pool."""

    def __init__(self, keeper: PoolKeeper) -> None:
        self._keeper = keeper
        self._credentials: dict[str, tuple[Account, str, Credential]] = {}

    async def equip(self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn) -> Problem | None:
        """Give the exchange the account's address and credential; accounts whose secret cannot be had are passed over.

        Returns what to answer when none is left.
        """
        while True:
            account = turn.choice.account
            try:
                secret = self._keeper.secret_at_hand(account) or await self._keeper.secret(account)
                credential = self._credential(account, secret)
            except (SecretTrouble, ValueError) as trouble:
                logger.warning("%s", trouble)
                self._keeper.pool.unusable(account.id, NO_SECRET, turn.choice)
                self._keeper.note()
                ask = turn.without_current()
                found = self._keeper.pool.choose(ask)
                if isinstance(found, tuple):
                    turn.settled = True
                    return pool_empty(found, time.time())
                turn.take(ask, found)
                continue
            return self._send_with(flow, exchange, turn, credential)

    def _send_with(self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn, credential: Credential) -> Problem | None:
        request, account = flow.request, turn.choice.account
        target = account.target
        if (request.scheme, request.host, request.port) != (target.scheme, target.host, target.port):
            request.scheme, request.host, request.port = target.scheme, target.host, target.port
        body, path = turn.body, turn.path
        if turn.choice.model and (changed := with_model(body, path, turn.choice.model)):
            body, path = changed
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
        value = secret.get_secret_value()
        known = self._credentials.get(account.id)
        if known is None or known[0] is not account or known[1] != value:
            known = self._credentials[account.id] = account, value, credential_of(account, secret)
        return known[2]

    async def renewed(self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn) -> bool:
        """A new secret for the account whose secret was refused, once per request. Is there one?"""
        account = turn.choice.account
        if account.id in turn.refreshed:
            return False
        turn.refreshed.add(account.id)
        former = self._credentials.get(account.id)
        try:
            secret = await self._keeper.secret(account, refresh=True)
        except SecretTrouble as trouble:
            logger.warning("%s", trouble)
            return False
        if former is not None and former[1] == secret.get_secret_value():
            return False
        credential = self._credential(account, secret)
        return self._send_with(flow, exchange, turn, credential) is None

    def repaired(self, flow: http.HTTPFlow, turn: Turn, attempt: Attempt) -> bool:
        """Leave out thinking whose signature this account rejects; only after it has said so, and once."""
        if turn.repaired or attempt.status is None or not rejected_signature(attempt.status, attempt.body or b""):
            return False
        turn.repaired = True
        body = without_thinking(turn.body)
        if body is None:
            return False
        turn.body = body
        if turn.choice.model and (changed := with_model(body, turn.path, turn.choice.model)):
            body = changed[0]
        _say(flow.request, flow.request.path, body)
        return True


def _say(request: http.Request, path: str, body: bytes) -> None:
    """Ask for this path with this body; what is so already is not touched."""
    if request.path != path:
        request.path = path
    if request.raw_content != body and (request.raw_content or body):
        request.raw_content = body
        if "content-length" in request.headers:
            request.headers["content-length"] = str(len(body))
