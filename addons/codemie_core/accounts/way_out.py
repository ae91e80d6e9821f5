"""The way out of an account that has an outbound proxy of its own."""

from __future__ import annotations

from dataclasses import replace

from pydantic import SecretStr

from codemie_core.egress import Egress, OutboundProxy


class ProxyHost(str):
    """The host of an account's own outbound proxy together with how to sign in there.

    mitmproxy knows a way out by its address and lets requests share the tunnel. Accounts may be different users of one
    proxy, and HTTPS_PROXY may name yet another one there: so to mitmproxy it is a different address for each.
    """

    __slots__ = ("authorization",)

    authorization: SecretStr | None
    """The value for Proxy-Authorization."""

    def __new__(cls, proxy: OutboundProxy) -> ProxyHost:
        host = super().__new__(cls, proxy.host)
        host.authorization = proxy.authorization
        return host

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProxyHost) and str.__eq__(self, other) and self.authorization == other.authorization

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def way_out(proxy: OutboundProxy) -> Egress:
    """Through this proxy, whatever the environment says."""
    own = replace(proxy, host=ProxyHost(proxy))
    return Egress({"http": own, "https": own})
