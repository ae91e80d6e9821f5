import httpx
import pytest

from codemie_core.top.client import AdminClient, ApiTrouble, NotAllowed, NotAnswering, part
from support.top_admin import TopAdmin, start


async def test_questions_carry_the_token_and_answers_are_read() -> None:
    admin = TopAdmin()
    client = admin.connect(1, "planted-token")
    assert (await client.get("/api/analytics", range="24h"))["totals"]["requests"] == 3
    assert await client.post("/api/accounts/a/pause") == {"success": True, "message": "Did pause."}
    await client.close()


async def test_a_problem_is_told_in_its_own_words() -> None:
    admin = TopAdmin()
    admin.refuses["/api/accounts"] = (503, "The database is away.")
    client = admin.connect(1, "planted-token")
    with pytest.raises(ApiTrouble, match=r"^The database is away\.$"):
        await client.get("/api/accounts")


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'{"detail": null}'])
async def test_a_failure_without_words_names_its_status(body: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(500, content=body))
    with pytest.raises(ApiTrouble, match=r"^The proxy answered 500\.$"):
        await AdminClient(1, "t", transport).get("/x")


async def test_another_token_is_told_apart_and_never_shown() -> None:
    with pytest.raises(NotAllowed) as told:
        await TopAdmin().connect(1, "planted-other").get("/api/accounts")
    assert "planted" not in str(told.value)


async def test_nobody_there_is_told_apart() -> None:
    admin = TopAdmin()
    admin.gone = True
    client = admin.connect(1, "planted-token")
    with pytest.raises(NotAnswering):
        await client.get("/api/accounts")
    with pytest.raises(NotAnswering):
        await anext(client.events("/api/requests/stream"))


async def test_events_are_read_until_the_stream_ends() -> None:
    admin = TopAdmin()
    admin.live.say(**start("r"))
    admin.live.end()
    heard = [event async for event in admin.connect(1, "planted-token").events("/api/requests/stream")]
    assert heard == [("connected", "ok"), ("message", start("r"))]


async def test_a_stream_that_is_refused_says_why() -> None:
    admin = TopAdmin()
    admin.refuses["/api/requests/stream"] = (503, "64 listen already.")
    with pytest.raises(ApiTrouble, match="64 listen already"):
        await anext(admin.connect(1, "planted-token").events("/api/requests/stream"))


def test_a_name_is_one_part_of_a_path() -> None:
    assert part("../a b/c?d") == "..%2Fa%20b%2Fc%3Fd"
