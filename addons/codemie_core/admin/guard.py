"""Who gets in: stands before the whole application, so that no route can forget it.

In this order: the Host must be one of ours (DNS rebinding), the browser must not say that another site asks (forged
requests), then a token or a session, then the form of what is sent. Only `/health/live` is open, and tells nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Annotated, Literal, cast
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codemie_core.access.browser_guard import is_ours
from codemie_core.admin.authority import Authority, set_cookie
from codemie_core.admin.body import TooLarge, TooSlow, read_body, with_body
from codemie_core.admin.headers import protect
from codemie_core.admin.token import TOKEN_PLACE
from codemie_core.admin.told import Problem

type Trouble = Callable[[str, Exception], None]
type Who = Literal["admin api", "dashboard"]

OPEN = "/health/live"
SOCKETS = "/_nicegui_ws/"
"""Where the pages' own connection is; its fallback posts text."""
API = ("/api", "/health", "/plugins", "/metrics", "/openapi.json")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
ELSEWHERE = frozenset({"cross-site", "same-site"})
"""What browsers say of requests that another site has begun; to them another port is another site's."""
_ONWARD = '<!doctype html><title>Signed in</title><meta http-equiv="refresh" content="0; url={address}">'
_PLAIN_PATH = re.compile(r"/(?:[\w.-]+(?:/[\w.-]+)*/?)?")


def is_api(path: str) -> bool:
    """Is this for programs, rather than one of the pages?"""
    return any(path == place or path.startswith(f"{place}/") for place in API)


def _who(connection: HTTPConnection) -> Who:
    return cast(Who, connection.state.who)


type By = Annotated[Who, Depends(_who)]
"""For routes that change something: who asks, as the audit trail calls it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The head of a request."""

    scope: Scope
    headers: Headers

    @property
    def path(self) -> str:
        """Decoded, without the query."""
        return str(self.scope["path"])

    @property
    def socket(self) -> bool:
        """Is it a WebSocket?"""
        return bool(self.scope["type"] == "websocket")

    @property
    def method(self) -> str:
        """In capitals."""
        return "GET" if self.socket else str(self.scope["method"])

    @property
    def changes(self) -> bool:
        """May it change something?"""
        return self.socket or self.method not in SAFE

    @property
    def navigates(self) -> bool:
        """Does a person open a page?"""
        if self.socket or self.method != "GET" or is_api(self.path):
            return False
        mode = self.headers.get("sec-fetch-mode")
        return mode == "navigate" if mode else "text/html" in self.headers.get("accept", "")

    @property
    def query(self) -> list[tuple[str, str]]:
        """Its fields."""
        return parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)


