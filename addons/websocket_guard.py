"""Bounds for WebSockets, as Codex speaks to the Responses API, and endings that an agent connects again on.

Fails open: without it a WebSocket works as mitmproxy has it, without bounds; what decides about keys, sign-in and
accounts stands elsewhere. It stands before the choice of an account, so that an upgrade that is refused costs none. The
layer that does the work is in codemie_core/seams/socket_layer.py.
"""

import asyncio
import logging
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.addonmanager import Loader
from pydantic import Field, field_validator

from codemie_core.addon import Addon, AddonSettings
from codemie_core.agents import CODEX
from codemie_core.core_addon import core_of
from codemie_core.durations import Size
from codemie_core.errors import Problem
from codemie_core.exchange import exchange_of
from codemie_core.head_fields import field_value
from codemie_core.refusal import refuse
from codemie_core.seams import socket_layer
from codemie_core.websocket.closing import BUSY, STOPPING
from codemie_core.websocket.keeping import KeptMessages
from codemie_core.websocket.overload import is_aside, says_overloaded

logger = logging.getLogger(__name__)

UPGRADES = ("allow", "refuse")
STOP_PATIENCE = 0.5
"""Seconds that the end of the proxy waits for the close frames to be out."""
REFUSED = Problem(
    426, "websocket_refused", "This proxy takes no WebSockets (codemie_websocket_guard_upgrades=refuse): use HTTP."
)
PROTOCOL = (("upgrade", "HTTP/1.1"), ("connection", "upgrade"))
"""RFC 9110, 15.5.22: a 426 says what to speak instead."""


class WebsocketGuard(Addon, priority=12):
    """Hands its settings to the layer, refuses upgrades where it is told to, and ends what is open with the proxy."""

    class Settings(AddonSettings):
        """What a WebSocket may take."""

        upgrades: str = Field(
            "allow", description="allow, or refuse: Codex gets a 426 then and uses HTTP, with nothing lost."
        )
        max_message: Size = Field(
            64 * 1024**2, ge=64 * 1024, description="Larger messages end their WebSocket with code 1009."
        )
        keep_messages: int = Field(
            200, ge=1, description="Messages of each open WebSocket that stay, for mitmweb and for -w."
        )
        keep: Size = Field(4 * 1024**2, ge=1024, description="How much these may take; the newest one stays anyway.")

        @field_validator("upgrades")
        @classmethod
        def _is_known(cls, upgrades: str) -> str:
            if upgrades not in UPGRADES:
                raise ValueError(f"{upgrades!r} is not known: write one of {', '.join(UPGRADES)}")
            return upgrades

    settings: Settings

    def __init__(self) -> None:
        self._problem = ""
        self._kept: WeakKeyDictionary[http.HTTPFlow, KeptMessages] = WeakKeyDictionary()

    def load(self, loader: Loader) -> None:
        """Put the layer in place."""
        self._problem = socket_layer.install() or ""
        if self._problem:
            logger.warning("WebSockets have no bounds: %s", self._problem)

    def settled(self) -> None:
        """Count for WebSockets that open from now on."""
        if self.settings.upgrades == "allow":
            vars(self)["request"] = None  # A hook that has nothing to do costs every request something.
        else:
            vars(self).pop("request", None)
        core_of(self).rewire()
        if self.status.started:
            self.start()

    def start(self) -> None:
        """Be at work."""
        own = self.settings
        limits = socket_layer.SocketLimits(own.max_message, own.keep_messages, own.keep)
        socket_layer.CURRENT.limits = limits

    def stop(self) -> None:
        """Leave those that open from now on to mitmproxy."""
        socket_layer.CURRENT.limits = None

    async def drain(self) -> None:
        """The proxy ends: say so on every WebSocket, or agents would only see their connection break."""
        for flow in socket_layer.open_sockets():
            socket_layer.close_socket(flow, STOPPING)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_PATIENCE
        while socket_layer.open_sockets() and loop.time() < deadline:  # noqa: ASYNC110 (each ends in a layer of its own; nothing tells of the last one)
            await asyncio.sleep(0.01)

    def health(self) -> Mapping[str, object]:
        """How many are open, and that they have no bounds where this mitmproxy is not of a tested shape."""
        if self._problem:
            return {"bounds": "none"}
        return {"open": len(socket_layer.open_sockets()), "idle": socket_layer.idle_sockets()}

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """An overload that opens a turn is not passed on: Codex gives up over it, and after a close it asks again.

        As over HTTP, where such a status is tried again; later in a turn the client has seen some of it already. Other
        clients may not connect again: they get the message.
        """
        if not socket_layer.is_guarded(flow):
            self._keep_few(flow)
            return
        messages = flow.websocket.messages if flow.websocket is not None else []
        if not messages or messages[-1].from_client or not says_overloaded(messages[-1].content):
            return
        before = next((one for one in reversed(messages[:-1]) if one.from_client or not is_aside(one.content)), None)
        opens = before is not None and before.from_client
        exchange = exchange_of(flow)
        returns = exchange.scoped and exchange.agent is CODEX
        if opens and returns and socket_layer.close_socket(flow, BUSY):
            messages[-1].drop()

    def _keep_few(self, flow: http.HTTPFlow) -> None:
        """Of those that are mitmproxy's own, which would keep all: a remote control is open for days."""
        if flow.websocket is not None:
            own = self.settings
            kept = self._kept.setdefault(flow, KeptMessages(own.keep_messages, own.keep))
            kept.added(flow.websocket.messages)

    def request(self, flow: http.HTTPFlow) -> None:
        """Refuse an upgrade at once: here only where that is wanted."""
        if flow.response is not None or not exchange_of(flow).scoped:
            return
        if field_value(flow.request.headers.fields, b"upgrade").lower() == "websocket":
            refuse(flow, REFUSED, PROTOCOL)


addons = [WebsocketGuard()]
