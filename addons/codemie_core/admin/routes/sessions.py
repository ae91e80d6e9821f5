"""Sessions: what a person would call one piece of work."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.admin import sessions as service
from codemie_core.admin.plane import Plane
from codemie_core.admin.requests import RequestPage
from codemie_core.admin.routes.questions import Cursor, Limit, Responses, Selection
from codemie_core.admin.sessions import ServingAccount, SessionDetail, SessionPage

_NONE: Responses = {404: {"description": "There is none, or it is too old."}}


def router(plane: Plane) -> APIRouter:
    """The paths."""
    routes = APIRouter(prefix="/api/sessions", tags=["sessions"], responses={503: {"description": "No database."}})

    @routes.get(
        "",
        summary="Sessions, the one used last first",
        responses={400: {"description": "The filter contradicts itself, or the cursor is not one of ours."}},
    )
    async def listed(asked: Selection, limit: Limit = 50, cursor: Cursor = "") -> SessionPage:
        return await service.sessions(plane, asked, limit, cursor)

    @routes.get(
        "/{session_id}", summary="All of a session", description="The start of the id will do.", responses=_NONE
    )
    async def one(session_id: str) -> SessionDetail:
        return await service.session(plane, session_id)

    @routes.get("/{session_id}/turns", summary="Its turns, the oldest first", responses=_NONE)
    async def turns(session_id: str, limit: Limit = 50, cursor: Cursor = "") -> RequestPage:
        return await service.turns(plane, session_id, limit, cursor)

    @routes.get("/{session_id}/account", summary="Which account serves it", responses=_NONE)
    async def account(session_id: str) -> ServingAccount:
        return await service.account_of(plane, session_id)

    return routes
