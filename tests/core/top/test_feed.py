import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from codemie_core.top.board import Board
from codemie_core.top.client import NotAllowed, NotAnswering
from codemie_core.top.feed import Feed, items
from support.histories import until
from support.top_admin import NOW, TopAdmin, start, summary

LIVE = "/api/requests/stream"


class Watched:
    """A feed that runs."""

    def __init__(self, admin: TopAdmin, token: str = "planted-token") -> None:
        self.board = Board()
        self.drawn = 0
        self.feed = Feed(self.board, admin.connect(1, token), self._changed)

    def _changed(self) -> None:
        self.drawn += 1


@asynccontextmanager
async def watching(admin: TopAdmin) -> AsyncIterator[Watched]:
    watched = Watched(admin)
    task = asyncio.get_running_loop().create_task(watched.feed.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_it_fills_the_board_and_follows_what_is_told_live() -> None:
    admin = TopAdmin()
    admin.answers["/api/requests"] = {"items": [{"id": "old", "timestamp": (NOW - 60) * 1000}]}
    admin.answers["/api/sessions"] = {"items": [{"id": "s-1"}]}
    async with watching(admin) as watched:
        await until(lambda: watched.feed.live and len(watched.board.turns) == 1)
        admin.live.say(**start("new"))
        await until(lambda: watched.board.open == 1)
        admin.live.say(**summary("new"))
        await until(lambda: watched.board.open == 0)
        board = watched.board
        await until(lambda: bool(board.sessions) and board.totals.requests == 3)
        assert [account.name for account in board.accounts] == ["work", "spare"]
        assert {turn.request.id for turn in board.turns} == {"old", "new"}
        assert watched.drawn


async def test_what_ends_while_the_history_is_read_is_not_lost() -> None:
    admin = TopAdmin()
    admin.live.say(**start("r"))
    admin.live.say(**summary("r"))
    async with watching(admin) as watched:
        await until(lambda: [turn.open for turn in watched.board.turns] == [False])


async def test_one_question_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = TopAdmin()
    admin.refuses["/api/sessions"] = (503, "The database is away.")
    async with watching(admin) as watched:
        await until(lambda: "sessions" in watched.feed.trouble)
        assert watched.feed.trouble == "No sessions: The database is away."
        await until(lambda: watched.feed.live and len(watched.board.accounts) == 2)


async def test_without_a_place_at_the_live_view_the_history_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codemie_core.top.feed.AGAIN", 0.01)
    admin = TopAdmin()
    admin.refuses[LIVE] = (503, "64 listen already.")
    async with watching(admin) as watched:
        await until(lambda: "64 listen" in watched.feed.trouble)
        admin.answers["/api/requests"] = [{"id": "r"}]
        await until(lambda: len(watched.board.turns) == 1)
        assert not watched.feed.live
        del admin.refuses[LIVE]
        await until(lambda: watched.feed.live and not watched.feed.trouble)


async def test_it_ends_when_the_proxy_does() -> None:
    admin = TopAdmin()
    watched = Watched(admin)
    task = asyncio.get_running_loop().create_task(watched.feed.run())
    await until(lambda: watched.feed.live)
    admin.live.end()
    with pytest.raises(NotAnswering):
        await asyncio.wait_for(task, 60)
    assert not watched.feed.live


async def test_it_ends_when_the_token_is_another() -> None:
    watched = Watched(TopAdmin(), "planted-other")
    with pytest.raises(NotAllowed):
        await asyncio.wait_for(watched.feed.run(), 60)


@pytest.mark.parametrize(
    "found, members",
    [([1], [1]), ({"items": [1], "nextCursor": None}, [1]), ({"items": []}, []), ({}, []), (None, []), ("x", [])],
)
def test_a_list_comes_as_it_is_or_as_a_page(found: object, members: list[int]) -> None:
    assert items(found) == members
