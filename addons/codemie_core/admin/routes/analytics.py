"""Numbers over time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from codemie_core.admin import analytics as service
from codemie_core.admin.analytics import Analytics, Choices
from codemie_core.admin.plane import Plane
from codemie_core.admin.routes.questions import Selection
from codemie_core.admin.series import Mode

_DESCRIPTION = """\
Of a range until now, 24h unless named: 1h in minutes, 6h in five minutes, 24h and 7d in hours, 30d in days. Rates are 0
to 100. With `modelBreakdown` the series has a point for each model and bucket that has turns; without it one for each
bucket. `previous` is the same length of time before."""


def router(plane: Plane) -> APIRouter:
    """The paths."""
    routes = APIRouter(tags=["statistics"], responses={503: {"description": "No database."}})

    @routes.get(
        "/api/analytics",
        summary="Numbers over time",
        description=_DESCRIPTION,
        responses={400: {"description": "The filter contradicts itself, or there is no such time zone."}},
    )
    async def analytics(
        asked: Selection,
        mode: Annotated[Mode, Query()] = "normal",
        model_breakdown: Annotated[bool, Query(alias="modelBreakdown")] = False,
        zone: Annotated[str, Query(max_length=64, description="Where days begin, like Europe/Vienna.")] = "",
    ) -> Analytics:
        return await service.analytics(plane, asked, mode, model_breakdown, zone)

    @routes.get("/api/analytics/choices", summary="Names that turns can be filtered by")
    async def choices() -> Choices:
        return await service.choices(plane)

    return routes
