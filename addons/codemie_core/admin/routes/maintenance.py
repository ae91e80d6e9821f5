"""Tidying up by hand."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.admin import maintenance as service
from codemie_core.admin.changing import Done
from codemie_core.admin.guard import By
from codemie_core.admin.maintenance import Cleaned, Compacted
from codemie_core.admin.plane import Plane


def router(plane: Plane) -> APIRouter:
    """The paths."""
    routes = APIRouter(prefix="/api", tags=["maintenance"], responses={503: {"description": "No database."}})

    @routes.post("/maintenance/cleanup", summary="Remove what is older than the retention says")
    async def cleanup(who: By) -> Cleaned:
        return await service.cleanup(plane, who)

    @routes.post("/maintenance/compact", summary="Give free pages back to the disk")
    async def compact(who: By) -> Compacted:
        return await service.compact(plane, who)

    @routes.post("/stats/reset", summary="Forget all turns: counts, tokens, costs; accounts stay")
    async def reset(who: By) -> Done:
        return await service.reset_stats(plane, who)

    return routes