class Guard:
    """The application that stands before the other one."""

    def __init__(
        self,
        app: ASGIApp,
        authority: Authority,
        sign_in: Callable[[str], str],
        trouble: Callable[[str, Exception], None],
    ) -> None:
        self._app, self._authority, self._sign_in, self._trouble = app, authority, sign_in, trouble

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        asked, begun = Asked(scope, Headers(scope=scope)), False

        async def telling(message: Message) -> None:
            nonlocal begun
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                begun = True
                protect(MutableHeaders(scope=message))
            await send(message)

        try:
            refusal = self._refusal(asked)
            if refusal is None and not asked.socket:
                receive, refusal = await _received(asked, receive)
            await (refusal or self._app)(scope, receive, telling)
        except Exception as problem:  # A route that raises is a mishap of its own, never one of the proxy.
            # The route's own path: of those with an id in them there is no end.
            place = getattr(scope.get("route"), "path", "a page")
            self._trouble(f"{asked.method} {place}", problem)
            if not begun and not asked.socket:
                await Problem(500, "This failed; the proxy's log says more.")(scope, receive, telling)

    def _refusal(self, asked: Asked) -> Response | None:
        """The answer to a request that may not pass; a code is answered here, too."""
        hosts = asked.headers.getlist("host")
        if len(hosts) != 1 or not is_ours(hosts[0], "127.0.0.1", self._authority.names):
            return Problem(421, "The admin API goes by 127.0.0.1 or localhost, or by codemie_admin_server_names.")
        if (foreign := _foreign(asked, hosts[0])) is not None:
            return foreign
        if asked.path == OPEN and asked.method in ("GET", "HEAD") and not asked.socket:
            return None
        return self._code(asked) or self._credential(asked) or _form(asked)

    def _code(self, asked: Asked) -> Response | None:
        """A code in the address of a page becomes a session, and leaves the address."""
        codes = [value for name, value in asked.query if name == "code"]
        if not codes or not asked.navigates:
            return None
        session = self._authority.sessions.redeem(codes[0])
        # Of a browser that is signed in nobody asks whether the link is an old one.
        session = session or self._authority.session_in(asked.headers.get("cookie", ""))
        if not session:
            return self._failed() or HTMLResponse(self._sign_in("This link has been used, or is too old."), 401)
        rest = urlencode([(name, value) for name, value in asked.query if name != "code"])
        path = asked.path if _PLAIN_PATH.fullmatch(asked.path) else "/"
        address, given = f"{path}{'?' if rest else ''}{rest}", {"set-cookie": set_cookie(session)}
        if asked.headers.get("sec-fetch-site") in ELSEWHERE:
            # After a link on another site no redirect carries the strict cookie; what this page leads to does.
            return HTMLResponse(_ONWARD.format(address=escape(address, quote=True)), headers=given)
        return RedirectResponse(address, 303, given)

    def _credential(self, asked: Asked) -> Response | None:
        authorization = asked.headers.get("authorization")
        who: Who
        if authorization is not None:
            if not self._authority.opens(authorization):
                return self._failed() or _unknown("This token is not the one of this proxy")
            who = "admin api"
        elif self._authority.session_in(asked.headers.get("cookie", "")):
            if asked.changes and not _says_where_from(asked):
                return Problem(403, "A page must say where it asks from; a program uses the token.")
            who = "dashboard"
        else:
            return HTMLResponse(self._sign_in(""), 401) if asked.navigates else _unknown("A token is needed")
        asked.scope.setdefault("state", {})["who"] = who
        return None

    def _failed(self) -> Response | None:
        seconds = self._authority.attempts.failed()
        if not seconds:
            return None
        return Problem(429, "Too many wrong tokens or codes.", headers={"retry-after": str(seconds)})


def _foreign(asked: Asked, host: str) -> Response | None:
    """What to say when a browser tells that another site asks."""
    origin = asked.headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return Problem(403, "Another web page may not use the admin API.")
    site = asked.headers.get("sec-fetch-site")
    if site in ELSEWHERE and not (asked.navigates and _to_look_at(asked)):
        return Problem(403, "Another web page may not use the admin API.")
    return None


def _to_look_at(asked: Asked) -> bool:
    # A link may lead here; a frame or an image may not.
    return asked.headers.get("sec-fetch-dest") == "document"


def _says_where_from(asked: Asked) -> bool:
    # What they say has been checked before.
    return "origin" in asked.headers or asked.headers.get("sec-fetch-site") == "same-origin"


def _form(asked: Asked) -> Response | None:
    """JSON is what no form of another page can send."""
    if not asked.changes or asked.socket or asked.path.startswith(SOCKETS) or not _has_body(asked):
        return None
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    return None if kind == "application/json" else Problem(415, "Send JSON, with content-type: application/json.")


def _has_body(asked: Asked) -> bool:
    return "transfer-encoding" in asked.headers or asked.headers.get("content-length", "0") != "0"


async def _received(asked: Asked, receive: Receive) -> tuple[Receive, Response | None]:
    if not _has_body(asked):
        return receive, None
    try:
        return with_body(await read_body(asked.headers, receive), receive), None
    except TooLarge:
        return receive, Problem(413, "The body is larger than 1 MiB.", headers={"connection": "close"})
    except TooSlow:
        return receive, Problem(408, "The body did not come in time.", headers={"connection": "close"})


def _unknown(why: str) -> Response:
    said = f"{why}: send Authorization: Bearer with what {TOKEN_PLACE} holds, or open the page: codemie-proxy open"
    return Problem(401, said, headers={"www-authenticate": "Bearer"})
