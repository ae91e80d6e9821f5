"""A scripted metrics API on loopback: what comes, byte for byte, and an answer of the test's choice.

    with MetricsApi() as api:
        api.sign_in(places)                       # as `codemie-proxy auth login` would have left it
        api.script(Reply(503), Reply(hangs=True)) # then it takes everything

It counts a metric once per key, as a backend does that knows repetitions. Real HTTP, a thread per connection.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from pydantic import SecretStr

from codemie_core.places import Places
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from support.codemie_backend import ACCESS, PREFIX, SECOND, make_jwt

FAR = 4_000_000_000.0
"""Later than any clock of a test."""
PATH = f"{PREFIX}/v1/metrics"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `counts`: it has taken the metric before it answers so; `hangs`: it never answers; `drops`: it hangs
    up instead."""

    status: int = 200
    body: str = '{"success": true, "message": "Metric sent"}'
    content_type: str = "application/json"
    headers: Sequence[tuple[str, str]] = ()
    counts: bool = False
    hangs: bool = False
    drops: bool = False


TAKEN = Reply(counts=True)
DOWN = Reply(503, '{"code": 503, "message": "try later"}')
LOGIN_PAGE = Reply(200, "<!doctype html><title>Sign in</title>", "text/html; charset=utf-8")
TO_LOGIN = Reply(302, "", headers=(("Location", "/realms/codemie/protocol/openid-connect/auth"),))
UNAUTHORIZED = Reply(401, '{"code": 401, "message": "Not authorized"}')


@dataclass(frozen=True, slots=True)
class Came:
    """One POST as it came."""

    path: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    signed: bool
    reply: Reply

    def header(self, name: str) -> str:
        """Its value, "" when it is not there."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def key(self) -> str:
        """By which a repetition is known."""
        return self.header("X-CodeMie-Request-ID")

    @property
    def attributes(self) -> dict[str, Any]:
        """Of the metric in it."""
        found: dict[str, Any] = json.loads(self.body)["attributes"]
        return found


@dataclass(slots=True)
class MetricsApi:
    """`expired` is the answer for whoever bears no valid cookies; `then` the one after the script."""

    expired: Reply = UNAUTHORIZED
    then: Reply = TAKEN
    came: list[Came] = field(default_factory=list)
    counted: dict[str, bytes] = field(default_factory=dict)
    """The bodies that were taken, by key."""
    choose: Callable[[Came], Reply] | None = None
    """Chooses the answer instead of the script."""
    _script: deque[Reply] = field(default_factory=deque)
    _valid: set[str] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closing: threading.Event = field(default_factory=threading.Event)
    _server: Any = None
    _thread: Any = None

    def __enter__(self) -> Self:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                api._answer(self, body)

            def log_message(self, *_: object) -> None:
                """The test sees it all."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The base URL, with the gateway's path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{PREFIX}"

    @property
    def keys(self) -> list[str]:
        """Those of all that came, in order."""
        return [came.key for came in self.came]

    def script(self, *replies: Reply) -> None:
        """How the next ones with valid cookies are answered."""
        self._script.extend(replies)

    def cookies(self) -> dict[str, str]:
        """Of a new, valid session."""
        token = make_jwt("ada.example@codemie.test", FAR)
        self._valid.add(token)
        return {ACCESS: token, SECOND: "planted-second-cookie"}

    def sign_in(self, places: Places) -> Session:
        """Leave a valid session in the home."""
        secrets = {name: SecretStr(value) for name, value in self.cookies().items()}
        session = Session(self.url, secrets)
        CredentialStore(places).write(self.url, session)
        return session

    def expire_all(self) -> None:
        """No session of before is taken any more."""
        self._valid.clear()

    def wait_for(self, n: int, timeout: float = 30.0) -> None:
        """Until so many have come. TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.came) >= n, timeout):
                raise TimeoutError(f"{len(self.came)} of {n} came")

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        headers = list(handler.headers.items())
        cookie = handler.headers.get("cookie", "")
        with self._changed:
            signed = any(f"{ACCESS}={token}" in cookie for token in self._valid)
            came = Came(handler.path, headers, body, signed, self.then)
            if self.choose is not None:
                reply = self.choose(came)
            elif not signed:
                reply = self.expired
            else:
                reply = self._script.popleft() if self._script else self.then
            self.came.append(Came(handler.path, headers, body, signed, reply))
            if reply.counts:
                self.counted.setdefault(came.key, body)
            self._changed.notify_all()
        if reply.hangs:
            self._closing.wait(60)
        if reply.hangs or reply.drops:
            handler.close_connection = True
            return
        content = reply.body.encode()
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers:
                handler.send_header(name, value)
            handler.send_header("Content-Type", reply.content_type)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
        except OSError:
            handler.close_connection = True  # It has left, or was killed.
