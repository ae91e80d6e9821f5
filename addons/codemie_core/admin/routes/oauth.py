"""Signing accounts in at their providers. Behind the token, like all else."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from codemie_core.admin import oauth
from codemie_core.admin.guard import By
from codemie_core.admin.oauth import BeginSignIn, EndSignIn, SignInBegun, SignInEnded, SignInProvider, SignInState
from codemie_core.admin.plane import Plane
from codemie_core.admin.routes.questions import Responses

_BAD: Responses = {400: {"description": "It cannot be understood; the fix is named."}}
_CONFLICT: Responses = {409: {"description": "A client is missing, the sign-in is over, or the provider refused."}}


def router(plane: Plane) -> APIRouter:
    """The paths."""
    routes = APIRouter(
        prefix="/api/oauth", tags=["sign-in"], responses={503: {"description": "The database cannot be used now."}}
    )

    @routes.get("/providers", summary="Whom accounts can sign in to, and what is missing for it", responses=_BAD)
    async def providers() -> list[SignInProvider]:
        return await oauth.sign_in_providers(plane)

    @routes.post("/init", summary="Begin: where the browser has to go", responses={**_BAD, **_CONFLICT})
    async def init(body: BeginSignIn, who: By) -> SignInBegun:
        return await oauth.begin_sign_in(plane, body, who)

    @routes.post(
        "/callback",
        summary="End: with what the browser ended at",
        responses={**_BAD, **_CONFLICT, 404: {"description": "No such sign-in: it lasts ten minutes, and ends once."}},
    )
    async def callback(body: EndSignIn, who: By) -> SignInEnded:
        return await oauth.end_sign_in(plane, body, who)

    @routes.get("/sessions/{session_id}", summary="Has the browser come back?")
    async def state(session_id: Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$")]) -> SignInState:
        return await oauth.sign_in_state(plane, session_id)

    return routes
