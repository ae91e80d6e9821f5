"""How long sign-ins are good for."""

from __future__ import annotations

from fastapi import APIRouter

from codemie_core.admin import token_health as service
from codemie_core.admin.plane import Plane
from codemie_core.admin.routes.accounts import Name
from codemie_core.admin.token_health import AccountToken, TokenHealth


def router(plane: Plane) -> APIRouter:
    """The paths."""
    routes = APIRouter(prefix="/api/token-health", tags=["sign-in"], responses={503: {"description": "No database."}})

    @routes.get("", summary="Of all accounts")
    async def health() -> TokenHealth:
        return await service.token_health(plane)

    @routes.get("/reauth-needed", summary="Of those whose owner has to sign in again")
    async def needed() -> TokenHealth:
        return await service.reauth_needed(plane)

    @routes.get("/account/{account}", summary="Of one", responses={404: {"description": "There is no such account."}})
    async def one(account: Name) -> AccountToken:
        return await service.account_token_health(plane, account)

    return routes
