"""An account's own outbound proxy, which mitmproxy must not take for anybody else's."""

import pytest

from codemie_core.accounts.way_out import ProxyHost, way_out
from codemie_core.egress import OutboundProxy, parse_proxy

ANN, BOB, NOBODY = (
    parse_proxy(url, "a test")
    for url in (
        "http://ann:planted-1@proxy.test:3128",
        "http://bob:planted-2@proxy.test:3128",
        "http://proxy.test:3128",
    )
)
FARTHER = parse_proxy("http://ann:planted-1@farther.test:3128", "a test")


def via(proxy: OutboundProxy) -> object:
    found = way_out(proxy).via("https", "api.test", 443)
    assert found is not None
    return found.address


@pytest.mark.parametrize("one", [ANN, BOB, NOBODY, FARTHER])
def test_each_user_of_a_proxy_has_an_address_of_its_own(one: OutboundProxy) -> None:
    for other in ANN, BOB, NOBODY, FARTHER:
        assert (via(one) == via(other)) is (one is other)
        assert (ProxyHost(one) != ProxyHost(other)) is (one is not other)
        assert via(one) != other.address
        assert other.address != via(one)


def test_it_is_an_ordinary_host_to_whoever_connects() -> None:
    host = ProxyHost(ANN)
    assert host.encode("idna") == b"proxy.test"
    assert f"{host}:3128" == "proxy.test:3128"
    assert hash(host) == hash("proxy.test")
    assert "planted" not in repr((host, vars(type(host)), via(ANN)))
    assert host.authorization == ANN.authorization


def test_it_leads_out_for_any_scheme_but_not_to_this_machine() -> None:
    egress = way_out(ANN)
    for scheme in "http", "https":
        assert egress.via(scheme, "api.test", 443) is not None
        assert egress.via(scheme, "127.0.0.1", 443) is None
