"""The paths of the live view: what they answer to whom."""

import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from codemie_core.admin.broadcast import MOST_LISTENERS
from codemie_core.admin.live import Hub
from codemie_core.admin.log_ring import LogRing
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import Unavailable
from codemie_core.admin.routes import live

pytestmark = pytest.mark.anyio

STREAMS = ("/api/requests/stream", "/api/logs/stream")


@pytest.fixture
def plane() -> Plane:
    return cast("Plane", SimpleNamespace(hub=Hub(lambda: []), logs=LogRing()))


@pytest.fixture
async def client(plane: Plane) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(live.router(plane))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin") as made:
        yield made


async def test_history_is_told_oldest_first_and_filtered(client: httpx.AsyncClient, plane: Plane) -> None:
    for number, level in enumerate((logging.INFO, logging.ERROR, logging.INFO)):
        plane.logs.add(number, level, "codemie_core.x", f"entry {number}")

    async def told(**asked: Any) -> list[str]:
        answer = await client.get("/api/logs/history", params=asked)
        assert answer.status_code == 200
        return [entry["msg"] for entry in answer.json()]

    assert await told() == ["entry 0", "entry 1", "entry 2"]
    assert await told(limit=2) == ["entry 1", "entry 2"]
    assert await told(level="WARN") == ["entry 1"]
    assert await told(search="ENTRY 2") == ["entry 2"]
    whole = (await client.get("/api/logs/history?limit=1")).json()
    assert whole == [{"ts": 2000, "level": "INFO", "msg": "entry 2", "logger": "codemie_core.x"}]


@pytest.mark.parametrize("query", ["level=LOUD", "limit=0", "limit=1001", f"search={'x' * 201}"])
async def test_a_question_that_makes_no_sense_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/api/logs/history?{query}")).status_code == 422


@pytest.mark.parametrize("path", STREAMS)
async def test_beyond_the_cap_nobody_gets_a_place(client: httpx.AsyncClient, plane: Plane, path: str) -> None:
    for _ in range(MOST_LISTENERS):
        plane.hub.subscribe()
        plane.logs.subscribe()
    with pytest.raises(Unavailable) as refused:
        await client.get(path)
    assert refused.value.more == {"retryAfter": 10}
    plane.hub.close()


async def test_the_document_tells_that_they_are_event_streams(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for path in STREAMS:
        told = paths[path]["get"]
        assert told["responses"]["200"]["content"].keys() == {"text/event-stream"}
        assert "503" in told["responses"]
        assert told["summary"]
