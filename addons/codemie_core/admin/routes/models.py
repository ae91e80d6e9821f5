"""Models."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.admin import models as service
from codemie_core.admin.models import Models
from codemie_core.admin.plane import Plane
from codemie_core.admin.routes.questions import Selection


def router(plane: Plane) -> APIRouter:
    """The path."""
    routes = APIRouter(tags=["models"])

    @routes.get(
        "/api/models",
        summary="Models, by what was asked of them, with their prices",
        responses={400: {"description": "The filter contradicts itself."}, 503: {"description": "No database."}},
    )
    async def models(asked: Selection) -> Models:
        return await service.models(plane, asked)

    return routes
