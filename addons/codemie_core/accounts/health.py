"""What is known of one account's limits: its cooldowns, who is probing it, and how full its windows are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from codemie_core.accounts.limits import Limits, Window
from codemie_core.accounts.state import Cooldown, Usage

LEASE = 30.0
"""Seconds in which a probe has to be heard of."""
MOST_MODELS = 100
"""Benched models of one account: their names come from clients."""
MOST_WINDOWS = 16
WEEKLY = ("7d", "seven_day", "week")
"""Windows worth draining, by what their names hold."""


class Health:
    """Of one account. Times are seconds since the epoch."""

    __slots__ = ("_lease", "account_id", "armed", "cooldown", "lease_until", "models", "saved", "unheard", "windows")

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self.cooldown: Cooldown | None = None
        self.models: dict[str, Cooldown] = {}
        self.windows: dict[str, Usage] = {}
        self.unheard = 0
        """Conversations sent here since it last answered."""
        self.armed = math.inf
        """The next time one of its windows resets, where somebody waits for that."""
        self.saved = 0.0
        """When its windows were last saved."""
        self.lease_until = 0.0
        self._lease = 0

    def free_at(self, model: str, now: float) -> float:
        """0.0 when it may be asked for this model, else when that may change."""
        cooldown = self.cooldown
        if cooldown is not None:
            if cooldown.until > now:
                return cooldown.until
            if self.lease_until > now and not (cooldown.verified or cooldown.over):
                return self.lease_until
        if self.models:
            benched = self.models.get(model)
            if benched is not None:
                if benched.until > now:
                    return benched.until
                if self.lease_until > now and not (benched.verified or benched.over):
                    return self.lease_until
        return 0.0

    def blocking(self, model: str, now: float) -> Cooldown | None:
        """The cooldown in force for this model: the longer one of the account's and the model's."""
        found = [one for one in (self.cooldown, self.models.get(model)) if one is not None and one.until > now]
        return max(found, key=_until, default=None)

    def recovering(self, model: str) -> Cooldown | None:
        """A cooldown that was guessed and that no answer has cleared: whoever comes first tries, alone."""
        for one in (self.cooldown, self.models.get(model)):
            if one is not None and not (one.verified or one.over):
                return one
        return None

    def lease(self, serial: int, now: float) -> None:
        """This request is the probe."""
        self._lease, self.lease_until = serial, now + LEASE

    def end_lease(self, serial: int) -> bool:
        """Word of the probe: True when it was this request."""
        if self.lease_until == 0.0 or self._lease != serial:
            return False
        self.lease_until = 0.0
        return True

    def of(self, model: str) -> Cooldown | None:
        """The cooldown of this model, or of the account when it is ""."""
        return self.models.get(model) if model else self.cooldown

    def put(self, cooldown: Cooldown) -> None:
        """Keep this one."""
        if cooldown.over:
            # By the clock of another machine its end may lie ahead of ours.
            cooldown = replace(cooldown, until=0.0)
        if not cooldown.model:
            self.cooldown = cooldown
            return
        self.models[cooldown.model] = cooldown
        if len(self.models) > MOST_MODELS:
            del self.models[min(self.models, key=lambda model: self.models[model].until)]

    def cooldowns(self) -> Iterator[Cooldown]:
        """All that are kept, cleared ones too."""
        if self.cooldown is not None:
            yield self.cooldown
        yield from self.models.values()

    def note(self, limits: Limits, now: float) -> bool:
        """Keep what an answer said of the windows; True when it said something."""
        heard = False
        for window in limits.windows:
            utilization = _utilization(window)
            if utilization is not None:
                heard |= self.keep(Usage(self.account_id, window.name, utilization, window.resets_at, now))
        return heard

    def keep(self, usage: Usage) -> bool:
        """Keep this unless something newer is known."""
        known = self.windows.get(usage.window)
        if (known is None and len(self.windows) >= MOST_WINDOWS) or (known is not None and known.seen > usage.seen):
            return False
        self.windows[usage.window] = usage
        return True

    def fullest(self, now: float) -> float | None:
        """The highest utilization of the windows that have not reset."""
        highest: float | None = None
        for usage in self.windows.values():
            if (usage.resets_at is None or usage.resets_at > now) and (highest is None or usage.utilization > highest):
                highest = usage.utilization
        return highest

    def next_reset(self, now: float) -> float:
        """The earliest reset ahead, else infinity."""
        return min((at for usage in self.windows.values() if (at := usage.resets_at) and at > now), default=math.inf)

    def drains_at(self, now: float) -> float:
        """When what is left of it is lost: the next reset of a weekly window, else the earliest of any; or infinity."""
        earliest = weekly = math.inf
        for name, usage in self.windows.items():
            at = usage.resets_at
            if at is not None and at > now:
                earliest = min(earliest, at)
                if any(word in name for word in WEEKLY):
                    weekly = min(weekly, at)
        return earliest if weekly == math.inf else weekly


def _until(cooldown: Cooldown) -> float:
    return cooldown.until


def _utilization(window: Window) -> float | None:
    if window.utilization is not None:
        return window.utilization
    if window.limit and window.remaining is not None:
        return max(0.0, 1.0 - window.remaining / window.limit)
    return None
