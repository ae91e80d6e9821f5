"""Opening the pages: a program that has the token asks for a code, and a browser spends it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from codemie_core.admin.authority import Authority, unset_cookie
from codemie_core.admin.page_sessions import CODE_SECONDS


class Code(BaseModel):
    """What opens a page once."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    code: str = Field(description="Good for one use: the page's address with ?code= and this.")
    expires_in: int = Field(description="Seconds.")


def router(authority: Authority) -> APIRouter:
    """Unlike the other rooms' it needs no proxy, but what opens the door."""
    routes = APIRouter(prefix="/api/session", tags=["session"])

    @routes.post("/code", summary="Make a code that opens the pages", status_code=201)
    async def make_code() -> Code:
        return Code(code=authority.sessions.make_code(), expires_in=int(CODE_SECONDS))

    @routes.delete("", summary="Sign this browser out", status_code=204)
    async def sign_out(request: Request) -> Response:
        authority.sessions.end(authority.session_in(request.headers.get("cookie", "")))
        return Response(status_code=204, headers={"set-cookie": unset_cookie()})

    return routes
