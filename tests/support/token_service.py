"""A token endpoint on loopback: each refresh token is good for one use, and one that was used ends the sign-in."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from codemie_core.oauth.providers import providers_file
from codemie_core.places import Places


class TokenService:
    """`with TokenService() as service: service.configure(places)`; one sign-in, generation 0 at the beginning."""

    def __init__(self, lifetime: float = 3600.0) -> None:
        self.lifetime = lifetime
        self.generation = 0
        self.over = False
        self.bodies: list[dict[str, str]] = []
        """Of all calls, in order."""
        self.failing: deque[tuple[int, object, Mapping[str, str]]] = deque()
        """Answered first, instead of tokens; nothing is rotated then."""
        self.open = threading.Event()
        """Cleared, it does not answer until it is set; what is asked has been done by then."""
        self.open.set()
        self.asked = threading.Semaphore(0)
        """One permit for each call that has come."""
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service._serve(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="token-service")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return len(self.bodies)

    @property
    def url(self) -> str:
        """The token endpoint."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/token"

    @property
    def access(self) -> str:
        """The access token that is good now."""
        return access(self.generation)

    def configure(self, places: Places, provider: str = "anthropic-compatible", **fields: str) -> None:
        """Make it the provider "lab" of this home."""
        lab = {"provider": provider, "token_url": self.url, "client_id": "a-client", **fields}
        places.write_private(providers_file(places), json.dumps({"lab": lab}).encode())

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"])).decode()
        status, answer, headers = self._answer(dict(parse_qsl(body)))
        self.asked.release()
        self.open.wait(30)
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        handler.send_response(status)
        for name, value in {**headers, "content-length": str(len(raw))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(raw)

    def _answer(self, fields: dict[str, str]) -> tuple[int, object, Mapping[str, str]]:
        with self._lock:
            self.bodies.append(fields)
            if self.failing:
                return self.failing.popleft()
            if self.over or fields.get("refresh_token") != refresh(self.generation):
                self.over = True
                return 400, {"error": "invalid_grant", "error_description": "planted: used twice"}, {}
            self.generation += 1
            answer = {
                "access_token": self.access,
                "refresh_token": refresh(self.generation),
                "token_type": "Bearer",
                "expires_in": self.lifetime,
            }
            return 200, answer, {}


def access(generation: int) -> str:
    """The access token after so many refreshes."""
    return f"planted-access-{generation}"


def refresh(generation: int) -> str:
    """The refresh token after so many refreshes."""
    return f"planted-refresh-{generation}"
