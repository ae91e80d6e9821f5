"""The process."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.admin import system as service
from codemie_core.admin.plane import Plane
from codemie_core.admin.system import SystemInfo


def router(plane: Plane) -> APIRouter:
    """The path."""
    routes = APIRouter(tags=["system"])

    @routes.get("/api/system/info", summary="What runs here: versions, the process, where it listens")
    async def system_info() -> SystemInfo:
        return await service.system_info(plane)

    return routes
