"""A real OAuth server on loopback: Authlib decides (`oauth_authority`), faults are on demand, calls are counted."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.oauth2 import OAuth2Error
from pydantic import SecretStr

from codemie_core.oauth.providers import providers_file
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places
from support.oauth_authority import CLIENT_ID, Answer, Authority, Request, SignIn

ENDPOINTS = {"authorize_url": "/authorize", "token_url": "/token", "device_url": "/device", "revoke_url": "/revoke"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One call to an endpoint."""

    path: str
    fields: dict[str, str]
    kind: str
    """Its content type."""


class OAuthServer:
    """`with OAuthServer() as server: server.configure(places)`; its one client is "a-client".

    /authorize agrees at once and sends the browser back with a code (302). Any other path is an API that wants a good
    access token.
    """

    def __init__(self, secret: str = "", lifetime: float = 3600.0) -> None:
        self.asked: list[Asked] = []
        self.failing: deque[tuple[int, object, Mapping[str, str]]] = deque()
        """Answers to the next POSTs, instead of what they ask for: (503, b"", {"retry-after": "7"})."""
        self.open = threading.Event()
        """Cleared, /token answers only when it is set; what was asked has been done by then."""
        self.open.set()
        self.came = threading.Semaphore(0)
        """One permit for each call to /token."""
        self.state: str | None = None
        """Given back by /authorize instead of the one that was sent."""
        self.denies = False
        """The person at /authorize says no."""
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._serve(self, "GET")

            def do_POST(self) -> None:
                server._serve(self, "POST")

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="oauth-server")
        self.authority = Authority(secret, f"{self.url}/activate", lifetime)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        """Its issuer, and the base URL of its API."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def sign_ins(self) -> list[SignIn]:
        """Everything anybody agreed to."""
        return self.authority.sign_ins

    def calls(self, path: str = "/token") -> int:
        """How often an endpoint was asked."""
        return sum(one.path == path for one in self.asked)

    def configure(self, places: Places, name: str = "lab", **fields: object) -> None:
        """Make it a provider of this home."""
        urls = {key: f"{self.url}{path}" for key, path in ENDPOINTS.items()}
        about = {"provider": "anthropic-compatible", "base_url": self.url, "client_id": CLIENT_ID, "scopes": ["one"]}
        places.write_private(providers_file(places), json.dumps({name: {**urls, **about, **fields}}).encode())

    def sign_in(self, left: float | None = None, provider: str = "lab") -> Tokens:
        """Tokens as a sign-in gives them; with `left` as if it had been an hour before so many seconds from now."""
        with self._lock:
            request = Request("POST", "/token", {"client_id": CLIENT_ID}, {})
            request.user, client = "a person", self.authority.client
            token = self.authority.generate_token("refresh_token", client, request.user, "one")
            self.authority.save_token(token, request)
        end = self.sign_ins[-1].ends[-1] if left is None else time.time() + left
        self.sign_ins[-1].ends[-1] = end
        access, refresh = SecretStr(token["access_token"]), SecretStr(token["refresh_token"])
        return Tokens(access, refresh, end, end - self.authority.lifetime, "one", provider)

    def decide(self, user_code: str, granted: bool = True) -> None:
        """What the person says who types in a device's code."""
        self.authority.grants[user_code] = granted

    def good(self, access: str) -> bool:
        """Would the API take this access token?"""
        return any(sign_in.good(access) for sign_in in self.sign_ins)

    def _serve(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        parts = urlsplit(handler.path)
        raw = handler.rfile.read(int(handler.headers.get("content-length") or 0)).decode()
        kind = (handler.headers.get("content-type") or "").partition(";")[0]
        fields = dict(parse_qsl(parts.query)) if method == "GET" else _fields(raw, kind)
        headers = {name.title(): value for name, value in handler.headers.items()}
        with self._lock:
            self.asked.append(Asked(parts.path, fields, kind))
            if method == "POST" and self.failing and parts.path in ENDPOINTS.values():
                status, body, extra = self.failing.popleft()
                answer: Answer = status, body, [*extra.items()]
            else:
                answer = self._answer(method, parts.path, fields, headers)
        if parts.path == "/token":
            self.came.release()
            self.open.wait(30)
        _send(handler, answer)

    def _answer(self, method: str, path: str, fields: dict[str, str], headers: dict[str, str]) -> Answer:
        request = Request(method, path, fields, headers)
        if path == "/authorize":
            return self._authorized(request, fields)
        found: Answer
        if path == "/token":
            found = self.authority.create_token_response(request)
        elif path == "/device":
            found = self.authority.create_endpoint_response("device_authorization", request)
        elif path == "/revoke":
            found = self.authority.create_endpoint_response("revocation", request)
        elif path == "/.well-known/oauth-authorization-server":
            found = 200, self._metadata(), []
        else:
            good = self.good(headers.get("Authorization", "").removeprefix("Bearer "))
            found = (200, {"data": []}, []) if good else (401, {"error": {"type": "authentication_error"}}, [])
        return found

    def _authorized(self, request: Request, fields: dict[str, str]) -> Answer:
        if self.denies:
            said = {"error": "access_denied", "state": self.state or fields.get("state", "")}
            return 302, "", [("location", f"{fields['redirect_uri']}?{urlencode(said)}")]
        if self.state is not None:
            fields["state"] = self.state
        found: Answer
        try:
            grant = self.authority.get_consent_grant(request, end_user="a person")
        except OAuth2Error as error:
            found = self.authority.handle_error_response(request, error)
        else:
            found = self.authority.create_authorization_response(request, grant_user="a person", grant=grant)
        return found

    def _metadata(self) -> dict[str, str]:
        names = ("authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "revocation_endpoint")
        urls = dict(zip(names, (f"{self.url}{path}" for path in ENDPOINTS.values()), strict=True))
        return {"issuer": self.url, **urls}


def _fields(raw: str, kind: str) -> dict[str, str]:
    return (
        {key: str(value) for key, value in json.loads(raw).items()} if kind.endswith("json") else dict(parse_qsl(raw))
    )


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    status, body, headers = answer
    raw = body if isinstance(body, bytes) else b"" if body == "" else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in headers:
        if name.lower() != "content-length":
            handler.send_header(name, value)
    handler.send_header("content-length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw)
