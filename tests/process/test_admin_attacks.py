"""What a web page, a program without the token and a hostile client try at the admin port of a real proxy."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from codemie_core.demo.threaded import UpstreamThread
from support.admin import Admin, admin_of
from support.proxy import Mitmproxy
from support.shared import shared_proxy

PATIENCE = 60.0
EVIL = "http://evil.example"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mitmproxy]:
    home = tmp_path_factory.mktemp("attacked")
    with UpstreamThread() as upstream, shared_proxy(home, "--mode", f"reverse:{upstream.url}") as running:
        yield running


@pytest.fixture(scope="module")
def admin(proxy: Mitmproxy) -> Iterator[Admin]:
    with admin_of(proxy) as client:
        yield client


@pytest.fixture(scope="module")
def cookie(admin: Admin) -> str:
    """Of a browser that is signed in."""
    with contextlib.closing(admin.browser()) as browser:
        return browser.cookies["codemie_admin"]


def raw(admin: Admin, head: str, body: bytes = b"", **words: str) -> tuple[int, dict[str, str], bytes]:
    """Send these lines as they are; the status, the headers and the body of the answer."""
    filled = head.format(port=admin.port, token=admin.token, **words).strip().replace("\n", "\r\n")
    then = "Upgrade" if "Upgrade: " in head else "close"
    with socket.create_connection(("127.0.0.1", admin.port), timeout=PATIENCE) as connection:
        connection.sendall(f"{filled}\r\nConnection: {then}\r\n\r\n".encode() + body)
        return parsed(connection)


def parsed(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    top, _, rest = data.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    while len(rest) < int(headers.get("content-length", 0)):
        rest += connection.recv(65536)
    return int(lines[0].split()[1]), headers, rest


SIGNED = "Cookie: codemie_admin={cookie}"
TOKEN = "Authorization: Bearer {token}"
OURS = "Host: 127.0.0.1:{port}"
UPGRADE = "Upgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport"

ATTACKS: dict[str, tuple[str, int]] = {
    "a page that gave its own name our address": (
        f"GET /api/stats HTTP/1.1\nHost: evil.example:{{port}}\n{TOKEN}",
        421,
    ),
    "the same for the page": ("GET / HTTP/1.1\nHost: evil.example:{port}\nAccept: text/html", 421),
    "the same for the sign of life": ("GET /health/live HTTP/1.1\nHost: evil.example", 421),
    "no host at all": (f"GET /api/stats HTTP/1.0\n{TOKEN}", 421),
    "two hosts": (f"GET /api/stats HTTP/1.1\n{OURS}\nHost: evil.example\n{TOKEN}", 400),
    "a whole address instead of a path": (f"GET {EVIL}/api/stats HTTP/1.1\n{OURS}\n{TOKEN}", 404),
    "a page of another site that reads": (f"GET /api/stats HTTP/1.1\n{OURS}\nOrigin: {EVIL}\n{SIGNED}", 403),
    "a page of another site that asks first": (f"OPTIONS /api/stats HTTP/1.1\n{OURS}\nOrigin: {EVIL}", 403),
    "an image of another site": (
        f"GET /api/stats HTTP/1.1\n{OURS}\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: no-cors\n{SIGNED}",
        403,
    ),
    "a server on another port of this machine": (
        f"GET /api/stats HTTP/1.1\n{OURS}\nSec-Fetch-Site: same-site\nSec-Fetch-Mode: cors\n{SIGNED}",
        403,
    ),
    "a frame of another site": (
        f"GET / HTTP/1.1\n{OURS}\nAccept: text/html\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\n"
        f"Sec-Fetch-Dest: iframe\n{SIGNED}",
        403,
    ),
    "a change by a page of another site": (
        f"POST /api/stats/reset HTTP/1.1\n{OURS}\nOrigin: {EVIL}\nContent-Length: 0\n{SIGNED}",
        403,
    ),
    "a change by nobody knows whom": (f"POST /api/stats/reset HTTP/1.1\n{OURS}\nContent-Length: 0\n{SIGNED}", 403),
    "a change from a frame without an origin": (
        f"POST /api/stats/reset HTTP/1.1\n{OURS}\nOrigin: null\nContent-Length: 0\n{SIGNED}",
        403,
    ),
    "a form": (
        f"POST /api/config/strategy HTTP/1.1\n{OURS}\nOrigin: http://127.0.0.1:{{port}}\n{SIGNED}\n"
        "Content-Type: application/x-www-form-urlencoded\nContent-Length: 0\nTransfer-Encoding: chunked",
        415,
    ),
    "a form that looks like JSON": (
        f"POST /api/accounts HTTP/1.1\n{OURS}\n{TOKEN}\nContent-Type: text/plain\nContent-Length: 2",
        415,
    ),
    "a forged cookie": (f"GET /api/stats HTTP/1.1\n{OURS}\nCookie: codemie_admin=forged", 401),
    "the token in a cookie": (f"GET /api/stats HTTP/1.1\n{OURS}\nCookie: codemie_admin={{token}}", 401),
    "the token in the address": (f"GET /api/stats?token={{token}}&code={{token}} HTTP/1.1\n{OURS}", 401),
    "the token as a code": (f"GET /?code={{token}} HTTP/1.1\n{OURS}\nAccept: text/html", 401),
    "no token for the events": (f"GET /api/requests/stream HTTP/1.1\n{OURS}", 401),
    "no token for a sign-in": (
        f"POST /api/oauth/callback HTTP/1.1\n{OURS}\nContent-Type: application/json\nContent-Length: 2",
        401,
    ),
    "no token for the document": (f"GET /openapi.json HTTP/1.1\n{OURS}", 401),
    "no session for a script of the pages": (f"GET /_nicegui/x/static/nicegui.js HTTP/1.1\n{OURS}", 401),
    "a socket of another site": (f"GET {SOCKET}=websocket HTTP/1.1\n{OURS}\n{UPGRADE}\nOrigin: {EVIL}\n{SIGNED}", 403),
    "a socket of another name": (
        f"GET {SOCKET}=websocket HTTP/1.1\nHost: evil.example\n{UPGRADE}\nOrigin: {EVIL}\n{SIGNED}",
        421,
    ),
    "a socket of nobody knows whom": (f"GET {SOCKET}=websocket HTTP/1.1\n{OURS}\n{UPGRADE}\n{SIGNED}", 403),
    "a socket without a session": (
        f"GET {SOCKET}=websocket HTTP/1.1\n{OURS}\n{UPGRADE}\nOrigin: http://127.0.0.1:{{port}}",
        401,
    ),
    "the way around the socket": (
        f"POST {SOCKET}=polling HTTP/1.1\n{OURS}\nOrigin: {EVIL}\n{SIGNED}\nContent-Length: 0",
        403,
    ),
    "the same from nobody knows whom": (
        f"POST {SOCKET}=polling HTTP/1.1\n{OURS}\n{SIGNED}\nContent-Length: 0",
        403,
    ),
    "a body that says it is large": (
        f"POST /api/accounts HTTP/1.1\n{OURS}\n{TOKEN}\nContent-Type: application/json\nContent-Length: 99999999",
        413,
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_refused(admin: Admin, cookie: str, attack: str) -> None:
    head, status = ATTACKS[attack]
    found, headers, body = raw(admin, head, cookie=cookie)
    assert found == status, body
    assert not [name for name in headers if name.startswith("access-control")]
    assert b"requests" not in body.lower() or status in (400, 401)
    if found != 400:  # That one is h11's own, before anything of ours.
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"


def test_the_same_cookie_serves_our_own_page(admin: Admin, cookie: str) -> None:
    own = f"{OURS}\nOrigin: http://127.0.0.1:{{port}}\nSec-Fetch-Site: same-origin\n{SIGNED}"
    assert raw(admin, f"GET /api/stats HTTP/1.1\n{own}", cookie=cookie)[0] == 200
    assert raw(admin, f"POST /api/session/code HTTP/1.1\n{own}\nContent-Length: 0", cookie=cookie)[0] == 201
    head = f"GET {SOCKET}=websocket HTTP/1.1\n{own}\n{UPGRADE}\nConnection: Upgrade"
    filled = head.format(port=admin.port, cookie=cookie).replace("\n", "\r\n")
    with socket.create_connection(("127.0.0.1", admin.port), timeout=PATIENCE) as connection:
        connection.sendall(f"{filled}\r\n\r\n".encode())
        assert parsed(connection)[0] == 101


def test_a_body_that_grows_beyond_the_bound_is_cut_off(admin: Admin) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    headers = {"content-type": "application/json"}
    answer = admin.post("/api/accounts", content=pieces(), headers=headers)
    assert answer.status_code == 413


def test_a_head_that_never_ends_is_cut_off(admin: Admin) -> None:
    lines = (b"X-Long: " + b"x" * 8000 + b"\r\n") * 8000
    with socket.create_connection(("127.0.0.1", admin.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError, match=r"."):
            connection.sendall(lines)
    assert admin.get("/health/live").status_code == 200


TRAVERSALS = (
    "/api/agents/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/api/agents/../../../../etc/passwd",
    "/api/agents/....//....//etc/passwd/preference",
    "/api/requests/payload/..%2f..%2fadmin.token",
    "/api/requests/%2e%2e%2fadmin.token",
    "/api/sessions/..%5c..%5cadmin.token",
    "/api/accounts/..%2f..%2fvault.key",
    "/plugins/..%2f..%2fadmin.token/health",
    "/plugins/%00/settings",
    "/_nicegui/{version}/static/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/_nicegui/{version}/resources/x/..%2f..%2f..%2fetc%2fpasswd",
    "/_nicegui/{version}/components/..%2f..%2fetc%2fpasswd",
    "/..%2f..%2f..%2fetc%2fpasswd",
)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_out_of_what_is_served(admin: Admin, path: str) -> None:
    version = re.search(r"/_nicegui/([\d.]+)/", admin.get("/", headers={"accept": "text/html"}).text)
    assert version is not None
    found, _, body = raw(admin, f"GET {path.format(version=version[1])} HTTP/1.1\n{OURS}\n{TOKEN}")
    assert found in (400, 404, 405, 422)
    assert b"root:" not in body
    assert admin.token.encode() not in body


def test_guesses_are_held_back_and_the_operator_is_not(admin: Admin, cookie: str) -> None:
    with admin.stranger() as guesser:
        answers = [guesser.get("/api/stats", headers={"authorization": f"Bearer {n}"}) for n in range(12)]
    assert answers[-1].status_code == 429
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert admin.get("/api/stats").status_code == 200
    assert raw(admin, f"GET /api/stats HTTP/1.1\n{OURS}\n{SIGNED}", cookie=cookie)[0] == 200


def test_a_link_signs_in_once(admin: Admin) -> None:
    url = admin.page_url("/accounts?x=1")
    with admin.stranger() as browser, admin.stranger() as thief:
        first = browser.get(url, headers={"accept": "text/html"})
        assert (first.status_code, first.headers["location"]) == (303, "/accounts?x=1")
        assert browser.get("/accounts", headers={"accept": "text/html"}).status_code == 200
        assert thief.get(url, headers={"accept": "text/html"}).status_code in (401, 429)
        assert browser.delete("/api/session", headers={"sec-fetch-site": "same-origin"}).status_code == 204
        assert browser.get("/api/stats").status_code == 401


def test_the_proxy_has_taken_no_harm_and_told_no_secret(proxy: Mitmproxy, admin: Admin, cookie: str) -> None:
    [own] = [addon for addon in proxy.health()["addons"] if addon["name"] == "admin_server"]
    assert (own["state"], own["error"]) == ("active", None)
    kept = json.dumps(history(admin))
    for secret in (admin.token, cookie):
        assert secret not in proxy.log
        assert secret not in kept


def history(admin: Admin) -> list[Any]:
    found: list[Any] = admin.get("/api/logs/history").json()
    return found
