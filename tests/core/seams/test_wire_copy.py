import pytest
from mitmproxy import http
from mitmproxy.test import tutils
from pydantic import SecretStr

from codemie_core.credential import Credential
from codemie_core.seams.wire_copy import wire_request

KEY = Credential("https", "api.test", 443, "/v1", {"x-api-key": SecretStr("planted-key")}, frozenset({"Authorization"}))


def request(
    *fields: tuple[str, str], scheme: bytes = b"https", host: str = "api.test", path: str = "/v1/messages"
) -> http.Request:
    headers = http.Headers([(name.encode(), value.encode()) for name, value in fields])
    return tutils.treq(scheme=scheme, host=host, port=443, path=path.encode(), headers=headers, content=b"{}")


def names(message: http.Request) -> list[str]:
    return [name.decode() for name, _ in message.headers.fields]


def test_a_request_with_nothing_to_change_is_sent_itself() -> None:
    asked = request(("content-length", "2"), ("transfer-encoding", "chunked"), ("accept", "*/*"))
    wire, held_back = wire_request(asked, [])
    assert wire is asked
    assert held_back == []


@pytest.mark.parametrize(
    "name",
    ["Connection", "Keep-Alive", "TE", "Trailer", "Proxy-Authorization", "Proxy-Connection", "proxy-authorization"],
)
def test_hop_by_hop_headers_stay_with_us(name: str) -> None:
    asked = request((name, "x"), ("accept", "*/*"))
    wire, _ = wire_request(asked, [])
    assert names(wire) == ["accept"]
    assert names(asked) == [name, "accept"], "mitmproxy frames and saves the original"


def test_what_the_connection_header_names_stays_with_us() -> None:
    wire, _ = wire_request(request(("Connection", "close, X-Hop"), ("x-hop", "1"), ("x-end", "2")), [])
    assert names(wire) == ["x-end"]


@pytest.mark.parametrize("framing", ["content-length", "transfer-encoding", "host"])
def test_the_connection_header_cannot_take_the_framing_away(framing: str) -> None:
    wire, _ = wire_request(request(("Connection", f"close, {framing}"), (framing, "2")), [])
    assert names(wire) == [framing]


def test_the_handshake_of_a_websocket_keeps_its_framing() -> None:
    asked = request(("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Proxy-Authorization", "x"))
    wire, _ = wire_request(asked, [])
    assert names(wire) == ["Connection", "Upgrade"]


def test_a_fitting_credential_goes_on_a_copy_and_replaces_what_the_client_sent() -> None:
    asked = request(("authorization", "Bearer from-client"), ("X-Api-Key", "from-client"), ("accept", "*/*"))
    before = asked.headers.fields
    wire, held_back = wire_request(asked, [KEY])
    assert wire.headers.fields == ((b"accept", b"*/*"), (b"x-api-key", b"planted-key"))
    assert held_back == []
    assert asked.headers.fields == before
    assert asked.raw_content == b"{}"
    assert wire.raw_content is None, "the body is sent apart"
    assert (wire.method, wire.url, wire.http_version) == (asked.method, asked.url, asked.http_version)


@pytest.mark.parametrize(
    "elsewhere",
    [{"host": "other.test"}, {"scheme": b"http"}, {"path": "/v2/messages"}, {"path": "/v1/../v2"}],
)
def test_a_credential_of_another_address_is_held_back(elsewhere: dict[str, str]) -> None:
    asked = request(("x-api-key", "from-client"), **elsewhere)  # type: ignore[arg-type] # a table of two types
    wire, held_back = wire_request(asked, [KEY])
    assert wire is asked
    assert held_back == [KEY]


def test_of_two_credentials_the_one_that_fits_goes_out() -> None:
    other = Credential("https", "other.test", 443, "/", {"authorization": SecretStr("planted-other")})
    wire, held_back = wire_request(request(), [other, KEY])
    assert names(wire) == ["x-api-key"]
    assert held_back == [other]
