"""The settings that operators change most, as ccflare has them: the strategy, and for how long history is kept."""

from __future__ import annotations

from pydantic import Field

from codemie_core import options
from codemie_core.accounts import strategy_choice
from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.admin.changing import Body, changing, has_store, looking, told
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import BadQuestion, Conflict, Unavailable
from codemie_core.admin.setting_views import pinned_by
from codemie_core.admin.settings import change_settings
from codemie_core.admin.wire import Wire
from codemie_core.durations import format_duration
from codemie_core.store.keeping import Keeping

ROTATION, METERING = "account_rotation", "usage_metering"
DAY = 86_400.0
LONGEST_DAYS = 36_500


class StrategyInfo(Wire):
    """A way to choose an account."""

    name: str
    description: str
    active: bool


class StrategyNow(Wire):
    """The one in force."""

    strategy: str
    source: str = Field(description="store (chosen by command, here or on the page), or settings.")
    pinned_by: str | None = Field(description="What stands above a choice made here.")


class ChosenStrategy(Body):
    """The one to use from now on."""

    strategy: str = Field(max_length=64, json_schema_extra={"enum": list(STRATEGIES)})


class Retention(Wire):
    """For how many days what is kept; 0 is for ever."""

    payload_days: float
    request_days: float


class NewRetention(Body):
    """What is left out stays."""

    payload_days: float | None = Field(None, ge=0, le=LONGEST_DAYS)
    request_days: float | None = Field(None, ge=0, le=LONGEST_DAYS)


class ConfigNow(Wire):
    """ccflare's, and what it keeps in another place."""

    lb_strategy: str = Field(alias="lb_strategy")
    port: int | None = Field(description="Where agents find the proxy.")
    session_duration_ms: int = Field(description="For how long an unused conversation keeps its account.")
    strategies: list[str]
    retention: Retention
    home: str
    version: str


async def strategies(plane: Plane) -> list[StrategyInfo]:
    """All of them."""
    now = (await strategy(plane)).strategy
    return [StrategyInfo(name=name, description=strategy_choice.WORDS[name], active=name == now) for name in STRATEGIES]


async def strategy(plane: Plane) -> StrategyNow:
    """How an account is chosen."""
    stored = await looking(plane, strategy_choice.chosen) if has_store(plane) else ""
    pin = _pin(plane)
    if plane.pool is not None:
        current = plane.pool.strategy
    else:
        current = stored or strategy_choice.DEFAULT
    source = "store" if stored and pin is None and stored == current else "settings"
    return StrategyNow(strategy=current, source=source, pinned_by=pin)


async def set_strategy(plane: Plane, name: str, who: str) -> StrategyNow:
    """Choose another one, for all proxies of this home. Conflict when something stands above it."""
    with told():
        strategy_choice.check(name)
    if (pin := _pin(plane)) is not None:
        raise Conflict(f"The strategy is decided by {pin}: what is chosen here would not count.", pinnedBy=pin)
    await changing(plane, lambda connection: strategy_choice.choose(connection, name, who))
    return await strategy(plane)


async def config(plane: Plane) -> ConfigNow:
    """What is in force."""
    from codemie_core import __version__

    addon = plane.addon(ROTATION)
    stickiness = getattr(addon.settings, "stickiness", 0.0) if addon is not None else 0.0
    return ConfigNow(
        lb_strategy=(await strategy(plane)).strategy,
        port=next((port for _, port in plane.core.listening()), None),
        session_duration_ms=round(stickiness * 1000),
        strategies=list(STRATEGIES),
        retention=await retention(plane),
        home=str(plane.places.home),
        version=__version__,
    )


async def retention(plane: Plane) -> Retention:
    """For how long history is kept."""
    keeping = keeping_of(plane)
    return Retention(payload_days=keeping.payload_seconds / DAY, request_days=keeping.seconds / DAY)


async def set_retention(plane: Plane, asked: NewRetention, who: str) -> Retention:
    """Keep it for another time, from now on and after a restart. Conflict when something stands above it."""
    wanted = {"payload_keep": asked.payload_days, "keep": asked.request_days}
    changes = {key: format_duration(days * DAY) for key, days in wanted.items() if days is not None}
    if not changes:
        raise BadQuestion("Say payloadDays, requestDays or both.")
    if plane.addon(METERING) is None:
        raise Unavailable("usage_metering is not loaded: no history is kept.")
    await change_settings(plane, METERING, changes, who)
    return await retention(plane)


def keeping_of(plane: Plane) -> Keeping:
    """How much of the history is kept."""
    own = getattr(plane.addon(METERING), "settings", None)
    if own is None:
        return Keeping()
    return Keeping(own.keep, own.keep_size, own.payload_keep)


def _pin(plane: Plane) -> str | None:
    addon = plane.addon(ROTATION)
    if addon is None:
        return None
    found = {setting.name: setting for setting in options.settings_of(ROTATION, addon.Settings)}
    return pinned_by(found["strategy"], plane.core)
