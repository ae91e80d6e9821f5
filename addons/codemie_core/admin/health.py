"""Is it well? For people, for load balancers and for monitors; names as /health of the proxy itself has them."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from codemie_core import __version__
from codemie_core.addon import State
from codemie_core.admin.plane import Plane
from codemie_core.admin.plugins import plugins
from codemie_core.admin.wire import iso
from codemie_core.exchange import BOOK, RUN_ID

type Condition = Literal["ok", "degraded", "unhealthy"]

OUT = frozenset({"paused", "sign in again", "limited", "guessed"})


class Plain(BaseModel):
    """The base: names as they are."""

    model_config = ConfigDict(frozen=True)


class Alive(Plain):
    """Something answers."""

    status: Literal["ok"] = "ok"


class PoolState(Plain):
    """The accounts."""

    configured: int
    routable: int = Field(description="Could serve the next request.")
    paused: int
    rate_limited: int
    needs_login: int
    usage_exhausted: int = Field(description="A window of theirs is full.")
    next_available_at: str | None = Field(description="When the first one that is limited may serve again.")


class Readiness(Plain):
    """Can it serve requests?"""

    status: Condition
    reasons: list[str] = Field(description="Why it is not ok, and what helps.")
    pool: PoolState


class Health(Readiness):
    """All of it."""

    accounts: int
    strategy: str | None
    timestamp: str | None
    version: str
    run_id: str
    uptime_seconds: float
    addons: dict[str, State]
    counters: dict[str, object]


async def live() -> Alive:
    """The loop turns, and this is answered. Tells nothing else: it is open to everybody."""
    return Alive()


async def ready(plane: Plane) -> Readiness:
    """Unhealthy when no request could be served, degraded when something is amiss."""
    state = pool_state(plane)
    broken, amiss = _broken(plane, state), await _amiss(plane)
    status: Condition = "unhealthy" if broken else "degraded" if amiss else "ok"
    return Readiness(status=status, reasons=[*broken, *amiss], pool=state)


async def health(plane: Plane) -> Health:
    """With what a monitor may want to know beside it."""
    found, now = await ready(plane), plane.clock()
    pool = plane.pool
    listed = await plugins(plane)
    return Health(
        status=found.status,
        reasons=found.reasons,
        pool=found.pool,
        accounts=found.pool.configured,
        strategy=pool.strategy if pool is not None else None,
        timestamp=iso(now * 1000),
        version=__version__,
        run_id=RUN_ID,
        uptime_seconds=round(max(0.0, now - (plane.core.running_since or now)), 3),
        addons={plugin.name: plugin.status for plugin in listed.plugins},
        counters=dict(plane.core.tally.shown(len(BOOK))),
    )


def pool_state(plane: Plane) -> PoolState:
    """As this process knows it."""
    pool = plane.pool
    found = [pool.status(account.id) for account in pool.accounts] if pool is not None else []
    states = [one.state for one in found]
    times = [one.until for one in found if one.state in ("limited", "guessed") and one.until is not None]
    soonest = min((at for at in times if math.isfinite(at)), default=None)
    return PoolState(
        configured=len(found),
        routable=sum(state not in OUT for state in states),
        paused=states.count("paused"),
        rate_limited=states.count("limited") + states.count("guessed"),
        needs_login=states.count("sign in again"),
        usage_exhausted=sum(one.utilization is not None and one.utilization >= 1 for one in found),
        next_available_at=iso(soonest * 1000) if soonest is not None else None,
    )


def _broken(plane: Plane, state: PoolState) -> list[str]:
    found = [
        f"{addon.name} has failed, and requests do not pass without it: GET /plugins/{addon.name}/health"
        for addon in plane.core.addons_in_order
        if addon.fail == "closed" and addon.status.enabled and addon.status.failed
    ]
    keeper = plane.keeper
    if keeper is not None and keeper.trouble:
        found.append(f"The accounts cannot be used: {keeper.trouble}")
    if state.configured and not state.routable:
        back = f"; the first is back at {state.next_available_at}" if state.next_available_at else ""
        found.append(f"None of the {state.configured} accounts can serve now: codemie-proxy accounts list{back}")
    return found


async def _amiss(plane: Plane) -> list[str]:
    listed = await plugins(plane)
    found = [
        f"{plugin.name} is {plugin.status}: {plugin.error or 'GET /plugins/' + plugin.name + '/health'}"
        for plugin in listed.plugins
        if plugin.status in (State.DEGRADED, State.FAILED)
    ]
    worker = plane.keeper.worker if plane.keeper is not None else None
    if worker is not None and worker.trouble:
        found.append(f"The database takes nothing now: {worker.trouble}")
    return found
