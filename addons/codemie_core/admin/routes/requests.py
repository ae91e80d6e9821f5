"""Model turns one by one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from codemie_core.admin import exchanges, requests
from codemie_core.admin.exchanges import Why
from codemie_core.admin.payload import RequestPayload
from codemie_core.admin.plane import Plane
from codemie_core.admin.request_rows import RequestDetail, RequestSummary
from codemie_core.admin.routes.questions import Cursor, Limit, Responses, Selection, link_next

_NONE: Responses = {404: {"description": "There is none, or it is too old."}}
_BAD: Responses = {400: {"description": "The filter contradicts itself, or the cursor is not one of ours."}}


def router(plane: Plane) -> APIRouter:
    """The paths."""
    routes = APIRouter(prefix="/api/requests", tags=["requests"], responses={503: {"description": "No database."}})

    @routes.get(
        "",
        summary="Model turns, the newest first",
        description="What is not known is left out. The Link header names the next page.",
        response_model_exclude_none=True,
        responses=_BAD,
    )
    async def listed(
        request: Request, response: Response, asked: Selection, limit: Limit = 50, cursor: Cursor = ""
    ) -> list[RequestSummary]:
        page = await requests.requests(plane, asked, limit, cursor)
        link_next(request, response, page.next_cursor)
        return page.items

    @routes.get(
        "/detail",
        summary="What was said in the newest turns",
        description="Of turns whose words were not kept, the reason. 100 at once; the Link header names the next page.",
        response_model_exclude_none=True,
        responses=_BAD,
    )
    async def detailed(
        request: Request,
        response: Response,
        asked: Selection,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Cursor = "",
    ) -> list[RequestPayload]:
        page = await requests.details(plane, asked, limit, cursor)
        link_next(request, response, page.next_cursor)
        return page.items

    @routes.get("/payload/{request_id}", summary="What was said in a turn", responses=_NONE)
    async def payload(request_id: str) -> RequestPayload:
        return await requests.payload(plane, request_id)

    @routes.get(
        "/{request_id}",
        summary="All that is kept of a turn",
        description="The start of the id will do.",
        responses=_NONE,
    )
    async def one(request_id: str) -> RequestDetail:
        return await requests.request(plane, request_id)

    @routes.get("/{request_id}/why", summary="Why it went where it went", responses=_NONE)
    async def why(request_id: str) -> Why:
        return await exchanges.why(plane, request_id)

    return routes
