"""Who did what, when and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from codemie_core.accounts.account import NAME
from codemie_core.admin import audit as service
from codemie_core.admin.audit import MOST, AuditPage
from codemie_core.admin.plane import Plane
from codemie_core.admin.routes.questions import Cursor, Responses

_BAD: Responses = {400: {"description": "The cursor is not one of ours."}}
_NONE: Responses = {404: {"description": "There is no such account, and never was."}}


def router(plane: Plane) -> APIRouter:
    """The path."""
    routes = APIRouter(prefix="/api/audit", tags=["audit"], responses={503: {"description": "No database."}})

    @routes.get("", summary="The audit trail, the newest first", responses={**_BAD, **_NONE})
    async def trail(
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
        cursor: Cursor = "",
        account: Annotated[
            str, Query(pattern=f"^({NAME.pattern})?$", description="Its name or id; also of one that is gone.")
        ] = "",
    ) -> AuditPage:
        return await service.audit_trail(plane, limit, cursor, account)

    return routes
