"""A scripted CodeMie on loopback: its login page, its API, and the model calls behind its gateway.

    with CodemieBackend() as backend:
        cookies = backend.sign_in()             # as if somebody had gone through the login page
        ...                                     # point a client at backend.api_url
        backend.expire(cookies)

It is the scripted upstream with a guard before it, so model calls stream, fail and wait as that does:
`backend.script(Step(status=529))`. Everything is real HTTP (with `tls` HTTPS), served from a thread of its own.
"""

from __future__ import annotations

import asyncio
import base64
import html
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec, Self, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from codemie_core.demo.gate import Gate
from codemie_core.demo.received import Received
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream

P = ParamSpec("P")
T = TypeVar("T")

PREFIX = "/code-assistant-api"
ACCESS = "codemie_access_token"
SECOND = "codemie_session"
EMAIL = "ada.example@codemie.test"
LIFETIME = 8 * 3600.0
LOGIN_PAGE = "/realms/codemie/protocol/openid-connect/auth"
"""Outside of the API's prefix, on another host name: where an expired session is sent."""

type ExpiredAs = Literal["redirect", "401", "403", "html"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request under the API's prefix. `path` is without prefix and query, `target` is as on the wire."""

    received: Received
    signed: bool

    @property
    def method(self) -> str:
        return self.received.method

    @property
    def path(self) -> str:
        return self.received.path

    @property
    def target(self) -> str:
        return self.received.target

    @property
    def headers(self) -> list[tuple[str, str]]:
        return self.received.headers

    @property
    def body(self) -> bytes:
        return self.received.body

    def header(self, name: str) -> str | None:
        return self.received.header(name)

    def all(self, name: str) -> list[str]:
        """Every value of that header, in any case of its name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class CodemieBackend:
    """`with CodemieBackend() as backend`.

    `expired_as` says how a request without a valid session is answered. `answers` maps a path (without prefix) to
    a step that is played there for everybody, whatever the guard says. `requests` holds what came under the prefix.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.sessions: dict[str, dict[str, str]] = {}
        self.requests: list[Arrived] = []
        self.expired_as: ExpiredAs = "redirect"
        self.answers: dict[str, Step] = {}
        self.email = EMAIL
        self.lifetime = LIFETIME
        self.callback_key = "token"
        """The query key of the redirect to the callback; CodeMie's tools know token, auth and data."""
        self.config_api_url: str | None = None
        """What config.js calls VITE_API_URL; None: this backend's own API."""
        self._tls, self._host, self._port = tls, host, port
        self._started: Future[tuple[_Guarded, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="scripted-codemie")

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.upstream, self._loop, self._stop = self._started.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.upstream.port

    @property
    def url(self) -> str:
        """The root, as people type it: `http://127.0.0.1:port`."""
        return self.api_url.removesuffix(PREFIX)

    @property
    def api_url(self) -> str:
        """The root with the gateway's path."""
        return self.upstream.url

    def sign_in(self, lifetime: float | None = None) -> dict[str, str]:
        """Make a session, valid for `lifetime` seconds, and return its cookies; the first is a JWT."""
        token = make_jwt(self.email, time.time() + (self.lifetime if lifetime is None else lifetime))
        cookies = {ACCESS: token, SECOND: f"planted-{secrets.token_hex(8)}"}
        self.sessions[token] = cookies
        return cookies

    def expire(self, cookies: Mapping[str, str]) -> None:
        """End the session of these cookies; requests with it are answered as `expired_as` says."""
        self.sessions.pop(cookies[ACCESS], None)

    def script(self, *steps: Step, then: Step | None = None) -> None:
        """Say how the next signed model calls are answered, as `Upstream.script` does."""
        self.call(self.upstream.script, *steps, then=then)

    def gate(self) -> Gate:
        """A gate for a step; open and release it through `call`."""
        return self.call(self.upstream.gate)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function on the backend's loop and return its result."""

        async def run() -> T:
            return function(*args, **kwargs)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def wait_requests(self, n: int, timeout: float = 20.0) -> None:
        """Wait until `n` requests have come as a whole, those for the login page among them."""
        asyncio.run_coroutine_threadsafe(self.upstream.wait_requests(n, timeout), self._loop).result()

    def wait_until(self, predicate: Callable[[], bool], timeout: float = 20.0) -> None:
        """Wait until `predicate()` holds, looked at whenever something happens here. TimeoutError."""
        asyncio.run_coroutine_threadsafe(self.upstream.wait_until(predicate, timeout), self._loop).result()

    def callback_url(self, port: int, cookies: Mapping[str, str] | None = None) -> str:
        """Where the login page sends the browser in the end; without `cookies` somebody signs in for it."""
        payload = json.dumps({"cookies": dict(cookies or self.sign_in())}).encode()
        return f"http://localhost:{port}/?{self.callback_key}={quote(base64.b64encode(payload).decode())}"

    def step_for(self, received: Received) -> Step | None:
        """The guard and CodeMie's own paths; None for a signed model call, which plays its script."""
        if received.path == "/outside-of-prefix":
            return _page(_LOGIN) if received.target.startswith(LOGIN_PAGE) else Step(status=404)
        signed = self._signed(received)
        self.requests.append(Arrived(received, signed))
        if (planned := self.answers.get(received.path)) is not None:
            return planned
        if (opened := self._for_everybody(received)) is not None:
            return opened
        return self._for_the_signed(received) if signed else self._expired()

    def _for_everybody(self, received: Received) -> Step | None:
        match received.path.strip("/").split("/"):
            case ["config.js"]:
                url = self.api_url if self.config_api_url is None else self.config_api_url
                body = f'window._env_ = {{\n  VITE_API_URL: "{url}",\n  VITE_ENV: "test"\n}};\n'
                return Step(body=body, headers=[("content-type", "application/javascript")])
            case ["v1", "auth", "login", port] if port.isdigit():
                return _page(_FORM.format(action=html.escape(f"{PREFIX}/v1/auth/login/{port}/done")))
            case ["v1", "auth", "login", port, "done"] if port.isdigit():
                return Step(status=302, body=b"", headers=[("location", self.callback_url(int(port)))])
        return None

    def _for_the_signed(self, received: Received) -> Step | None:
        match received.method, received.path.strip("/").split("/"):
            case "GET", ["v1", "user"]:
                user = {"user_id": "u-1", "username": "ada", "name": "Ada Example", "email": self.email}
                return _json({**user, "applications": ["demo"], "applications_admin": []})
            case "GET", ["v1", "llm_models"]:
                return _json([_MODEL])
            case "POST", ["v1", "metrics"]:
                return _json({"success": True, "message": "Metric sent"})
            case "PUT", ["v1", "conversations", _, "history"]:
                return _json({"success": True, "message": "History saved"})
        return None

    def _expired(self) -> Step:
        match self.expired_as:
            case "redirect":
                scheme = "https" if self._tls else "http"
                other = "localhost" if self._host != "localhost" else "127.0.0.1"
                login = f"{scheme}://{other}:{self.port}{LOGIN_PAGE}?client_id=codemie"
                return Step(status=302, body=b"", headers=[("location", login)])
            case "html":
                return _page(_LOGIN)
            case "401" | "403" as status:
                return Step(status=int(status), body=json.dumps({"code": int(status), "message": "Not authorized"}))

    def _signed(self, received: Received) -> bool:
        scheme, _, token = (received.header("authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and token in self.sessions:
            return True
        pairs = (received.header("cookie") or "").split(";")
        sent = dict(pair.strip().partition("=")[::2] for pair in pairs)
        wanted = self.sessions.get(sent.get(ACCESS, ""))
        return wanted is not None and all(sent.get(name) == value for name, value in wanted.items())

    async def _serve(self) -> None:
        try:
            async with _Guarded(self.step_for, tls=self._tls, host=self._host, port=self._port) as upstream:
                stop = asyncio.Event()
                self._started.set_result((upstream, asyncio.get_running_loop(), stop))
                await stop.wait()
        except OSError as error:
            self._started.set_exception(error)


class _Guarded(Upstream):
    """The scripted upstream, asking first who may come in."""

    def __init__(self, guard: Callable[[Received], Step | None], **arguments: Any) -> None:
        super().__init__(prefix=PREFIX, **arguments)
        self._guard = guard

    def _step_for(self, received: Received) -> Step:
        step = self._guard(received)
        return super()._step_for(received) if step is None else step


def make_jwt(email: str, expires_at: float, **claims: object) -> str:
    """A token of three parts as an identity provider makes it, with a signature that nobody checks."""
    head = {"alg": "RS256", "typ": "JWT", "kid": "planted"}
    body = {"sub": "u-1", "email": email, "preferred_username": email, "exp": int(expires_at), **claims}
    parts = (json.dumps(part).encode() for part in (head, {**body, "jti": secrets.token_hex(8)}))
    return ".".join([*(_base64url(part) for part in parts), _base64url(b"planted-signature")])


def cookies_of(callback_url: str) -> dict[str, str]:
    """The cookies inside the address that the browser is sent to in the end."""
    [value] = next(iter(parse_qs(urlsplit(callback_url).query).values()))
    found: dict[str, str] = json.loads(base64.b64decode(value))["cookies"]
    return found


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _json(value: object) -> Step:
    return Step(body=json.dumps(value))


def _page(text: str) -> Step:
    return Step(body=text, headers=[("content-type", "text/html; charset=utf-8")])


_MODEL: dict[str, Any] = {
    "base_name": "demo-model",
    "deployment_name": "demo-model",
    "label": "Demo model",
    "enabled": True,
    "default": True,
    "provider": "demo",
    "cost": {"input": 0.000003, "output": 0.000015},
    "features": {"streaming": True, "tools": True},
}

_FORM = """<!doctype html><title>Sign in to CodeMie</title>
<form method="post" action="{action}"><label>Password <input type="password" name="password"></label>
<button id="sign-in">Sign in</button></form>
<script>document.forms[0].submit()</script>
"""
"""It submits itself: the person before the browser is in a hurry."""

_LOGIN = "<!doctype html><title>Sign in</title><p>Your session has expired. Please sign in.</p>\n"
