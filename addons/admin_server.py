"""The operator's side: an API, pages and live events on a loopback port of their own.

Runs last and fails open: nothing here can hold up a stream. Until somebody connects there are a socket and two rings;
the web libraries are loaded then, in a thread. While nobody looks at the live view its hooks are not there.
"""

import importlib.util
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mitmproxy import http
from pydantic import Field, SecretStr, field_validator

from codemie_core.addon import Addon, AddonSettings, note
from codemie_core.admin.live import Hub
from codemie_core.admin.log_ring import LogRing
from codemie_core.admin.recent import Recent
from codemie_core.admin.server import Server, bind_or_any
from codemie_core.admin.token import admin_token
from codemie_core.core_addon import core_of
from codemie_core.exchange import BOOK, Exchange, exchange_of
from codemie_core.model_name import asked_model
from codemie_core.scope import validate_hosts
from codemie_core.usage.record import Record

if TYPE_CHECKING:
    from codemie_core.admin.app import Built
    from codemie_core.admin.serving import Serving
    from codemie_core.logs.log_writer import Brief

logger = logging.getLogger(__name__)

LIBRARIES = ("fastapi", "uvicorn")
WHILE_WATCHED = ("request", "usage_recorded")
STOP_SECONDS = 3.0


class AdminServer(Addon, priority=200):
    """Only this machine can reach it; `codemie-proxy open` opens its page."""

    class Settings(AddonSettings):
        """Where it listens."""

        port: int = Field(
            0, ge=0, le=65535, description="Port of the admin API and the dashboard on 127.0.0.1; 0 takes a free one."
        )
        names: tuple[str, ...] = Field(
            (), description="Host names the admin API may be called by, beside localhost and 127.0.0.1."
        )

        @field_validator("names")
        @classmethod
        def _are_hosts(cls, names: tuple[str, ...]) -> tuple[str, ...]:
            validate_hosts(names)
            return names

    settings: Settings

    def __init__(self, pages: bool = True) -> None:
        self.recent = Recent()
        """What ended last."""
        self.hub = Hub(BOOK.still_open)
        self.logs = LogRing()
        self._pages = pages
        self._server: Server | None = None
        self._built: Built | None = None
        """Stays when the addon is switched off: the pages' library keeps one set of pages per process."""
        self._port: int | None = None
        self._without = ""
        self._watched(False)

    def settled(self) -> None:
        """Names count at once; a port from the next start on, for whoever changes it comes in by the present one."""
        if self._built is not None:
            self._built.authority.names = self.settings.names
        if self._port is not None and self.settings.port not in (0, self._port):
            logger.info("codemie_admin_server_port: from the next start on; until then it is %d", self._port)

    def start(self) -> None:
        """Listen. Nothing is loaded yet."""
        self._without = missing(LIBRARIES)
        if self._without:
            logger.info("There is no dashboard: %s", self._without)
            return
        token = admin_token(core_of(self).places)
        self.hub, self.logs = Hub(BOOK.still_open, self._model_of), LogRing()
        self.hub.on_wanted = self._rewire
        self.logs.install()
        self._hear_of_requests(self.logs.add)
        self._server = Server(lambda: self._prepare(token), self._trouble)
        self._port, problem = bind_or_any(self._server, self.settings.port)
        if problem:
            logger.warning("codemie_admin_server_port: %s", problem)
        core_of(self).announce_admin(self._port)

    async def stop(self) -> None:
        """Close the port and everything behind it."""
        server, self._server, self._port = self._server, None, None
        core_of(self).announce_admin(None)
        self._hear_of_requests(None)
        self.hub.close()
        self.logs.uninstall()
        if server is not None:
            await server.stop(STOP_SECONDS)
        if self._built is not None:
            await self._built.plane.close()

    def health(self) -> Mapping[str, object]:
        """Where it listens, whether anybody has come so far, and how many watch."""
        if self._without:
            return {"problem": self._without}
        loaded = self._server is not None and self._server.loaded
        return {"port": self._port, "loaded": loaded, "watching": self.hub.subscribers}

    def request(self, flow: http.HTTPFlow) -> None:
        """A request goes out."""
        exchange = exchange_of(flow)
        if exchange.scoped and flow.response is None and flow.error is None:
            raw, encoding = flow.request.raw_content or b"", flow.request.headers.get("content-encoding", "")
            self.hub.started(exchange, asked_model(exchange.path, raw, encoding))

    def exchange_done(self, exchange: Exchange) -> None:
        """It has ended."""
        if exchange.scoped:
            self.recent.add(exchange)
            if self.hub.wanted:
                self.hub.finished(exchange)

    def usage_recorded(self, record: Record) -> None:
        """It has been counted."""
        self.hub.counted(record)

    def _model_of(self, exchange: Exchange) -> str:
        # Of requests that were under way before anybody watched.
        model_of = getattr(self._other("usage_metering"), "model_of", None)
        return str(model_of(exchange)) if model_of is not None else ""

    def _hear_of_requests(self, listener: "Brief | None") -> None:
        listen = getattr(self._other("request_log"), "listen", None)
        if listen is not None:
            listen(listener)

    def _other(self, name: str) -> Addon | None:
        return next((addon for addon in core_of(self).addons_in_order if addon.name == name), None)

    def _rewire(self, watched: bool) -> None:
        self._watched(watched)
        core_of(self).rewire()

    def _watched(self, watched: bool) -> None:
        for hook in WHILE_WATCHED:
            if watched:
                vars(self).pop(hook, None)
            else:
                vars(self)[hook] = None

    def _prepare(self, token: SecretStr) -> "Serving":
        from codemie_core.admin.app import build_app
        from codemie_core.admin.authority import Authority
        from codemie_core.admin.plane import Plane
        from codemie_core.admin.serving import Serving

        core = core_of(self)
        if self._built is None:
            plane = Plane(core, core.places, core.layers.environ, self.hub, self.logs)
            authority = Authority(token, self.settings.names)
            self._built = build_app(plane, authority, self._trouble, self._pages)
        built = self._built
        built.plane.hub, built.plane.logs = self.hub, self.logs
        built.authority.token, built.authority.names = token, self.settings.names
        return Serving(built.api, built.guarded)

    def _trouble(self, place: str, error: Exception) -> None:
        note(self, place, error)


def missing(libraries: tuple[str, ...]) -> str:
    """What to install for these; "" when all are there. Imports none."""
    absent = [name for name in libraries if importlib.util.find_spec(name) is None]
    return f"it needs {' and '.join(absent)}: pip install 'codemie-proxy[admin]'" if absent else ""


addons = [AdminServer()]
