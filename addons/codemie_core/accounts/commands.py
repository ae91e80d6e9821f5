"""The accounts inside mitmproxy: commands for its console, for mitmweb and for scripts.

What changes an account is written to the store and counts for all proxies that share it, as with `codemie-proxy
accounts`; only the strategy is this proxy's own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mitmproxy import command, ctx, exceptions, flow, http
from mitmproxy.utils import asyncio_utils

from codemie_core.accounts import words
from codemie_core.accounts.account import Account
from codemie_core.accounts.pool import Pool
from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.errors import CodemieError
from codemie_core.exchange import BOOK
from codemie_core.settings import nearest

if TYPE_CHECKING:
    from sqlalchemy import Connection

STRATEGY_OPTION = "codemie_account_rotation_strategy"
HIGHEST = 1000
WHO = "mitmproxy command"

logger = logging.getLogger(__name__)


def named[F: Callable[..., Any]](path: str) -> Callable[[F], F]:
    """mitmproxy's decorator, with types."""
    decorator: Callable[[F], F] = command.command(path)
    return decorator


class Keeper(Protocol):
    """Writes what is done to an account into the store, and into the pool of this proxy."""

    def act(
        self, name_or_id: str, action: str, value: object, reason: str, who: str
    ) -> Coroutine[Any, Any, object]: ...

    def change(self, work: Callable[[Connection], object]) -> Coroutine[Any, Any, object]: ...


class AccountCommands:
    """For the addon that has the pool. A command cannot wait: it checks, begins, and the log says how it ended."""

    pool: Pool
    keeper: Keeper

    @named("codemie.accounts.list")
    def accounts_list(self) -> Sequence[str]:
        """Show the accounts of the pool and how each one is, those that go first at the top."""
        now = time.time()
        listed = sorted(self.pool.accounts, key=lambda account: (account.priority, account.name))
        return [words.line(account, self.pool.status(account.id), now) for account in listed]

    @named("codemie.accounts.show")
    def accounts_show(self, name: str) -> Sequence[str]:
        """Show all about one account, but its secret."""
        account = self._named(name)
        rows = words.lines(account, self.pool.status(account.id), time.time())
        return [f"{title}: {text}" for title, text in rows]

    @named("codemie.accounts.pause")
    def accounts_pause(self, name: str, reason: str) -> None:
        """Leave an account alone, in all proxies, until it is resumed."""
        self._act(self._named(name), "pause", None, reason, "is paused")

    @named("codemie.accounts.resume")
    def accounts_resume(self, name: str) -> None:
        """Use a paused account again, in all proxies."""
        account = self._named(name)
        if account.paused is None:
            raise exceptions.CommandError(f"{account.name} is not paused")
        self._act(account, "resume", None, "", "is used again")

    @named("codemie.accounts.priority")
    def accounts_priority(self, name: str, priority: int) -> None:
        """Say who goes first, the lowest number, among the accounts for new conversations, in all proxies."""
        if not 0 <= priority <= HIGHEST:
            raise exceptions.CommandError(f"a priority is a number from 0 to {HIGHEST}; the lowest goes first")
        self._act(self._named(name), "priority", priority, "", f"has priority {priority}")

    @named("codemie.accounts.weight")
    def accounts_weight(self, name: str, weight: int) -> None:
        """Say how large an account's share is among those of one priority, in all proxies."""
        self._change(self._named(name), f"has weight {weight}", "set_weight", weight)

    @named("codemie.accounts.rename")
    def accounts_rename(self, name: str, new_name: str) -> None:
        """Give an account another name, in all proxies; its history and conversations stay."""
        self._change(self._named(name), f"is {new_name} now", "rename", new_name)

    @named("codemie.accounts.reset")
    def accounts_reset(self, name: str) -> None:
        """Forget what was heard of an account's limits: it is asked again at once, in all proxies."""
        self._change(self._named(name), "is asked again", "end_limits")

    @named("codemie.accounts.remove")
    def accounts_remove(self, name: str, sure: str) -> None:
        """Forget an account and its secret, in all proxies; `sure` must be yes."""
        account = self._named(name)
        if sure != "yes":
            raise exceptions.CommandError(f"{account.name} and its secret would go for good: say yes to it")
        self._change(account, "is removed", "remove")

    @named("codemie.accounts.strategy")
    def accounts_strategy(self, name: str = "") -> str:
        """Show how an account is chosen, or choose another way for this proxy until it ends."""
        if name and name not in STRATEGIES:
            raise exceptions.CommandError(f"there is no strategy {name!r}; there are: {', '.join(STRATEGIES)}")
        if name:
            try:
                ctx.options.update(**{STRATEGY_OPTION: name})
            except (exceptions.OptionsError, KeyError) as problem:
                raise exceptions.CommandError(str(problem)) from None
        return self.pool.strategy

    @named("codemie.accounts.why")
    def accounts_why(self, flow: flow.Flow) -> str:
        """Say which account a request went out with, and why that one."""
        exchange = BOOK.known(flow) if isinstance(flow, http.HTTPFlow) else None
        if exchange is None or not exchange.account:
            return "no account of the pool: it went out as the client sent it, or not at all"
        return f"{exchange.account}: {exchange.account_why}"

    def _named(self, name: str) -> Account:
        for account in self.pool.accounts:
            if name in (account.name, account.id):
                return account
        close = nearest(name, [account.name for account in self.pool.accounts])
        meant = f"did you mean {close!r}?" if close else "codemie.accounts.list shows all"
        raise exceptions.CommandError(f"there is no account {name!r}; {meant}")

    def _act(self, account: Account, action: str, value: object, reason: str, done: str) -> None:
        acting = self.keeper.act(account.id, action, value, reason, WHO)
        self._begin_to(account, action, f"{done}{f': {reason}' if reason else ''}", acting)

    def _change(self, account: Account, done: str, action: str, *values: object) -> None:
        """`action`: a function of codemie_core/accounts/changes.py."""

        def change(connection: Connection) -> None:
            from codemie_core.accounts import changes

            getattr(changes, action)(connection, account.id, *values, WHO, time.time())

        self._begin_to(account, action.replace("_", " "), done, self.keeper.change(change))

    def _begin_to(self, account: Account, action: str, done: str, work: Coroutine[Any, Any, object]) -> None:
        async def acting() -> None:
            try:
                await work
            except CodemieError as problem:
                logger.error("account %s: %s failed: %s", account.name, action, problem)
            else:
                logger.info("account %s %s", account.name, done)

        asyncio_utils.create_task(acting(), name=f"{action} {account.name}", keep_ref=True)
