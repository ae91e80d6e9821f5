"""What Prometheus scrapes."""

from __future__ import annotations

from fastapi import APIRouter, Response

from codemie_core.admin import metrics as service
from codemie_core.admin.plane import Plane


def router(plane: Plane) -> APIRouter:
    """The path."""
    routes = APIRouter(tags=["metrics"])

    @routes.get(
        "/metrics",
        summary="Turns as Prometheus metrics",
        response_class=Response,
        responses={
            200: {"description": "The text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            503: {"description": "Nobody counts."},
        },
    )
    async def metrics() -> Response:
        return Response(await service.metrics(plane), media_type=service.CONTENT_TYPE)

    return routes
