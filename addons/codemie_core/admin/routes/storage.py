"""The database."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.admin import storage as service
from codemie_core.admin.plane import Plane
from codemie_core.admin.storage import Storage


def router(plane: Plane) -> APIRouter:
    """The path."""
    routes = APIRouter(tags=["system"])

    @routes.get(
        "/api/storage",
        summary="What the history takes, where it is, and how far back it goes",
        responses={503: {"description": "No database."}},
    )
    async def storage() -> Storage:
        return await service.storage(plane)

    return routes
