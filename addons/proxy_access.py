"""Who may use this proxy: clients with a key where there are keys, programs on this machine where there are none.

Runs before anything is spent on a request that may not pass, and before credentials are attached to it; fails closed.
One gate for plain requests, CONNECT and WebSocket upgrades in every mode. A key is taken off the request before anybody
can save, show or send it. Whatever carries no request that could hold a key (raw TCP and UDP, DNS) gets no upstream
connection while keys are asked for. Without keys, a guard keeps web pages out; see codemie_core/access/.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import connection, ctx, dns, http, tcp, udp
from mitmproxy.addonmanager import Loader
from mitmproxy.flow import Error
from mitmproxy.proxy.mode_specs import ProxyMode, RegularMode, ReverseMode, UpstreamMode
from pydantic import Field, field_validator

from codemie_core.access.browser_guard import BrowserGuard, normal_origin
from codemie_core.access.client_keys import ClientKey, keys_file
from codemie_core.access.key_headers import take_keys
from codemie_core.access.key_watch import KeyWatch
from codemie_core.access.own_address import LOOP, leads_back
from codemie_core.addon import Addon, AddonSettings, report
from codemie_core.core_addon import core_of
from codemie_core.errors import Problem, SettingsError, UnsupportedMitmproxy
from codemie_core.exchange import exchange_of
from codemie_core.refusal import refuse
from codemie_core.scope import validate_hosts
from codemie_core.seams import install
from codemie_core.seams.socket_layer import close_socket
from codemie_core.websocket.closing import KEY_REVOKED

logger = logging.getLogger(__name__)

LOG_EVERY = 60.0
"""Seconds between two lines about the same address."""
MOST_ADDRESSES = 1000

PAGE_HEADERS = frozenset({b"origin", b"sec-fetch-site"})
CHALLENGE = (("proxy-authenticate", 'Basic realm="codemie-proxy"'),)


class Dial(Protocol):
    """What mitmproxy passes to `server_connect`."""

    client: connection.Client
    server: connection.Server


class ProxyAccess(Addon, priority=7, fail="closed"):
    """The gate."""

    switchable = False

    class Settings(AddonSettings):
        """The keys themselves are no settings: codemie-proxy keys."""

        names: tuple[str, ...] = Field(
            ("host.docker.internal",),
            description="Host names that clients without a key may call this proxy by, beside localhost.",
        )
        origins: tuple[str, ...] = Field(
            (), description="Web origins that may use this proxy without a key, like https://tool.example.com."
        )

        @field_validator("names")
        @classmethod
        def _are_hosts(cls, names: tuple[str, ...]) -> tuple[str, ...]:
            validate_hosts(names)
            return names

        @field_validator("origins")
        @classmethod
        def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(map(normal_origin, origins))

    settings: Settings

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._keys: KeyWatch | None = None
        self._guard = BrowserGuard()
        self._strangers: WeakSet[connection.Client] = WeakSet()
        """Connections on which nothing has passed so far."""
        self._tunnels: WeakKeyDictionary[object, str] = WeakKeyDictionary()
        """Connections after a CONNECT, with the id of its key; "" when it needed none."""
        self._sockets: WeakKeyDictionary[http.HTTPFlow, str] = WeakKeyDictionary()
        """WebSockets, in the same way."""
        self._told: dict[str, float] = {}

    def load(self, loader: Loader) -> None:
        """Look at the keys; see to it that nothing is dialed before a request has passed."""
        try:
            install.install()  # Only our layer notes the Host that a client asked for.
        except UnsupportedMitmproxy as problem:
            report(self, str(problem))
        ctx.options.update(connection_strategy="lazy")
        core = core_of(self)
        self._keys = KeyWatch(keys_file(core.places), self._clock)
        try:
            self._keys.begin()
        except SettingsError as problem:
            report(self, str(problem))
        core.asks_for_keys = self._asks
        core.tunnels.may_pass = self._may_pass

    def configure(self, updated: set[str]) -> None:
        """The address it was told to listen on is one of its names."""
        if updated & {"listen_host", "mode"}:
            self.settled()

    def settled(self) -> None:
        """Make the guard."""
        self._guard = BrowserGuard((*self.settings.names, *listen_hosts()), self.settings.origins)

    def health(self) -> Mapping[str, object]:
        """How many keys are good, and why none is."""
        watch = self._watch()
        return {"asks_for_keys": watch.closed, "keys": watch.ring.active_count, "problem": watch.trouble}

    def _asks(self) -> bool:
        # An addon that is switched off asks nobody, so clients on other machines must stay out.
        return self.status.at_work and self._watch().closed

    def _may_pass(self, client: object) -> bool:
        """A tunnel that mitmproxy makes no flow of: nobody hears of its bytes but through this question."""
        return not self.status.at_work or self._holds_key(self._tunnels.get(client, ""))

    def _watch(self) -> KeyWatch:
        assert self._keys is not None  # set by load; without it everything that asks is refused
        self._keys.look()
        return self._keys

    def client_connected(self, client: connection.Client) -> None:
        """A stranger until something passes."""
        self._strangers.add(client)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """The gate of a tunnel. Requests inside it are let through by it as long as its key is good."""
        offered = take_off(flow)
        if flow.response is not None:
            return
        watch = self._watch()
        key = self._admit(flow, offered, watch)
        if key is not None or not watch.closed:
            self._tunnels[flow.client_conn] = key.id if key else ""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """The gate of a request."""
        offered = take_off(flow)
        if isinstance(flow.client_conn.proxy_mode, RegularMode):
            # Even where it is none of our keys it is meant for us; out of scope nobody else takes it off.
            flow.request.headers.pop("proxy-authorization", None)
        if flow.response is not None or flow.error is not None or flow.is_replay:
            return
        watch = self._watch()
        key = self._admit(flow, offered, watch)
        if key is not None:
            exchange_of(flow).client_key = key.name
            if "upgrade" in flow.request.headers:
                self._sockets[flow] = key.id
        elif not watch.closed and isinstance(flow.client_conn.proxy_mode, ReverseMode):
            self._keep_pages_out(flow)

    def _admit(self, flow: http.HTTPFlow, offered: list[bytes], watch: KeyWatch) -> ClientKey | None:
        """The key this request passes with; None when it needs none, and when it was refused."""
        client = flow.client_conn
        if not watch.closed:
            self._strangers.discard(client)
            return None
        key = watch.ring.holder(offered) if offered else watch.ring.active(self._tunnels.get(client, ""))
        if key is not None:
            self._strangers.discard(client)
            return key
        if watch.trouble:
            refuse(flow, UNUSABLE)
        elif client not in self._tunnels and isinstance(client.proxy_mode, RegularMode | UpstreamMode):
            refuse(flow, _no_key(407, offered), CHALLENGE)
        else:
            refuse(flow, _no_key(401, offered))
        self._tell(client, "the client key it came with is not valid" if offered else "it came without a client key")
        return None

    def _keep_pages_out(self, flow: http.HTTPFlow) -> None:
        # One walk over the fields: `headers.get` walks and decodes anew for each name.
        said = {
            name: text.decode("latin-1")
            for field, text in flow.request.headers.fields
            if (name := field.lower()) in PAGE_HEADERS
        }
        asked_host, entrance = exchange_of(flow).asked_host, flow.client_conn.sockname[0]
        problem = self._guard.judge(asked_host, entrance, said.get(b"origin"), said.get(b"sec-fetch-site"))
        if problem is not None:
            refuse(flow, problem)
            self._tell(flow.client_conn, f"it looks like one of a web page ({problem.code})")

    def _tell(self, client: connection.Client, why: str) -> None:
        """Log it, once a minute for each address."""
        address, now = client.peername[0], self._clock()
        if now - self._told.get(address, -LOG_EVERY) < LOG_EVERY:
            return
        if len(self._told) >= MOST_ADDRESSES:
            self._told = {known: at for known, at in self._told.items() if now - at < LOG_EVERY}
        if len(self._told) < MOST_ADDRESSES:
            self._told[address] = now
            logger.warning("Refused a request from %s: %s. Told once a minute for each address.", address, why)

    def _holds_key(self, key_id: str) -> bool:
        watch = self._watch()
        return not watch.closed or watch.ring.active(key_id) is not None

    async def server_connect(self, data: Dial) -> None:
        """Nothing is dialed for a connection on which nobody has shown a key, and nothing that leads back here.

        It is here that raw TCP and UDP end: killing their flows in `tcp_start` would not keep mitmproxy from relaying.
        """
        server = data.server
        # Set first: whatever raises below, the connection is not made.
        before, server.error = server.error, "the client has shown no client key"
        if data.client in self._strangers and self._watch().closed:
            self._tell(data.client, "it came without a client key")
        elif (
            server.address is not None
            and server.transport_protocol == "tcp"
            and await leads_back(*server.address[:2], core_of(self).listening())
        ):
            server.error = LOOP
        else:
            server.error = before

    def tcp_message(self, flow: tcp.TCPFlow) -> None:
        """A tunnel whose key was revoked carries nothing any more."""
        if not self._holds_key(self._tunnels.get(flow.client_conn, "")):
            flow.messages[-1].content = b""

    def udp_message(self, flow: udp.UDPFlow) -> None:
        """Open when it began, closed now."""
        if not self._holds_key(""):
            flow.messages[-1].content = b""

    def dns_request(self, flow: dns.DNSFlow) -> None:
        """mitmproxy answers these by itself, and no query can hold a key."""
        before, flow.error = flow.error, Error(Error.KILLED_MESSAGE)
        if not self._watch().closed:
            flow.error = before

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """An open WebSocket carries nothing any more once its key is revoked, and ends where `websocket_guard` is."""
        if flow.websocket is not None and not self._holds_key(self._sockets.get(flow, "")):
            flow.websocket.messages[-1].drop()
            close_socket(flow, KEY_REVOKED)


UNUSABLE = Problem(
    503,
    "client_keys_unusable",
    "This proxy asks for client keys and cannot read them, so nobody is let in. Its operator must look at "
    "proxy/keys.json; the proxy's log says what is wrong. Trying again helps only after that.",
)


def _no_key(status: int, offered: list[bytes]) -> Problem:
    what = "The client key of this request is not valid" if offered else "This proxy asks for a client key"
    return Problem(
        status,
        "client_key_invalid" if offered else "client_key_missing",
        f"{what}. Its operator makes one with: codemie-proxy keys add NAME. Send it as the API key, or as the password "
        "of the proxy's URL. Trying again without it does not help.",
    )


def listen_hosts() -> tuple[str, ...]:
    """What the proxy was told to listen on, where it was told a name or address."""
    found = {ctx.options.listen_host}
    for mode in ctx.options.mode:
        with contextlib.suppress(ValueError):  # A mode that is none is refused by mitmproxy itself.
            found.add(ProxyMode.parse(mode).custom_listen_host or "")
    return tuple(sorted(found - {""}))


def take_off(flow: http.HTTPFlow) -> list[bytes]:
    """The client keys of this request, which holds them no longer."""
    offered, fields = take_keys(flow.request.headers.fields)
    if offered:
        flow.request.headers.fields = fields
    return offered


addons = [ProxyAccess()]
