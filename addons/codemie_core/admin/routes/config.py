"""Strategy and retention, as ccflare has them; all other settings are with their addons, below /plugins."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.admin import config as service
from codemie_core.admin.config import ChosenStrategy, ConfigNow, NewRetention, Retention, StrategyInfo, StrategyNow
from codemie_core.admin.guard import By
from codemie_core.admin.plane import Plane
from codemie_core.admin.routes.questions import Responses

_BAD: Responses = {400: {"description": "It cannot be understood; the fix is named."}}
_PINNED: Responses = {409: {"description": "--set or the environment decides; they are named."}}


def router(plane: Plane) -> APIRouter:
    """The paths."""
    routes = APIRouter(prefix="/api", tags=["config"], responses={503: {"description": "No database."}})

    @routes.get("/config", summary="What is in force")
    async def config() -> ConfigNow:
        return await service.config(plane)

    @routes.get("/strategies", summary="Ways to choose an account")
    async def strategies() -> list[str]:
        return list(STRATEGIES)

    @routes.get("/config/strategies", summary="The same, with what each of them does")
    async def explained() -> list[StrategyInfo]:
        return await service.strategies(plane)

    @routes.get("/config/strategy", summary="How an account is chosen")
    async def strategy() -> StrategyNow:
        return await service.strategy(plane)

    @routes.post(
        "/config/strategy", summary="Choose another way, for all proxies of this home", responses={**_BAD, **_PINNED}
    )
    async def choose(body: ChosenStrategy, who: By) -> StrategyNow:
        return await service.set_strategy(plane, body.strategy, who)

    @routes.get("/config/retention", summary="For how many days history is kept")
    async def retention() -> Retention:
        return await service.retention(plane)

    @routes.post(
        "/config/retention", status_code=204, summary="Keep it for another time", responses={**_BAD, **_PINNED}
    )
    async def keep(body: NewRetention, who: By) -> None:
        await service.set_retention(plane, body, who)

    return routes
