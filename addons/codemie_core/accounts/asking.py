"""The question put to the pool, and its answer."""

from __future__ import annotations

from dataclasses import dataclass

from codemie_core.accounts.account import Account


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that needs an account. `excluded` holds `Choice.tried` of those that failed it."""

    origin: str
    """Scheme, host and port, always with the port."""
    model: str = ""
    conversation: str = ""
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Choice:
    """An account for one attempt."""

    account: Account
    why: str
    """For people."""
    model: str = ""
    """To be asked for instead of the client's; "" for the client's own."""
    probe: bool = False
    """It finds out whether the account is well again."""
    made: float = 0.0
    serial: int = 0

    @property
    def tried(self) -> str:
        """What goes into `Ask.excluded` when it failed: one account may still be asked for its fallback model."""
        return f"{self.account.id} {self.model}" if self.model else self.account.id
