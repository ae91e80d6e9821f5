import dataclasses
import json
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, Query, Request, Response

from codemie_core.admin.asked import Asked
from codemie_core.admin.routes.questions import Cursor, Limit, Selection, link_next

api = FastAPI()


@api.get("/asked")
async def echo(asked: Selection) -> Any:
    return asked


@api.get("/list")
async def listed(
    request: Request, response: Response, more: Annotated[str, Query()], limit: Limit = 50, cursor: Cursor = ""
) -> list[int]:
    link_next(request, response, more or None)
    return []


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://localhost")


async def test_a_question_is_read_from_the_query() -> None:
    query = (
        "range=7d&accounts=main,no_account&models=a&agents=b&sessions=c&projects=d&branches=e&apiKeys=f&status=error"
    )
    async with client() as ask:
        told = (await ask.get(f"/asked?{query}&since=1&until=2")).json()
        nothing = (await ask.get("/asked")).json()
    wanted = Asked(
        "7d", 1, 2, ("main", "no_account"), ("a",), ("b",), ("c",), (), ("d",), ("e",), ("f",), status="error"
    )
    assert told == json.loads(json.dumps(dataclasses.asdict(wanted)))
    assert nothing["range"] == ""
    assert nothing["status"] == "all"


async def test_what_is_no_question_is_refused() -> None:
    async with client() as ask:
        for query in ("range=2h", "status=maybe", "since=-1", "since=x", f"models={'x' * 5000}"):
            assert (await ask.get(f"/asked?{query}")).status_code == 422, query
        for query in ("more=&limit=0", "more=&limit=1001", f"more=&cursor={'x' * 1001}"):
            assert (await ask.get(f"/list?{query}")).status_code == 422, query


async def test_the_next_page_is_in_the_link_header_with_the_same_question() -> None:
    async with client() as ask:
        told = await ask.get("/list?more=abc_-&limit=5&cursor=old")
        last = await ask.get("/list?more=")
    assert told.links["next"]["url"] == "/list?more=abc_-&limit=5&cursor=abc_-"
    assert "link" not in last.headers
