"""Streaming on, per flow, and the policy of upstream attempts: how often, how long, through which proxy.

Runs first and fails open: without it responses are buffered and nothing is tried again, but they still arrive. The
attempts themselves are made by the machine behind codemie_core/seams/. Out of scope everything passes as it is.
"""

import dataclasses
import logging
import os
from pathlib import Path

from mitmproxy import connection, ctx, exceptions, http, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode
from pydantic import Field, field_validator

from codemie_core import agents, egress, target, upstream_trust
from codemie_core.addon import Addon, AddonSettings, report
from codemie_core.core_addon import core_of
from codemie_core.durations import Duration, Size
from codemie_core.errors import SettingsError, UnsupportedMitmproxy
from codemie_core.exchange import exchange_of
from codemie_core.policy import AttemptPlan
from codemie_core.seams import install

logger = logging.getLogger(__name__)


class UpstreamAttempts(Addon, priority=0):
    """The policy of the attempt machine."""

    class Settings(AddonSettings):
        """Durations are written like "300s" or "250ms", sizes like "64m"; a duration of "0s" switches it off."""

        max_attempts: int = Field(3, ge=1, le=10, description="Tries per request, the first one included.")
        retry_statuses: tuple[str, ...] = Field(
            ("502", "503", "504", "529"), description="Upstream statuses that are tried again."
        )
        backoff: Duration = Field(0.25, description="Wait before the second attempt; doubles each time, with jitter.")
        backoff_max: Duration = Field(
            5.0, description="Longest wait between attempts; a longer Retry-After goes to the client instead."
        )
        budget: Duration = Field(60.0, description="No new attempt begins later than this after the first one.")
        connect_timeout: Duration = Field(10.0, description="Time to connect, TLS handshake included.")
        first_byte_timeout: Duration = Field(300.0, description="Wait for the first byte of a stream.")
        first_byte_timeout_plain: Duration = Field(
            900.0, description="Wait for the first byte of an answer that is no stream."
        )
        idle_timeout: Duration = Field(
            300.0, description="Longest silence inside a response, or in a turn over a WebSocket."
        )
        keepalive: Duration = Field(15.0, description="Silence after which an event stream gets a keep-alive.")
        max_request_size: Size = Field(64 * 1024 * 1024, description="Larger request bodies are answered with 413.")
        max_connections: int = Field(100, ge=1, description="Upstream connections per client connection and address.")
        target_path: str = Field(
            "", description="Path put before every request path in reverse mode, like /code-assistant-api."
        )
        ca_file: str = Field("", description="PEM file of further certificate authorities to trust upstream.")

        @field_validator("retry_statuses")
        @classmethod
        def _are_error_statuses(cls, statuses: tuple[str, ...]) -> tuple[str, ...]:
            for status in statuses:
                if not (status.isdigit() and 400 <= int(status) <= 599):
                    raise ValueError(f"{status!r} is not an error status: write numbers from 400 to 599")
            return statuses

        @field_validator("target_path")
        @classmethod
        def _is_a_path(cls, path: str) -> str:
            if path and (not path.startswith("/") or "?" in path or "#" in path):
                raise ValueError(f"{path!r} is not a path: it must begin with a slash and hold no ? or #")
            return path.rstrip("/")

    settings: Settings

    def __init__(self) -> None:
        self._stream_plan = AttemptPlan()
        self._plain_plan = AttemptPlan()
        self._egress = egress.Egress()
        self._ca_file = ""
        self._prefixes: dict[ProxyMode, str] = {}

    def load(self, loader: Loader) -> None:
        """Put the machine in its place and set what mitmproxy needs for it."""
        try:
            install.install()
        except UnsupportedMitmproxy as problem:
            report(self, str(problem))
            return
        core_of(self).tunnels.way_out = lambda scheme, host, port: self._egress.via(scheme, host, port)
        # Eager connections hang up on the client when the upstream is down, before any addon runs.
        ctx.options.update(connection_strategy="lazy")
        if not ctx.options.has_changed("tcp_timeout"):
            # mitmproxy's watchdog closes both sides without a word; our deadlines come first and answer.
            ctx.options.update(tcp_timeout=3600)

    def configure(self, updated: set[str]) -> None:
        """Refuse what would blind the machine."""
        if "stream_large_bodies" in updated and ctx.options.stream_large_bodies:
            raise exceptions.OptionsError(
                "stream_large_bodies hides request bodies from the bundle: leave it unset, responses stream anyway"
            )
        if "connection_strategy" in updated and ctx.options.connection_strategy != "lazy":
            raise exceptions.OptionsError(
                "connection_strategy must stay lazy: only then is an upstream that is down answered in JSON"
            )
        if "ssl_insecure" in updated and ctx.options.ssl_insecure:
            logger.warning("ssl_insecure is set: certificates of upstreams are not checked")

    def settled(self) -> None:
        """Make the plans, and the bundle of authorities."""
        if self.settings.ca_file != self._ca_file:
            self._trust(self.settings.ca_file)
        self._make_plans()

    def _trust(self, ca_file: str) -> None:
        option = "codemie_upstream_attempts_ca_file"
        if core_of(self).running_since:
            # mitmproxy keeps the contexts it has made from a file of this name.
            raise SettingsError(f"{option} cannot be changed while the proxy runs; restart it")
        if ctx.options.ssl_verify_upstream_trusted_ca is not None:
            raise SettingsError(f"{option} and ssl_verify_upstream_trusted_ca are both set; keep one of them")
        bundle = upstream_trust.trust_bundle(core_of(self).places, Path(ca_file), option)
        ctx.options.update(ssl_verify_upstream_trusted_ca=str(bundle))
        self._ca_file = ca_file

    def _make_plans(self) -> None:
        own = self.settings
        self._stream_plan = AttemptPlan(
            max_attempts=own.max_attempts,
            retry_statuses=frozenset(int(status) for status in own.retry_statuses),
            backoff=own.backoff,
            backoff_max=own.backoff_max,
            budget=own.budget,
            connect_timeout=own.connect_timeout,
            first_byte_timeout=own.first_byte_timeout,
            idle_timeout=own.idle_timeout,
            keepalive=own.keepalive,
            max_request_bytes=own.max_request_size,
            egress=self._egress,
        )
        self._plain_plan = dataclasses.replace(self._stream_plan, first_byte_timeout=own.first_byte_timeout_plain)
        self._prefixes.clear()

    def start(self) -> None:
        """Find the way out, now that our own addresses are known."""
        try:
            found = egress.egress_from_env(os.environ)
        except SettingsError as problem:
            report(self, str(problem))
            return
        self._egress = found.without(core_of(self).listening())
        if self._egress != found:
            logger.warning("HTTPS_PROXY or HTTP_PROXY points at this very proxy and is ignored")
        self._make_plans()

    def client_connected(self, client: connection.Client) -> None:
        """Let an HTTP/2 client have all its streams before an HTTP/1.1 upstream at the same time."""
        install.prepare_connection(client, self.settings.max_connections)

    def tls_established_client(self, data: tls.TlsData) -> None:
        """Not before: clients that speak HTTP/1.1 need nothing, and it would cost them something per event."""
        if data.conn.alpn == b"h2":
            install.prepare_http2(data.conn)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Adopt the flow: from here on the machine runs it."""
        exchange = exchange_of(flow)
        if exchange.scoped and not flow.is_replay:
            exchange.plan = self._plain_plan
        else:
            self._choose_way_out(flow)

    def request(self, flow: http.HTTPFlow) -> None:
        """The body is there: a stream may not be silent as long as a plain answer."""
        exchange, request = exchange_of(flow), flow.request
        if exchange.plan is None or flow.response is not None:
            return
        if agents.wants_stream(request.path, request.headers.get, request.raw_content or b""):
            exchange.plan = self._stream_plan
        mode = flow.client_conn.proxy_mode
        if isinstance(mode, ReverseMode):
            exchange.prefix = self._prefix(mode)
            request.path = target.with_prefix(request.path, exchange.prefix)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Every response streams."""
        exchange_of(flow).streamed = True

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        """Sign in to the outbound proxy. This flow is the CONNECT to that proxy; mitmproxy never saves it."""
        address = flow.server_conn.address
        for proxy in self._egress.proxies.values():
            if (proxy.host, proxy.port) == address and proxy.authorization is not None:
                flow.request.headers["proxy-authorization"] = proxy.authorization.get_secret_value()

    def _choose_way_out(self, flow: http.HTTPFlow) -> None:
        """For flows that mitmproxy connects by itself."""
        request = flow.request
        if self._egress.proxies and not flow.server_conn.connected:
            proxy = self._egress.via(request.scheme, request.host, request.port)
            if proxy is not None:
                flow.server_conn.via = proxy.address

    def _prefix(self, mode: ReverseMode) -> str:
        prefix = self._prefixes.get(mode)
        if prefix is None:
            prefix = self._prefixes[mode] = self.settings.target_path or self._profile_path(mode)
        return prefix

    def _profile_path(self, mode: ReverseMode) -> str:
        """The path of the CodeMie profile's base URL, if this is its host."""
        base_url = core_of(self).layers.profile.base_url
        if not base_url:
            return ""
        base = target.parse_target(base_url, "CodeMie profile: baseUrl")
        return base.path if (base.host, base.port) == mode.address else ""


addons = [UpstreamAttempts()]
