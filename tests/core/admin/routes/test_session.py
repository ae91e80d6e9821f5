from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from codemie_core.admin.authority import Authority
from codemie_core.admin.routes.session import router


@pytest.fixture
def authority() -> Authority:
    return Authority(SecretStr("t" * 43))


@pytest.fixture
async def client(authority: Authority) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(router(authority))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as found:
        yield found


@pytest.mark.parametrize("body", [{}, {"json": {}}], ids=["no body", "an empty object"])
async def test_a_code_is_made_that_opens_a_session(
    client: httpx.AsyncClient, authority: Authority, body: dict[str, object]
) -> None:
    answer = await client.post("/api/session/code", **body)  # type: ignore[arg-type]  # a table of keyword arguments
    assert (answer.status_code, answer.json()["expiresIn"]) == (201, 60)
    assert authority.sessions.redeem(answer.json()["code"])


async def test_signing_out_ends_the_session_and_takes_the_cookie(
    client: httpx.AsyncClient, authority: Authority
) -> None:
    session = authority.sessions.redeem(authority.sessions.make_code())
    answer = await client.delete("/api/session", headers={"cookie": f"codemie_admin={session}"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert not authority.sessions.holds(session or "")


async def test_signing_out_without_a_session_is_no_mistake(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/api/session")).status_code == 204
