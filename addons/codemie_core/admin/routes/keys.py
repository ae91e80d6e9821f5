"""Client keys: who may use the proxies of this home."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from codemie_core.admin import keys as service
from codemie_core.admin.guard import By
from codemie_core.admin.keys import KeyInfo, KeyMade, KeyRevoked, KeyStats, NewClientKey
from codemie_core.admin.plane import Plane
from codemie_core.admin.routes.questions import Responses

Key = Annotated[str, Path(max_length=64, description="The id from the list, or the name.")]

_BAD: Responses = {400: {"description": "The name will not do, or it has a key already."}}
_NONE: Responses = {404: {"description": "No active key goes by that."}}


def router(plane: Plane) -> APIRouter:
    """The paths."""
    routes = APIRouter(prefix="/api/api-keys", tags=["client keys"], responses={503: {"description": "No database."}})

    @routes.get("", summary="All keys, revoked ones too; never the keys themselves")
    async def listed() -> list[KeyInfo]:
        return await service.list_keys(plane)

    @routes.get("/stats", summary="How many there are")
    async def stats() -> KeyStats:
        return await service.key_stats(plane)

    @routes.post(
        "",
        summary="Make a key; it is told this once",
        description="The first key closes the gate: from then on every client needs one.",
        responses=_BAD,
    )
    async def add(body: NewClientKey, who: By) -> KeyMade:
        return await service.add_key(plane, body.name, who)

    @routes.delete("/{key}", summary="Revoke a key: its holder is stopped within a second", responses=_NONE)
    async def revoke(key: Key, who: By) -> KeyRevoked:
        return await service.revoke_key(plane, key, who)

    return routes
