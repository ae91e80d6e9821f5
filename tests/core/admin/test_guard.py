"""The guard before an application that notes whom it serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

from codemie_core.admin.attempts import MOST
from codemie_core.admin.authority import Authority
from codemie_core.admin.body import MOST as MOST_BYTES
from codemie_core.admin.guard import Guard

TOKEN = "planted-token-" + "x" * 43
HOST = "127.0.0.1:8377"
BASE = f"http://{HOST}"
BEARER = {"authorization": f"Bearer {TOKEN}"}
PAGE = {"accept": "text/html"}


class House:
    """A guarded application, and what became of it."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.mishaps: list[str] = []
        self.authority = Authority(SecretStr(TOKEN), ("proxy.example",))
        everything = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        app = Starlette(
            routes=[
                Route("/api/fails/{id}", self._fail),
                Route("/{rest:path}", self._serve, methods=everything),
            ]
        )
        self.guard = Guard(app, self.authority, lambda why: f"<p>sign in {why}", self._trouble)

    async def _serve(self, request: Request) -> Response:
        self.served.append(request.url.path)
        body = await request.body()
        return JSONResponse({"who": getattr(request.state, "who", None), "body": body.decode()})

    async def _fail(self, request: Request) -> Response:
        raise RuntimeError("nobody expected this")

    def _trouble(self, place: str, problem: Exception) -> None:
        self.mishaps.append(f"{place}: {problem}")

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.guard)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.request(method, path, headers=dict(headers or {}), **more)

    def cookie(self) -> dict[str, str]:
        session = self.authority.sessions.redeem(self.authority.sessions.make_code())
        return {"cookie": f"codemie_admin={session}"}


@pytest.fixture
def house() -> House:
    return House()


OWN = {"origin": BASE, "sec-fetch-site": "same-origin"}
JSON = {"content-type": "application/json"}
ELSEWHERE = "https://evil.example"

# What comes with the token; what it gets.
REFUSED_WITH_THE_TOKEN: list[tuple[str, str, str, dict[str, str], int]] = [
    ("rebound name", "GET", "/api/stats", {"host": "evil.example"}, 421),
    ("rebound name with our port", "GET", "/api/stats", {"host": "evil.example:8377"}, 421),
    ("our address in front of another name", "GET", "/api/stats", {"host": "127.0.0.1.evil.example"}, 421),
    ("another name in front of ours", "GET", "/api/stats", {"host": "evil.example@127.0.0.1"}, 421),
    ("every address", "GET", "/api/stats", {"host": "10.0.0.1:8377"}, 421),
    ("rebound name at the open path", "GET", "/health/live", {"host": "evil.example"}, 421),
    ("no name", "GET", "/api/stats", {"host": ""}, 421),
    ("foreign origin", "POST", "/api/x", {"origin": ELSEWHERE}, 403),
    ("foreign origin that reads", "GET", "/api/x", {"origin": ELSEWHERE}, 403),
    ("origin on another port", "POST", "/api/x", {"origin": "http://127.0.0.1:3000"}, 403),
    ("origin that nobody has", "POST", "/api/x", {"origin": "null"}, 403),
    ("origin that begins like ours", "POST", "/api/x", {"origin": f"{BASE}.evil.example"}, 403),
    ("empty origin", "POST", "/api/x", {"origin": ""}, 403),
    ("preflight of another site", "OPTIONS", "/api/x", {"origin": ELSEWHERE}, 403),
    ("cross-site fetch", "GET", "/api/x", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
    ("fetch from another port", "GET", "/api/x", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
    ("form post", "POST", "/api/x", {"content-type": "application/x-www-form-urlencoded"}, 415),
    ("form post with files", "POST", "/api/x", {"content-type": "multipart/form-data; boundary=b"}, 415),
    ("form post dressed as text", "POST", "/api/x", {"content-type": "text/plain"}, 415),
    ("body of no kind", "DELETE", "/api/x", {}, 415),
    ("form post to the pages' own path", "POST", "/", {"content-type": "text/plain"}, 415),
]


@pytest.mark.parametrize(
    "method, path, headers, status",
    [row[1:] for row in REFUSED_WITH_THE_TOKEN],
    ids=[r[0] for r in REFUSED_WITH_THE_TOKEN],
)
async def test_what_is_refused_even_with_the_token(
    house: House, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    body = None if method in ("GET", "OPTIONS") else b"{}"
    answer = await house.ask(method, path, {**BEARER, **headers}, content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert house.served == []


async def test_two_hosts_are_none(house: House) -> None:
    transport = httpx.ASGITransport(house.guard)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        headers = [("host", HOST), ("host", "evil.example"), *BEARER.items()]
        answer = await client.get("/api/stats", headers=headers)
    assert (answer.status_code, house.served) == (421, [])


@pytest.mark.parametrize(
    "host", [HOST, "localhost:8377", "LOCALHOST", "codemie.localhost", "[::1]:8377", "proxy.example:8377"]
)
async def test_names_of_this_machine_and_those_the_operator_gave_are_served(house: House, host: str) -> None:
    assert (await house.ask("GET", "/api/x", {**BEARER, "host": host})).json()["who"] == "admin api"


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"cookie": "codemie_admin=forged"},
        {"cookie": f"codemie_admin={TOKEN}"},
        {"x-api-key": TOKEN},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/api/stats"),
        ("GET", "/health"),
        ("GET", "/health/live/x"),
        ("GET", "/api/health/live"),
        ("GET", f"{BASE}//health/live"),
        ("GET", "/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/_nicegui/1/static/x.js"),
        ("GET", "/_nicegui_ws/socket.io/"),
        ("POST", "/_nicegui_ws/socket.io/"),
        ("POST", "/health/live"),
        ("POST", "/api/oauth/callback"),
        ("GET", f"/api/stats?token={TOKEN}"),
        ("OPTIONS", "/api/stats"),
    ],
)
async def test_without_a_credential_nothing_is_told(
    house: House, method: str, path: str, credential: dict[str, str]
) -> None:
    answer = await house.ask(method, path, credential)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "codemie-proxy open" in answer.json()["detail"]
    assert house.served == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_only_the_sign_of_life_is_open(house: House, method: str) -> None:
    assert (await house.ask(method, "/health/live")).status_code == 200
    assert house.served == ["/health/live"]


async def test_a_program_and_a_page_are_told_apart(house: House) -> None:
    assert (await house.ask("POST", "/api/x", BEARER)).json()["who"] == "admin api"
    assert (await house.ask("POST", "/api/x", {**house.cookie(), **OWN})).json()["who"] == "dashboard"


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 403),
        ({"origin": BASE}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": ELSEWHERE, "sec-fetch-site": "same-origin"}, 403),
        ({"origin": BASE, "sec-fetch-site": "cross-site"}, 403),
    ],
    ids=str,
)
async def test_a_cookie_changes_something_only_when_the_browser_says_that_our_page_asks(
    house: House, headers: dict[str, str], status: int
) -> None:
    assert (await house.ask("POST", "/api/x", {**house.cookie(), **headers})).status_code == status


