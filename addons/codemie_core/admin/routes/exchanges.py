"""What is under way, and what ended last."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.admin import exchanges as service
from codemie_core.admin.exchanges import ExchangePage, ExchangeView, Why
from codemie_core.admin.plane import Plane
from codemie_core.admin.routes.questions import Cursor, Limit, Responses

_NONE: Responses = {404: {"description": "Nobody remembers it."}}


def router(plane: Plane) -> APIRouter:
    """The paths."""
    routes = APIRouter(prefix="/api/exchanges", tags=["exchanges"])

    @routes.get(
        "",
        summary="What is under way, and what ended last",
        description="Of this process: its last 500. GET /api/requests goes further back.",
        responses={400: {"description": "The cursor is not one of ours."}},
    )
    async def listed(limit: Limit = 50, cursor: Cursor = "") -> ExchangePage:
        return await service.exchanges(plane, limit, cursor)

    @routes.get("/{request_id}", summary="One of them", responses=_NONE)
    async def one(request_id: str) -> ExchangeView:
        return await service.exchange(plane, request_id)

    @routes.get(
        "/{request_id}/why",
        summary="Why it went where it went",
        description="The routing and the account decision, each try, and how the accounts are now.",
        responses=_NONE,
    )
    async def why(request_id: str) -> Why:
        return await service.why(plane, request_id)

    return routes
