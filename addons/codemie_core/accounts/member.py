"""An account of the pool together with what the pool knows of it."""

from __future__ import annotations

from codemie_core.accounts.account import Account
from codemie_core.accounts.health import Health

MOST_ANSWERS = 256
"""Remembered answers to "may it be asked for this model?"; the names come from clients."""


class Member:
    """`order` is its place among the operator's accounts."""

    __slots__ = ("_allowed", "account", "health", "id", "order", "origins", "share", "stopped")

    def __init__(self, account: Account, order: int, health: Health) -> None:
        self.account = account
        self.id = account.id
        self.order = order
        self.health = health
        self.origins = frozenset((account.origin, *account.serves))
        self.share = 1.0 / max(account.weight, 1)
        self.stopped = account.paused is not None or account.needs_login
        self._allowed: dict[str, bool] | None = {} if account.allow or account.deny else None

    def serves(self, origin: str, model: str) -> bool:
        """May requests for this origin and model ever go there?"""
        if origin not in self.origins:
            return False
        if self._allowed is None:
            return True
        known = self._allowed.get(model)
        if known is None:
            if len(self._allowed) >= MOST_ANSWERS:
                self._allowed.clear()
            known = self._allowed[model] = self.account.allows(model)
        return known

    def serves_as_fallback(self, origin: str, model: str) -> bool:
        """Does it name this model to be asked for when nothing else is left?"""
        return origin in self.origins and self.account.fallback_model == model

    @property
    def choosy(self) -> bool:
        """Does it make a difference which model is asked?"""
        return self._allowed is not None
