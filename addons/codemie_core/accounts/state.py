"""What the pool remembers beyond a restart and shares with other processes: values, each with its own row.

Times are seconds since the epoch. Whoever stores them keeps, for one key, what is newer: `Cooldown.since`,
`Usage.seen`, `Home.since` and then `Home.used`; of two equally new ones the one that came last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cooldown:
    """An account, or one model on it, that is not to be asked; or the word that it is over. Key: account_id + model."""

    account_id: str
    model: str
    """"" for the whole account."""
    until: float
    reason: str
    """A short phrase for people."""
    verified: bool
    """The upstream named the time. After a guess one request at a time tries first."""
    streak: int
    """Guesses in a row; the next one lasts longer."""
    since: float
    """When it began, or when it was over."""

    @property
    def over(self) -> bool:
        """Cleared by an answer: kept for its streak, and so that others hear of it."""
        return self.until <= self.since


@dataclass(frozen=True, slots=True)
class Usage:
    """One window of an account's limits. Key: account_id + window."""

    account_id: str
    window: str
    utilization: float
    """A fraction; above 1 where the provider lets it."""
    resets_at: float | None
    seen: float


@dataclass(frozen=True, slots=True)
class Home:
    """The account of one conversation. Key: key. Those not used for longer than the stickiness may be deleted."""

    key: str
    account_id: str
    since: float
    used: float


type Change = Cooldown | Usage | Home


@dataclass(frozen=True, slots=True)
class PoolState:
    """What was stored: all of it, or what others have changed since."""

    cooldowns: Sequence[Cooldown] = ()
    usages: Sequence[Usage] = ()
    homes: Sequence[Home] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """How an account is, for people."""

    state: str
    """ready, in use, paused, sign in again, limited, guessed (out, for how long is a guess), recovering (the next
    request tries it first), probing (one is trying it), or unknown."""
    reason: str = ""
    until: float | None = None
    verified: bool = False
    """The upstream named `until`."""
    utilization: float | None = None
    """A fraction: the fullest window; None when nothing was heard of it."""
    conversations: int = 0
    models: tuple[Cooldown, ...] = ()
    """Models that are out on it."""
