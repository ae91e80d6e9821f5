"""Opens the TLS of the hosts the bundle acts on, and of no other: all else goes through a tunnel, byte for byte.

For agents that come by HTTPS_PROXY (regular mode, and upstream mode). A host is decrypted when both its CONNECT and the
name in the handshake are on the list. Fails closed, in the sense of closed TLS: whatever goes wrong in here, the bytes
pass as they are and nobody reads them; without the addon's file the proxy does not start.
"""

from collections.abc import Callable

from mitmproxy import connection, ctx, http, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.mode_specs import RegularMode, UpstreamMode
from pydantic import Field, field_validator

from codemie_core.addon import Addon, AddonSettings, note, report
from codemie_core.core_addon import core_of
from codemie_core.errors import UnsupportedMitmproxy
from codemie_core.scope import address_of, host_matches, validate_hosts
from codemie_core.seams import install, shape, tunnel

HTTP1 = b"http/1.1"


class TlsInterception(Addon, priority=2, fail="closed"):
    """Decides at the CONNECT, before the client has sent anything to look at."""

    class Settings(AddonSettings):
        """Beside `codemie_hosts`, which says what the bundle acts on."""

        hosts: tuple[str, ...] = Field(
            (),
            description="Hosts to decrypt in regular mode beside those the bundle acts on (codemie_hosts, the "
            "profile's, those of retargeting rules).",
        )
        http1_hosts: tuple[str, ...] = Field(
            ("api.anthropic.com", "api.openai.com", "chatgpt.com"),
            description="Hosts where clients are offered HTTP/1.1 alone: agents open WebSockets there, which do not "
            "pass over HTTP/2.",
        )

        @field_validator("hosts", "http1_hosts")
        @classmethod
        def _are_patterns(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
            validate_hosts(hosts)
            return hosts

    settings: Settings

    def load(self, loader: Loader) -> None:
        """Tunnels are made by layers of ours."""
        try:
            install.install()
            shape.require(tunnel.SHAPE)
        except UnsupportedMitmproxy as problem:
            report(self, str(problem))

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Pass it through, unless it is for a host to decrypt."""
        if not _names_hosts(flow.client_conn):
            return
        may_pass, host, port = self._gate(flow.client_conn), flow.request.host, flow.request.port
        # Set first: whatever raises below, nobody looks into it.
        tunnel.order_tunnel(flow, tunnel.Order(may_pass))
        try:
            proxy = core_of(self).tunnels.way_out("https", host, port)
            via, opened = proxy.address if proxy else None, self._opens(host, port)
            if opened and via is None:
                tunnel.cancel_tunnel(flow)
            else:
                tunnel.order_tunnel(flow, tunnel.Order(may_pass, via, opened))
        except Exception as error:  # To refuse the CONNECT would take the agent's git and package manager from it.
            note(self, "http_connect", error)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """The handshake may ask for another name than the CONNECT did; and it says which HTTP the client would like."""
        client, address = data.context.client, data.context.server.address
        if address is None or not _names_hosts(client):
            return  # TLS to the proxy itself.
        data.ignore_connection = True  # As above.
        tunnel.guard(data.context, self._gate(client))
        host, port = address[0], address[1]
        name = data.client_hello.sni
        if name is None or self._opens(name, port):
            data.ignore_connection = False
            tunnel.guard(data.context, None)
        if HTTP1 in client.alpn_offers and host_matches(address_of(host, port), self.settings.http1_hosts):
            # The first is what mitmproxy offers upstream, the second what it answers the client.
            client.alpn_offers = (HTTP1,)
            client.alpn = HTTP1

    def _gate(self, client: connection.Client) -> Callable[[], bool]:
        rules = core_of(self).tunnels
        return lambda: rules.may_pass(client)

    def _opens(self, host: str, port: int) -> bool:
        if ctx.options.allow_hosts:
            return True  # The user has a list of their own; mitmproxy goes by it.
        return core_of(self).acts_on(host, port) or host_matches(address_of(host, port), self.settings.hosts)


def _names_hosts(client: connection.Client) -> bool:
    """Is this a mode in which clients name the host by CONNECT?"""
    return isinstance(client.proxy_mode, RegularMode | UpstreamMode)


addons = [TlsInterception()]
