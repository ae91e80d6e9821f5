"""Coding agents."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.admin import agents as service
from codemie_core.admin.agents import Agents
from codemie_core.admin.plane import Plane
from codemie_core.admin.routes.questions import Selection


def router(plane: Plane) -> APIRouter:
    """The path."""
    routes = APIRouter(tags=["agents"])

    @routes.get(
        "/api/agents",
        summary="Coding agents, by what they used",
        responses={400: {"description": "The filter contradicts itself."}, 503: {"description": "No database."}},
    )
    async def agents(asked: Selection) -> Agents:
        return await service.agents(plane, asked)

    return routes
