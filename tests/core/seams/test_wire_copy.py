import pytest
from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.test import tutils
from pydantic import SecretStr

from codemie_core.credential import Credential
from codemie_core.seams.wire_copy import wire_request, wire_trailers

KEY = Credential("https", "api.test", 443, "/v1", {"x-api-key": SecretStr("planted-key")}, frozenset({"Authorization"}))
SERVER = Server(address=("api.test", 443), tls=True, sni="api.test")


def request(
    *fields: tuple[str, str], scheme: bytes = b"https", host: str = "api.test", path: str = "/v1/messages"
) -> http.Request:
    headers = http.Headers([(name.encode(), value.encode()) for name, value in fields])
    return tutils.treq(scheme=scheme, host=host, port=443, path=path.encode(), headers=headers, content=b"{}")


def names(message: http.Request) -> list[str]:
    return [name.decode() for name, _ in message.headers.fields]


def test_a_request_with_nothing_to_change_is_sent_itself() -> None:
    asked = request(("content-length", "2"), ("transfer-encoding", "chunked"), ("accept", "*/*"))
    wire, held_back = wire_request(asked, [], SERVER)
    assert wire is asked
    assert held_back == []


@pytest.mark.parametrize(
    "name",
    ["Connection", "Keep-Alive", "TE", "Trailer", "Proxy-Authorization", "Proxy-Connection", "proxy-authorization"],
)
def test_hop_by_hop_headers_stay_with_us(name: str) -> None:
    asked = request((name, "x"), ("accept", "*/*"))
    wire, _ = wire_request(asked, [], SERVER)
    assert names(wire) == ["accept"]
    assert names(asked) == [name, "accept"], "mitmproxy frames and saves the original"


def test_what_the_connection_header_names_stays_with_us() -> None:
    wire, _ = wire_request(request(("Connection", "close, X-Hop"), ("x-hop", "1"), ("x-end", "2")), [], SERVER)
    assert names(wire) == ["x-end"]


@pytest.mark.parametrize("framing", ["content-length", "transfer-encoding", "host"])
def test_the_connection_header_cannot_take_the_framing_away(framing: str) -> None:
    wire, _ = wire_request(request(("Connection", f"close, {framing}"), (framing, "2")), [], SERVER)
    assert names(wire) == [framing]


def test_the_handshake_of_a_websocket_keeps_its_framing() -> None:
    asked = request(("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Proxy-Authorization", "x"))
    wire, _ = wire_request(asked, [], SERVER)
    assert names(wire) == ["Connection", "Upgrade"]


def test_a_fitting_credential_goes_on_a_copy_and_replaces_what_the_client_sent() -> None:
    asked = request(("authorization", "Bearer from-client"), ("X-Api-Key", "from-client"), ("accept", "*/*"))
    before = asked.headers.fields
    wire, held_back = wire_request(asked, [KEY], SERVER)
    assert wire.headers.fields == ((b"accept", b"*/*"), (b"Host", b"api.test"), (b"x-api-key", b"planted-key"))
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
    wire, held_back = wire_request(asked, [KEY], SERVER)
    assert wire is asked
    assert held_back == [KEY]


def test_of_two_credentials_the_one_that_fits_goes_out() -> None:
    other = Credential("https", "other.test", 443, "/", {"authorization": SecretStr("planted-other")})
    wire, held_back = wire_request(request(), [other, KEY], SERVER)
    assert names(wire) == ["Host", "x-api-key"]
    assert held_back == [other]


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/2.0"])
@pytest.mark.parametrize("fields", [(), (("host", "evil.test"),), (("Host", "evil.test"), ("host", "api.test"))])
def test_a_signed_request_names_its_own_host_whatever_name_the_client_gave(
    version: bytes, fields: tuple[tuple[str, str], ...]
) -> None:
    asked = request(*fields)
    asked.data.http_version, asked.data.authority = version, b"evil.test"
    wire, _ = wire_request(asked, [KEY], SERVER)
    assert wire.host_header == "api.test"
    assert "evil" not in f"{wire.data.authority!r} {wire.headers.fields}"
    assert wire.data.authority == (b"api.test" if version == b"HTTP/2.0" else b""), "origin form in HTTP/1"
    assert asked.data.authority == b"evil.test"
    unsigned, _ = wire_request(asked, [], SERVER)
    assert unsigned.data.authority == b"evil.test"


@pytest.mark.parametrize(
    "host, port, named",
    [
        ("127.0.0.1", 8080, "127.0.0.1:8080"),
        ("127.0.0.1", 80, "127.0.0.1"),
        ("::1", 80, "[::1]"),
        ("::1", 1, "[::1]:1"),
    ],
)
def test_that_name_has_a_port_where_it_is_not_the_usual_one(host: str, port: int, named: str) -> None:
    asked = request(scheme=b"http", host=host)
    asked.port = port
    local = Credential("http", host, port, "/", {"cookie": SecretStr("a=planted")})
    wire, _ = wire_request(asked, [local], Server(address=(host, port)))
    assert wire.host_header == named


@pytest.mark.parametrize("sni", ["evil.test", "", None])
def test_a_server_that_proved_another_name_gets_no_credential(sni: str | None) -> None:
    asked = request(("x-api-key", "from-client"))
    wire, held_back = wire_request(asked, [KEY], Server(address=("api.test", 443), tls=True, sni=sni))
    assert wire is asked
    assert held_back == [KEY]


def test_a_name_proved_in_another_spelling_is_the_same_name() -> None:
    _, held_back = wire_request(request(), [KEY], Server(address=("api.test", 443), tls=True, sni="API.test."))
    assert held_back == []


def test_another_proxy_never_gets_a_credential_in_the_clear() -> None:
    local = Credential("http", "127.0.0.1", 443, "/", {"cookie": SecretStr("a=planted")})
    asked = request(scheme=b"http", host="127.0.0.1")
    server = Server(address=("127.0.0.1", 443), via=("http", ("proxy.test", 3128)))
    assert wire_request(asked, [local], server) == (asked, [local])


@pytest.mark.parametrize("method", ["TRACE", "trace", "TRACK", "GET /other", "GET\t/other", ""])
def test_a_method_that_shows_secrets_or_hides_a_path_takes_none(method: str) -> None:
    asked = request()
    asked.method = method
    assert wire_request(asked, [KEY], SERVER) == (asked, [KEY])


def test_what_is_withheld_goes_nowhere_with_and_without_a_credential_and_in_trailers() -> None:
    asked = request(("Authorization", "planted-own"), ("x-kept", "1"))
    asked.trailers = http.Headers([(b"authorization", b"planted-own"), (b"x-kept", b"2")])
    withheld = frozenset({b"authorization"})
    none: list[Credential] = []
    for credentials in (none, [KEY]):
        wire, _ = wire_request(asked, credentials, SERVER, withheld)
        assert "planted-own" not in str(wire.headers)
        assert wire.headers["x-kept"] == "1"
        trailers = wire_trailers(asked, credentials, withheld)
        assert trailers is not None
        assert trailers.fields == ((b"x-kept", b"2"),)
    assert asked.headers["authorization"] == "planted-own"