async def test_a_cookie_alone_may_read(house: House) -> None:
    assert (await house.ask("GET", "/api/x", house.cookie())).status_code == 200


@pytest.mark.parametrize("path", ["/", "/accounts", "/requests/1"])
async def test_a_person_without_a_session_is_told_how_to_get_one(house: House, path: str) -> None:
    answer = await house.ask("GET", path, PAGE)
    assert (answer.status_code, answer.text) == (401, "<p>sign in ")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert house.served == []


async def test_a_code_becomes_a_cookie_and_leaves_the_address(house: House) -> None:
    code = house.authority.sessions.make_code()
    answer = await house.ask("GET", f"/accounts?tab=a%26b&code={code}", PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/accounts?tab=a%26b")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=Strict" in answer.headers["set-cookie"]
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert (await house.ask("GET", "/accounts", {**PAGE, "cookie": cookie})).status_code == 200
    again = await house.ask("GET", f"/?code={code}", PAGE)
    assert (again.status_code, "used" in again.text) == (401, True)


async def test_an_old_link_in_a_browser_that_is_signed_in_leads_to_the_page(house: House) -> None:
    answer = await house.ask("GET", "/?code=old", {**PAGE, **house.cookie()})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example", "/a//b", "/%0d%0aset-cookie:x", "/a:b"])
async def test_a_code_leads_nowhere_else(house: House, path: str) -> None:
    code = house.authority.sessions.make_code()
    answer = await house.ask("GET", f"{BASE}{path}?code={code}", PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.headers.get_list("set-cookie")[1:] == []


async def test_a_link_on_another_site_may_open_a_page_by_a_step_of_our_own(house: House) -> None:
    link = {**PAGE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    code = house.authority.sessions.make_code()
    answer = await house.ask("GET", f'/?a="><script>&code={code}', link)
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0; url=/?a=%22%3E%3Cscript%3E"' in answer.text
    assert "set-cookie" in answer.headers


@pytest.mark.parametrize("dest", ["iframe", "image", "script", "empty", ""])
async def test_another_site_may_not_take_a_page_into_its_own(house: House, dest: str) -> None:
    frame = {**PAGE, **house.cookie(), "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}
    assert (await house.ask("GET", "/", {**frame, "sec-fetch-dest": dest})).status_code == 403
    assert house.served == []


async def test_a_code_is_for_pages_opened_by_a_person(house: House) -> None:
    code = house.authority.sessions.make_code()
    assert (await house.ask("GET", f"/api/stats?code={code}")).status_code == 401
    assert (await house.ask("POST", f"/?code={code}", PAGE)).status_code == 401
    assert (await house.ask("GET", f"/?code={code}", PAGE)).status_code == 303


async def test_wrong_tokens_and_codes_are_held_back_and_the_right_one_opens_all_the_same(house: House) -> None:
    wrong = [await house.ask("GET", "/api/x", {"authorization": f"Bearer {number}"}) for number in range(MOST - 1)]
    assert {answer.status_code for answer in wrong} == {401}
    assert (await house.ask("GET", "/?code=wrong", PAGE)).status_code == 401
    for asked in ({"authorization": "Bearer wrong"}, {**PAGE, "authorization": "Bearer wrong"}):
        held = await house.ask("GET", "/api/x", asked)
        assert (held.status_code, int(held.headers["retry-after"]) in range(1, 61)) == (429, True)
    assert (await house.ask("GET", "/?code=wrong", PAGE)).status_code == 429
    assert (await house.ask("GET", "/api/x", BEARER)).status_code == 200
    assert (await house.ask("GET", "/api/x")).status_code == 401


async def test_another_site_cannot_use_up_the_attempts(house: House) -> None:
    for _ in range(MOST + 1):
        await house.ask("GET", "/api/x", {"authorization": "Bearer wrong", "sec-fetch-site": "cross-site"})
    assert (await house.ask("GET", "/api/x", {"authorization": "Bearer wrong"})).status_code == 401


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_gets_through_whole(house: House, kind: str) -> None:
    body = b'{"a":"' + b"x" * 100_000 + b'"}'
    answer = await house.ask("POST", "/api/x", {**BEARER, "content-type": kind}, content=body)
    assert answer.json()["body"] == body.decode()


async def test_the_pages_own_connection_may_post_text(house: House) -> None:
    headers = {**house.cookie(), **OWN, "content-type": "text/plain;charset=UTF-8"}
    answer = await house.ask("POST", "/_nicegui_ws/socket.io/", headers, content=b'42["x"]')
    assert answer.json()["body"] == '42["x"]'


@pytest.mark.parametrize("said", [True, False], ids=["said", "unsaid"])
async def test_large_bodies_are_refused_before_anybody_reads_them(house: House, said: bool) -> None:
    body = b"x" * (MOST_BYTES + 1)

    async def pieces() -> Any:
        yield body[:10]
        yield body[10:]

    answer = await house.ask("POST", "/api/x", {**BEARER, **JSON}, content=body if said else pieces())
    assert (answer.status_code, house.served) == (413, [])


async def test_a_route_that_raises_is_a_mishap_told_by_its_place_alone(house: House) -> None:
    answer = await house.ask("GET", "/api/fails/7", BEARER)
    assert answer.status_code == 500
    [mishap] = house.mishaps
    assert mishap.endswith(": nobody expected this")
    assert "/7" not in mishap


async def test_an_application_that_raises_is_answered_for_without_its_words(house: House) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("nobody expected this")

    house.guard = Guard(app, house.authority, str, house._trouble)
    answer = await house.ask("GET", "/api/x", BEARER)
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
    assert "nobody expected" not in answer.text
    assert house.mishaps == ["GET a page: nobody expected this"]


SOCKET: dict[str, dict[str, str]] = {
    "no credential": {"origin": BASE},
    "foreign origin": {"origin": ELSEWHERE},
    "no origin": {},
    "rebound name": {"origin": "http://evil.example", "host": "evil.example"},
}


@pytest.mark.parametrize("case", SOCKET)
async def test_sockets_are_guarded_like_everything_else(house: House, case: str) -> None:
    headers = {"host": HOST, **SOCKET[case], **({} if case == "no credential" else house.cookie())}
    told = await _open_socket(house, headers)
    assert told[0]["type"] == "websocket.http.response.start"
    assert told[0]["status"] in (401, 403, 421)
    assert house.served == []


async def test_a_socket_of_our_page_opens(house: House) -> None:
    reached: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["state"]["who"])

    house.guard = Guard(app, house.authority, str, house._trouble)
    await _open_socket(house, {"host": HOST, "origin": BASE, **house.cookie()})
    assert reached == ["dashboard"]


async def _open_socket(house: House, headers: dict[str, str]) -> list[Message]:
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope = {
        "type": "websocket",
        "path": "/_nicegui_ws/socket.io/",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await house.guard(scope, receive, send)
    return told
