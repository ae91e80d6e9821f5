"""What a turn cost."""

from __future__ import annotations

from dataclasses import dataclass

NANO = 1_000_000_000
"""Money is kept in integers of a billionth of a US dollar."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One turn's price. None is unknown, which is not 0."""

    nano_usd: int | None = None
    version: str = ""
    """Which prices: the library's version, or the override file's digest; "" when unknown."""
    input: int | None = None
    """The parts, in nano-USD too; their sum is `nano_usd`."""
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    tools: int | None = None
