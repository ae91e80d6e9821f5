"""The numbers of all time."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.admin import stats as service
from codemie_core.admin.plane import Plane
from codemie_core.admin.stats import Stats


def router(plane: Plane) -> APIRouter:
    """The path."""
    routes = APIRouter(tags=["statistics"])

    @routes.get("/api/stats", summary="The numbers of all time", responses={503: {"description": "No database."}})
    async def stats() -> Stats:
        return await service.stats(plane)

    return routes
