"""A script that breaks the admin plane of its proxy, in one of several ways, behind its guard."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitmproxy import ctx

if TYPE_CHECKING:
    from fastapi import APIRouter
    from starlette.types import Receive, Scope, Send

    from codemie_core.admin.plane import Plane

SCRIPT = Path(__file__)
WAYS = ("raising", "hung", "stuck", "killed", "unbuildable")
"""Each of its paths raises; waits for ever; holds a thread; ends the server; or it cannot even be put together."""
STUCK_SECONDS = 120.0
_VARIABLE = "BROKEN_ADMIN"


def env(way: str) -> dict[str, str]:
    """The environment for the process; the script stands behind the bundle's."""
    return {_VARIABLE: way}


class BrokenRouter:
    """Stands in for the routes of the application; only its document can still be had."""

    def __init__(self, way: str, plane: Plane, plain: APIRouter) -> None:
        self._way, self._plane, self._plain = way, plane, plain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Never answers well."""
        if scope["type"] == "lifespan" or scope["path"] == "/openapi.json":
            await self._plain(scope, receive, send)
            return
        if self._way == "stuck":
            await self._plane.in_thread(lambda: time.sleep(STUCK_SECONDS), within=STUCK_SECONDS)
        if self._way == "killed":
            ctx.master.addons.get("admin_server")._server._task.cancel()
        if self._way == "raising":
            raise RuntimeError("this path always fails")
        await asyncio.Event().wait()


def breaking(way: str) -> None:
    """Have the next application built so that nothing of it works but the guard and the document."""
    from codemie_core.admin import app

    plain = app.build_app

    def build_app(plane: Plane, *more: Any) -> app.Built:
        if way == "unbuildable":
            raise RuntimeError("this application cannot be built")
        built = plain(plane, *more)
        vars(built.api)["router"] = BrokenRouter(way, plane, built.api.router)
        return built

    vars(app)["build_app"] = build_app


def in_time(way: str) -> None:
    """Break it when it is loaded, as late as ever: a proxy that starts loads nothing of it."""
    import admin_server

    plain = admin_server.AdminServer._prepare

    def prepare(self: admin_server.AdminServer, token: Any) -> Any:
        breaking(way)
        return plain(self, token)

    vars(admin_server)["AdminServer"]._prepare = prepare


if _VARIABLE in os.environ:
    in_time(os.environ[_VARIABLE])
