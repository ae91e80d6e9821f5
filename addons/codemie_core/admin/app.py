"""The application: every room's routes, the guard before them, and the pages where their library is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp

from codemie_core import __version__
from codemie_core.admin.authority import Authority
from codemie_core.admin.guard import API, Guard
from codemie_core.admin.pages import sign_in
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import AdminProblem
from codemie_core.admin.routes import (
    accounts,
    agents,
    analytics,
    audit,
    config,
    exchanges,
    health,
    keys,
    live,
    maintenance,
    metrics,
    models,
    oauth,
    plugins,
    requests,
    session,
    sessions,
    stats,
    storage,
    system,
    token_health,
)
from codemie_core.admin.told import Problem, describe_problems
from codemie_core.places import Places

logger = logging.getLogger(__name__)

ROOMS = (
    # Before the rooms whose paths end in an id: /api/requests/stream is none.
    live,
    *(accounts, oauth, config, maintenance, keys, audit, token_health),
    *(stats, analytics, requests, sessions, exchanges, agents, models, storage, system),
    *(health, plugins, metrics),
)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
DESCRIPTION = "What the operator of a proxy sees and steers. Programs send `Authorization: Bearer` and the token."


_with_pages: list[FastAPI] = []
"""The application that has them: their library keeps one set per process."""


@dataclass(frozen=True, slots=True)
class Built:
    """An application, what it shows and what opens it."""

    plane: Plane
    authority: Authority
    api: FastAPI
    guarded: ASGIApp
    """The same behind its guard: only that one may serve."""


def build_app(
    plane: Plane, authority: Authority, trouble: Callable[[str, Exception], None], pages: bool = True
) -> Built:
    """Build it all; takes a good part of a second, so not in the loop."""
    api = FastAPI(
        title="codemie-proxy",
        version=__version__,
        description=DESCRIPTION,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    routers = [session.router(authority), *(room.router(plane) for room in ROOMS)]
    for router in routers:
        api.include_router(router)
    _tell_problems(api)
    _describe(api)
    _answer_the_rest(api, [route for router in routers for route in router.routes])
    if pages:
        _mount_pages(api, plane, trouble)
    return Built(plane, authority, api, Guard(api, authority, sign_in.page, trouble))


def _mount_pages(api: FastAPI, plane: Plane, trouble: Callable[[str, Exception], None]) -> None:
    if _with_pages:
        logger.warning("The dashboard comes back when the proxy is restarted; the admin API is there")
        return
    if importlib.util.find_spec("nicegui") is None:
        logger.info("There are no pages: pip install 'codemie-proxy[admin]'")
        return
    _with_pages.append(api)
    try:
        with _undisturbed(plane.places):
            from codemie_core.admin.pages import site

        site.mount(api, plane)
    except Exception as problem:  # Whatever it was: programs have the API without them.
        trouble("pages", problem)


@contextlib.contextmanager
def _undisturbed(places: Places) -> Iterator[None]:
    """Keep NiceGUI, which reads these once, away from the working folder and from a database of its own."""
    ours = {"NICEGUI_STORAGE_PATH": str(places.proxy / "pages"), "NICEGUI_REDIS_URL": ""}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _tell_problems(api: FastAPI) -> None:
    @api.exception_handler(AdminProblem)
    async def ours(_: Request, problem: AdminProblem) -> Response:
        more = dict(problem.more)
        wait = more.pop("retryAfter", None)
        return Problem(
            problem.status, problem.detail, problem.title, {"retry-after": str(wait)} if wait else None, more
        )

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, problem: RequestValidationError) -> Response:
        # Without the input: it may be a key.
        errors = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in problem.errors()]
        told = "; ".join(f"{error['where']}: {error['what']}" for error in errors)
        return Problem(422, told, more={"errors": errors})

    @api.exception_handler(HTTPException)
    async def http(_: Request, problem: HTTPException) -> Response:
        return Problem(problem.status_code, str(problem.detail), headers=problem.headers)

    @api.exception_handler(Exception)
    async def unexpected(_: Request, problem: Exception) -> Response:
        return Problem(500, "This failed; the proxy's log says more.")


def _answer_the_rest(api: FastAPI, known: Sequence[BaseRoute]) -> None:
    """Programs get a problem document where there is nothing: the pages, mounted behind this, would show a page."""

    async def lost(request: Request) -> Response:
        allowed = {
            method
            for route in known
            if route.matches(request.scope)[0] is Match.PARTIAL
            for method in getattr(route, "methods", None) or ()
        }
        if allowed:
            told = f"Here it is {' or '.join(sorted(allowed))}."
            return Problem(405, told, headers={"allow": ", ".join(sorted(allowed))})
        return Problem(404, "There is nothing here; /openapi.json lists what there is.")

    for place in API:
        for path in (place, f"{place}/{{rest:path}}"):
            api.add_route(path, lost, METHODS, include_in_schema=False)


def _describe(api: FastAPI) -> None:
    plain = api.openapi

    def described() -> dict[str, Any]:
        if not api.openapi_schema:
            document = describe_problems(plain())
            document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
            api.openapi_schema = document
        return api.openapi_schema

    vars(api)["openapi"] = described
