"""Pools for tests: accounts, a clock that stands still until told, and verdicts."""

import dataclasses
import random
from typing import Any

from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.asking import Ask, Choice
from codemie_core.accounts.empty import Unusable
from codemie_core.accounts.limits import Limits, Window
from codemie_core.accounts.pool import Pool
from codemie_core.accounts.state import Cooldown, Home, PoolState, Usage
from codemie_core.accounts.verdicts import Act, Scope, Verdict

ORIGIN = "https://api.anthropic.com:443"
NOW = 1_800_000_000.0
OPUS, HAIKU = "claude-opus-4-5", "claude-haiku-4-5"

GUESS = Verdict(Act.NEXT, Scope.ACCOUNT, reason="limited (429)", escalates=True)
NOTHING = Verdict(Act.NEXT)


def named_account(name: str, **changes: Any) -> Account:
    """An account of Anthropic's; its id is its name."""
    account = Account(name, name, "anthropic", Kind.API_KEY, "https://api.anthropic.com")
    return dataclasses.replace(account, **changes)


def verified(until: float, scope: Scope = Scope.ACCOUNT) -> Verdict:
    """Limited until then, as the upstream said."""
    return Verdict(Act.NEXT, scope, until, True, "limited (429)", True)


def overload(now: float) -> Verdict:
    """A 529."""
    return Verdict(Act.NEXT, Scope.ACCOUNT, now + 10, reason="overloaded (529)")


def used(*windows: tuple[str, float, float | None]) -> Limits:
    """Windows as name, utilization, reset."""
    return Limits(windows=tuple(Window(name, share, resets_at=reset) for name, share, reset in windows))


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Proxy:
    """A pool with its clock, asked in few words."""

    def __init__(self, *accounts: Account | str, clock: Clock | None = None, seed: int = 1, **settings: Any) -> None:
        self.clock = clock or Clock()
        self.pool = Pool(self.clock, rng=random.Random(seed).random, **settings)
        self.pool.set_accounts(named_account(one) if isinstance(one, str) else one for one in accounts)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds

    def choice(self, conversation: str = "", model: str = OPUS, *excluded: str, origin: str = ORIGIN) -> Choice:
        """A choice; AssertionError when there is none."""
        found = self.pool.choose(Ask(origin, model, conversation, frozenset(excluded)))
        assert isinstance(found, Choice), found
        return found

    def name(self, conversation: str = "", model: str = OPUS, *excluded: str) -> str:
        """The name of the chosen account."""
        return self.choice(conversation, model, *excluded).account.name

    def nobody(self, conversation: str = "", model: str = OPUS, *excluded: str) -> tuple[Unusable, ...]:
        """Why nobody can serve; AssertionError when somebody can."""
        found = self.pool.choose(Ask(ORIGIN, model, conversation, frozenset(excluded)))
        assert isinstance(found, tuple), found
        return found

    def fail(self, choice: Choice, verdict: Verdict, model: str = OPUS) -> None:
        """The attempt failed so."""
        self.pool.failed(choice.account.id, choice.model or model, verdict, choice)

    def succeed(self, choice: Choice, limits: Limits | None = None, model: str = OPUS) -> None:
        """The attempt went well."""
        self.pool.succeeded(choice.account.id, choice.model or model, limits, choice)

    def bench(self, name: str, verdict: Verdict = GUESS, model: str = OPUS) -> None:
        """That account failed, whoever asked it."""
        self.pool.failed(name, model, verdict)

    def saved(self) -> PoolState:
        """All that it wants to have stored."""
        changes = []
        while some := self.pool.drain(everything=True):
            changes += some
        return PoolState(
            [one for one in changes if isinstance(one, Cooldown)],
            [one for one in changes if isinstance(one, Usage)],
            [one for one in changes if isinstance(one, Home)],
        )
