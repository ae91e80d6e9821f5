from pathlib import Path

import pytest

from account_rotation import AccountRotation
from codemie_core.addon import Addon
from codemie_core.admin.exchanges import exchange, exchanges, why
from codemie_core.admin.problems import BadQuestion, NotFound
from codemie_core.admin.recent_exchanges import remembered
from codemie_core.exchange import Exchange
from support.history_cli import keep
from support.planes import plane_of
from support.rotation_room import fill
from support.stored import StoredHome
from support.turn_rows import new_turn


class UsageMetering(Addon, priority=60, name="usage_metering"):
    def model_of(self, exchange: Exchange) -> str:
        return "opus"


async def test_open_ones_are_told_with_their_model_and_ended_ones_newest_first() -> None:
    async with plane_of(UsageMetering()) as room:
        others = {one.id for one in (await exchanges(room.plane, 2)).open}  # of other tests in this process
        ended = [room.ended(account=f"account-{n}", status=200) for n in range(5)]
        under_way = room.exchange(account="main", account_why="new conversation, priority 0")
        room.exchange(scoped=False)
        page = await exchanges(room.plane, 2)
        seen = [item.account for item in page.items]
        [told] = [one for one in page.open if one.id not in others]
        while page.next_cursor:
            page = await exchanges(room.plane, 2, page.next_cursor)
            seen += [item.account for item in page.items]
    assert seen == [f"account-{n}" for n in (4, 3, 2, 1, 0)]
    assert (told.id, told.open, told.terminal, told.model) == (under_way.request_id, True, None, "opus")
    assert told.account_why == "new conversation, priority 0"
    assert told.elapsed_ms is not None
    assert ended[0].terminal is not None


async def test_behind_what_was_forgotten_there_is_nothing() -> None:
    async with plane_of() as room:
        for _ in range(4):
            room.ended()
        page = await exchanges(room.plane, 1)
        for _ in range(500):
            room.ended()
        assert page.next_cursor is not None
        assert (await exchanges(room.plane, 1, page.next_cursor)).items == []
        with pytest.raises(BadQuestion):
            await exchanges(room.plane, 1, "nonsense")


async def test_one_is_found_while_it_is_open_and_when_it_has_ended_and_then_not_any_more() -> None:
    async with plane_of() as room:
        under_way, ended = room.exchange(), room.ended()
        assert (await exchange(room.plane, under_way.request_id)).open
        assert not (await exchange(room.plane, ended.request_id)).open
        with pytest.raises(NotFound, match="does not remember"):
            await exchange(room.plane, "x" * 500)


async def test_turns_of_one_websocket_share_their_exchange() -> None:
    async with plane_of() as room:
        ended = room.ended()
        found = remembered(room.plane, f"{ended.request_id}.12")
        assert found is not None
        assert found.request_id == ended.request_id
        assert remembered(room.plane, f"{ended.request_id}.x") is None


async def test_why_is_told_from_memory_else_from_the_history() -> None:
    keep([new_turn(1, id="stored-1"), new_turn(2, id="stored-2")])
    async with plane_of(AccountRotation()) as room:
        known = room.ended(account="main", account_why="kept: this conversation's account", request_id="stored-2")
        told = await why(room.plane, known.request_id)
        kept = await why(room.plane, "stored-1")
        with pytest.raises(NotFound, match="There is no request"):
            await why(room.plane, "nothing")
    assert (told.remembered, told.account_why) == (True, "kept: this conversation's account")
    assert "Account main: kept: this conversation's account." in told.lines
    assert (kept.remembered, kept.account, kept.account_why) == (False, "main", None)
    assert any("last 500 requests" in line for line in kept.lines)


async def test_accounts_are_told_as_the_pool_has_them(codemie_home: Path) -> None:
    fill(StoredHome(codemie_home))
    async with plane_of(AccountRotation()) as room:
        ended = room.ended()
        told = await why(room.plane, ended.request_id)
    assert [(one.name, one.state) for one in told.accounts_now] == [("main", "ready"), ("spare", "ready")]
