"""What happens after an attempt with an account has failed, before anything of it reached the client."""

from __future__ import annotations

import time

from mitmproxy import http

from codemie_core.accounts.keeper import PoolKeeper
from codemie_core.accounts.limits import SILENT, read_limits
from codemie_core.accounts.outfit import Outfit
from codemie_core.accounts.turn import (
    AGAIN,
    Left,
    Turn,
    is_nobodys_fault,
    leads_back,
    wait_before_next,
    without,
)
from codemie_core.accounts.verdicts import Act, Verdict, judge
from codemie_core.exchange import Attempt, Exchange
from codemie_core.policy import Failure, Reason, Retry


class Failover:
    """One per pool."""

    def __init__(self, keeper: PoolKeeper, outfit: Outfit) -> None:
        self._keeper, self._outfit = keeper, outfit

    async def after(
        self, flow: http.HTTPFlow, exchange: Exchange, turn: Turn, attempt: Attempt, most: int
    ) -> Left | None:
        """Tell the pool, and let the attempt's decision say how it goes on: with up to so many accounts.

        Returns why, when no account is left and policy has no better idea.
        """
        failure = attempt.failure
        if failure is None or is_nobodys_fault(failure, attempt.decision):
            return None
        pool, choice = self._keeper.pool, turn.choice
        verdict, in_time = _verdict(flow, attempt, failure), turn.in_time(exchange.attempts)
        if in_time and self._outfit.repaired(flow, turn, attempt):
            attempt.decision = Retry(0.0)
            return None
        if verdict.act is Act.REFRESH and in_time and await self._outfit.renewed(flow, exchange, turn):
            attempt.decision = Retry(0.0)
            return None
        if verdict.act is Act.RELEASE:
            pool.released(choice)
            turn.settled = not isinstance(attempt.decision, Retry)
            return None
        pool.failed(choice.account.id, turn.model, verdict, choice)
        self._keeper.note()
        turn.settled, left = True, None
        if turn.moves:
            left = await self._next(flow, exchange, turn, attempt, failure, verdict, most if in_time else 0)
        if isinstance(attempt.decision, Retry):
            # Where no other account is left, policy may ask the same one again: better than an error.
            turn.settled = False
            return None
        if failure.reason is Reason.LEADS_BACK:
            return leads_back(choice.account)
        return left if verdict.reason else None

    async def _next(
        self,
        flow: http.HTTPFlow,
        exchange: Exchange,
        turn: Turn,
        attempt: Attempt,
        failure: Failure,
        verdict: Verdict,
        most: int,
    ) -> Left | None:
        pool, ask = self._keeper.pool, without(turn.ask, turn.choice)
        found = pool.choose(ask) if turn.tried < most else pool.peek(ask)
        if isinstance(found, tuple):
            return found
        if turn.tried >= most:
            return AGAIN
        wait = wait_before_next(failure, verdict, attempt.decision, turn.choice.account, found.account)
        if wait is None:
            pool.released(found)
            return None
        left = await self._outfit.equip(flow, exchange, turn, ask, found)
        if left is None:
            attempt.decision = Retry(wait)
        return left


def _verdict(flow: http.HTTPFlow, attempt: Attempt, failure: Failure) -> Verdict:
    now = time.time()
    limits = read_limits(flow.response.headers.fields, now) if flow.response is not None else SILENT
    verdict = judge(failure, limits, attempt.body, now)
    refused = failure.status is not None and failure.status < 500
    if verdict.act is Act.RELEASE and isinstance(attempt.decision, Retry) and not refused:
        return Verdict(Act.NEXT)  # What may be tried again had better be tried elsewhere.
    return verdict
