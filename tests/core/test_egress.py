"""Which outbound proxy lies between us and an upstream."""

import base64
from typing import Any

import pytest

from codemie_core.egress import Egress, OutboundProxy, egress_from_env, parse_proxy
from codemie_core.errors import SettingsError

PROXY = OutboundProxy("http", "proxy.example.com", 3128)
URL = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    "environ, https, http",
    [
        ({}, None, None),
        ({"HTTPS_PROXY": URL}, PROXY, None),
        ({"https_proxy": URL, "HTTPS_PROXY": "http://other:1"}, PROXY, None),
        ({"HTTP_PROXY": URL}, None, PROXY),
        ({"http_proxy": URL}, None, PROXY),
        ({"ALL_PROXY": URL}, PROXY, PROXY),
        ({"all_proxy": URL, "HTTPS_PROXY": "http://other:1"}, OutboundProxy("http", "other", 1), PROXY),
        ({"HTTPS_PROXY": ""}, None, None),
        # A CGI server's HTTP_PROXY is a header of somebody's request.
        ({"HTTP_PROXY": URL, "REQUEST_METHOD": "GET"}, None, None),
        ({"http_proxy": URL, "REQUEST_METHOD": "GET"}, None, PROXY),
        ({"HTTPS_PROXY": "proxy.example.com:3128"}, PROXY, None),
    ],
)
def test_the_environment_names_a_proxy_for_each_scheme(environ: dict[str, str], https: Any, http: Any) -> None:
    egress = egress_from_env(environ)
    assert egress.via("https", "api.example.com", 443) == https
    assert egress.via("http", "api.example.com", 80) == http


@pytest.mark.parametrize(
    "url, address",
    [
        ("http://proxy", ("http", ("proxy", 80))),
        ("https://proxy", ("https", ("proxy", 443))),
        ("https://proxy:8443/", ("https", ("proxy", 8443))),
        ("http://[::1]:3128", ("http", ("::1", 3128))),
    ],
)
def test_a_proxy_s_url_becomes_an_address(url: str, address: object) -> None:
    assert parse_proxy(url, "HTTPS_PROXY").address == address


def test_a_proxy_s_password_is_decoded_and_stays_inside() -> None:
    proxy = parse_proxy("http://some%40one:planted%20pass@proxy:3128", "HTTPS_PROXY")
    assert proxy.authorization is not None
    kind, _, pair = proxy.authorization.get_secret_value().partition(" ")
    assert (kind, base64.b64decode(pair)) == ("Basic", b"some@one:planted pass")
    assert "planted" not in f"{proxy!r} {Egress({'https': proxy})!r} {proxy.address}"
    assert pair not in repr(proxy)
    without = parse_proxy("http://someone@proxy", "HTTPS_PROXY").authorization
    assert without is not None
    assert without.get_secret_value() == "Basic " + base64.b64encode(b"someone:").decode()


@pytest.mark.parametrize(
    "url",
    ["socks5://me:planted@proxy", "http://", "http://me:planted@", "http://me:planted@[x", "http://me:planted@p:x"],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="HTTPS_PROXY is not the URL of an HTTP proxy: write http://host:port") as e:
        egress_from_env({"HTTPS_PROXY": url})
    assert "planted" not in str(e.value)


@pytest.mark.parametrize(
    "rules, host, port, direct",
    [
        ("", "api.example.com", 443, False),
        ("*", "api.example.com", 443, True),
        ("api.example.com", "api.example.com", 443, True),
        ("API.Example.com", "api.example.COM", 443, True),
        ("example.com", "api.example.com", 443, True),
        (".example.com", "api.example.com", 443, True),
        ("*.example.com", "api.example.com", 443, True),
        ("ample.com", "api.example.com", 443, False),
        ("other.com, example.com", "api.example.com", 443, True),
        ("other.com example.com", "api.example.com", 443, True),
        ("example.com:443", "api.example.com", 443, True),
        ("example.com:8443", "api.example.com", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3:443", "10.1.2.3", 443, True),
        ("fd00::/8", "fd00::1", 443, True),
        ("[fd00::1]", "[fd00::1]", 443, True),
        ("fd00::1", "fe00::1", 443, False),
        # Loopback needs no rule.
        ("", "localhost", 443, True),
        ("", "127.0.0.1", 443, True),
        ("", "[::1]", 443, True),
    ],
)
def test_no_proxy_says_what_is_reached_directly(rules: str, host: str, port: int, direct: bool) -> None:
    egress = egress_from_env({"ALL_PROXY": URL, "NO_PROXY": rules})
    assert (egress.via("https", host, port) is None) is direct


def test_the_lower_case_variable_wins() -> None:
    egress = egress_from_env({"ALL_PROXY": URL, "NO_PROXY": "*", "no_proxy": "other.com"})
    assert egress.via("https", "api.example.com", 443) == PROXY


@pytest.mark.parametrize("url, kept", [("http://127.0.0.1:8080", False), ("http://localhost:8080", False)])
def test_this_very_proxy_is_no_way_out(url: str, kept: bool) -> None:
    egress = egress_from_env({"HTTPS_PROXY": url, "HTTP_PROXY": "http://127.0.0.1:3128", "NO_PROXY": "x"})
    without = egress.without([("127.0.0.1", 8080)])
    assert ("https" in without.proxies) is kept
    assert "http" in without.proxies
    assert without.bypass == ("x",)
    assert egress.without([("127.0.0.1", 9)]) == egress
