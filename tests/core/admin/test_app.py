"""The application as a whole, without its pages: what it tells, and that nothing of it is open."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Query
from pydantic import SecretStr

from codemie_core.admin.app import build_app
from codemie_core.admin.authority import Authority
from codemie_core.admin.guard import By
from codemie_core.admin.live import Hub
from codemie_core.admin.log_ring import LogRing
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import Conflict, Unavailable
from codemie_core.core_addon import CoreAddon
from codemie_core.exchange import BOOK
from codemie_core.places import Places

TOKEN = "planted-token-" + "x" * 43
OPEN = ("/health/live",)
PAGE = Path(__file__).parents[3] / "docs" / "admin.md"


class Built:
    """An application with a few routes of the test's own."""

    def __init__(self, home: Path) -> None:
        self.mishaps: list[str] = []
        plane = Plane(CoreAddon(), Places(home), {}, Hub(BOOK.still_open), LogRing())
        self.plane = plane
        authority = Authority(SecretStr(TOKEN))
        found = build_app(plane, authority, self._trouble, pages=False)
        self.api, self.guarded = found.api, found.guarded
        self._add(self.api)

    def _trouble(self, place: str, problem: Exception) -> None:
        self.mishaps.append(f"{place}: {problem}")

    @staticmethod
    def _add(api: FastAPI) -> None:
        @api.get("/test/conflict")
        async def conflict() -> None:
            raise Conflict("it is pinned", pinnedBy="CODEMIE_X")

        @api.get("/test/later")
        async def later() -> None:
            raise Unavailable("not now", retryAfter=7)

        @api.get("/test/raises/{number}")
        async def raises(number: int) -> None:
            raise RuntimeError(f"nobody expected {number}")

        @api.get("/test/asks")
        async def asks(key: Annotated[str, Query(max_length=3)]) -> str:
            return key

        @api.post("/test/who")
        async def who(by: By) -> str:
            return by

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.guarded)
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            return await client.request(method, path, **more)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize(
    "method, path, status, words",
    [
        ("GET", "/api/nothing", 404, "/openapi.json lists"),
        ("GET", "/api", 404, "/openapi.json lists"),
        ("GET", "/plugins/a/b/c", 404, "/openapi.json lists"),
        ("GET", "/api/session/code", 405, "Here it is POST"),
        ("DELETE", "/metrics", 405, "Here it is GET"),
        ("PUT", "/api/session", 405, "Here it is DELETE"),
        ("GET", "/nothing", 404, "Not Found"),
        ("GET", "/test/conflict", 409, "it is pinned"),
        ("GET", "/test/later", 503, "not now"),
        ("GET", "/test/asks", 422, "query.key: Field required"),
        ("GET", "/test/raises/1", 500, "log says more"),
        ("GET", "/docs", 404, "Not Found"),
        ("GET", "/redoc", 404, "Not Found"),
    ],
)
async def test_what_goes_wrong_is_told_as_a_problem(
    built: Built, method: str, path: str, status: int, words: str
) -> None:
    answer = await built.ask(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    told = answer.json()
    assert told["status"] == status
    assert words in told["detail"]
    assert told["title"]


async def test_a_problem_carries_what_helps_a_program(built: Built) -> None:
    assert (await built.ask("GET", "/test/conflict")).json()["pinnedBy"] == "CODEMIE_X"
    assert (await built.ask("GET", "/test/later")).headers["retry-after"] == "7"
    assert (await built.ask("DELETE", "/api/session/code")).headers["allow"] == "POST"


async def test_what_was_sent_is_not_repeated_when_it_is_refused(built: Built) -> None:
    answer = await built.ask("GET", "/test/asks", params={"key": "planted-secret-1234"})
    assert answer.status_code == 422
    assert "planted" not in answer.text


async def test_a_route_that_raises_is_noted_by_its_own_path_and_its_words_stay_here(built: Built) -> None:
    built.mishaps.clear()
    answers = [await built.ask("GET", f"/test/raises/{number}") for number in (1, 2)]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert "nobody expected" not in answers[0].text
    assert built.mishaps == [f"GET /test/raises/{{number}}: nobody expected {number}" for number in (1, 2)]


async def test_routes_learn_who_asks(built: Built) -> None:
    assert (await built.ask("POST", "/test/who")).json() == "admin api"


async def test_the_document_describes_every_answer_and_asks_for_the_token(built: Built) -> None:
    document = (await built.ask("GET", "/openapi.json")).json()
    assert document["security"] == [{"token": []}]
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert operations
    for operation in operations:
        assert operation["summary"]
        assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
        success = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        assert success
    assert "HTTPValidationError" not in json.dumps(document)
    assert TOKEN not in json.dumps(document)


async def test_no_route_tells_anything_without_the_token(built: Built) -> None:
    document = built.api.openapi()
    transport = httpx.ASGITransport(built.guarded)
    told = {}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as stranger:
        for path, operations in document["paths"].items():
            for method in operations:
                answer = await stranger.request(method.upper(), path.replace("{", "").replace("}", ""))
                told[f"{method} {path}"] = answer.status_code
    assert {status for place, status in told.items() if not place.endswith(OPEN)} == {401}


async def test_the_sign_of_life_tells_no_more_than_that(built: Built) -> None:
    transport = httpx.ASGITransport(built.guarded)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as stranger:
        assert (await stranger.get("/health/live")).json() == {"status": "ok"}


async def test_the_page_about_the_api_names_every_path(built: Built) -> None:
    paths = {path: found for path, found in built.api.openapi()["paths"].items() if not path.startswith("/test/")}
    there = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    named = set(re.findall(r"`((?:GET|POST|PATCH|PUT|DELETE) /[^`]*)`", PAGE.read_text("utf-8")))
    assert (there - named, named - there) == (set(), set())
