"""All pages, put on the app. NiceGUI keeps one set of pages per process, so this is done once per process."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from nicegui import app as pages
from nicegui import ui
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from codemie_core.admin.pages.layout import View, framed

if TYPE_CHECKING:
    from fastapi import FastAPI

    from codemie_core.admin.plane import Plane

MODULES = ("overview", "accounts", "requests", "request_detail", "sessions", "analytics", "agents", "plugins", "logs")
"""Each has a tuple `VIEWS`."""
PATIENCE = 30.0
"""Seconds in which a page has to be built, on a machine that is busy with all kinds of things."""


def views() -> Iterator[View]:
    """All pages there are."""
    for name in MODULES:
        yield from import_module(f"codemie_core.admin.pages.{name}").VIEWS


def mount(app: FastAPI, plane: Plane) -> None:
    """Put the pages on the app, behind all of its own routes: call it last."""
    for view in views():
        ui.page(view.path, title=f"{view.title} · CodeMie proxy", response_timeout=PATIENCE)(_shown(view, plane))
    ui.run_with(
        app,
        title="CodeMie proxy",
        dark=None,
        tailwind=False,
        language="en-US",
        # Nothing is bound. A day, not None: the NiceGUI for Python 3.12 knows no None.
        binding_refresh_interval=86_400.0,
        reconnect_timeout=20.0,
        message_history_length=200,
        storage_secret=secrets.token_hex(32),
        session_middleware_kwargs={"same_site": "strict", "session_cookie": "codemie_pages"},
        show_welcome_message=False,
    )
    pages.add_middleware(AsItIs)


class AsItIs:
    """NiceGUI would pack what it serves. That gains nothing here, and takes its time in the streams' loop."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if "headers" in scope:
            kept = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
            scope = {**scope, "headers": kept}
        await self._app(scope, receive, send)


def _shown(view: View, plane: Plane) -> Callable[[Request], Awaitable[None]]:
    async def show(request: Request) -> None:
        await framed(view, plane, **request.path_params)

    return show
