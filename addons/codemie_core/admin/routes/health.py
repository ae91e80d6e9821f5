"""Is it well? Only whether it lives is told to everybody."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.admin import health as service
from codemie_core.admin.health import Alive, Health, Readiness
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import Unavailable


def router(plane: Plane) -> APIRouter:
    """The paths."""
    routes = APIRouter(prefix="/health", tags=["health"])

    @routes.get("", summary="How it is, with details", description="200 also when it is not well: see `status`.")
    async def health() -> Health:
        return await service.health(plane)

    @routes.get("/live", summary="Does it live?", description="Needs no token, and tells nothing else.")
    async def live() -> Alive:
        return await service.live()

    @routes.get(
        "/ready",
        summary="Can it serve requests?",
        responses={503: {"description": "No request could be served now: `reasons` and `pool` tell why."}},
    )
    async def ready() -> Readiness:
        found = await service.ready(plane)
        if found.status == "unhealthy":
            told = found.model_dump(mode="json")
            raise Unavailable(
                "; ".join(found.reasons), condition=found.status, reasons=told["reasons"], pool=told["pool"]
            )
        return found

    return routes
