"""Which turns a question is about, as the API and the pages ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from codemie_core.admin.problems import BadQuestion
from codemie_core.store.buckets import Size
from codemie_core.store.filters import Filter, Status

type Range = Literal["1h", "6h", "24h", "7d", "30d"]
type Outcome = Literal["all", "success", "error"]

HOUR_MS = 3_600_000
RANGES: Mapping[str, tuple[int, Size, str]] = {
    "1h": (HOUR_MS, "1m", "1m"),
    "6h": (6 * HOUR_MS, "5m", "5m"),
    "24h": (24 * HOUR_MS, "1h", "1h"),
    "7d": (7 * 24 * HOUR_MS, "1h", "1h"),
    "30d": (30 * 24 * HOUR_MS, "24h", "1d"),
}
"""How long, in which buckets, and what those are called."""
NO_ACCOUNT = "no_account"
"""Turns that no account of the pool served."""
NONE = "none"
MOST_NAMES = 200
_LATEST = 2**62
_STATUS: Mapping[str, Status] = {"all": "", "success": "ok", "error": "error"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Turns of a stretch of time, with one of the names of each kind. No names: any will do; "none": turns without."""

    range: Range | Literal[""] = ""
    """Until now; with it `since` and `until` do not count."""
    since: int | None = None
    """Milliseconds since the epoch, like `until`, which is not part of it."""
    until: int | None = None
    accounts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    conversations: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = ()
    status: Outcome = "all"

    def filter(self, now_ms: int) -> Filter:
        """The same for the history. BadQuestion when it contradicts itself."""
        since, until = self.since, self.until
        if self.range:
            # Another machine that writes into the same history may be ahead of this one's clock.
            since, until = now_ms - RANGES[self.range][0], None
        if since is not None and until is not None and since >= until:
            raise BadQuestion("until must be later than since.")
        if any(at is not None and not -_LATEST < at < _LATEST for at in (since, until)):
            raise BadQuestion("since and until are milliseconds since 1970.")
        return Filter(
            since_ms=since,
            until_ms=until,
            accounts=_named("accounts", self.accounts),
            models=_named("models", self.models),
            agents=_named("agents", self.agents),
            sessions=_named("sessions", self.sessions),
            conversations=_named("conversations", self.conversations),
            projects=_named("projects", self.projects),
            branches=_named("branches", self.branches),
            client_keys=_named("apiKeys", self.api_keys),
            status=_STATUS[self.status],
        )


EVERYTHING = Asked()


def names_in(text: str | None) -> tuple[str, ...]:
    """Of a list with commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _named(what: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > MOST_NAMES:
        raise BadQuestion(f"{what}: {MOST_NAMES} names at most; with none of them all count.")
    if any("\0" in name for name in names):
        raise BadQuestion(f"{what}: no name holds a zero byte.")
    return tuple("" if name in (NO_ACCOUNT, NONE) else name for name in names)
