import pytest

from account_rotation import AccountRotation
from codemie_core.admin.asked import Asked
from codemie_core.admin.problems import NotFound
from codemie_core.admin.sessions import account_of, session, sessions, turns
from support.history_cli import OTHER, SESSION, keep, some_turns
from support.planes import now, plane_of
from support.turn_rows import NOW, new_turn


async def test_the_session_used_last_comes_first_with_what_it_cost() -> None:
    keep(some_turns())
    async with plane_of(clock=now) as room:
        told = (await sessions(room.plane)).items
    assert [one.id for one in told][:2] == [OTHER, SESSION]
    assert [one.requests for one in told] == [1, 3, 1]
    second = told[1]
    assert second.cost_usd == pytest.approx(1.515411)
    assert (second.account, second.several) == ("main", ["account", "branch"])
    assert second.success_rate == pytest.approx(200 / 3)
    assert second.avg_response_time == 2500
    assert second.duration_ms == 4000 + 2500


async def test_pages_hold_every_session_once() -> None:
    keep([new_turn(n, session_id=f"s{n % 11:02}", started_ms=NOW - n % 11 // 2) for n in range(33)])
    async with plane_of() as room:
        page = await sessions(room.plane, limit=3)
        seen = [one.id for one in page.items]
        while page.next_cursor:
            page = await sessions(room.plane, limit=3, cursor=page.next_cursor)
            seen += [one.id for one in page.items]
        mine = await sessions(room.plane, Asked(sessions=("s03",)))
    assert seen == [f"s{n:02}" for n in range(11)]
    assert [one.requests for one in mine.items] == [3]


async def test_all_of_a_session_by_the_start_of_its_id() -> None:
    keep(some_turns())
    async with plane_of(clock=now) as room:
        told = await session(room.plane, SESSION[:8])
        for nothing in ("", "nothing", "a\0b"):
            with pytest.raises(NotFound, match="There is no session"):
                await session(room.plane, nothing)
        with pytest.raises(NotFound, match="Several sessions"):
            await session(room.plane, "5e5510")
    assert (told.id, told.requests, told.branches) == (SESSION, 3, ["EPM-1", "main"])
    assert [(one.name, one.requests) for one in told.accounts] == [("main", 2), ("spare", 1)]


async def test_its_turns_come_oldest_first() -> None:
    keep(some_turns())
    async with plane_of(clock=now) as room:
        first = await turns(room.plane, SESSION[:8], limit=2)
        assert first.next_cursor is not None
        rest = await turns(room.plane, SESSION, limit=2, cursor=first.next_cursor)
        with pytest.raises(NotFound):
            await turns(room.plane, "nothing")
    times = [turn.timestamp for turn in (*first.items, *rest.items)]
    assert times == sorted(times)
    assert (len(times), rest.next_cursor) == (3, None)


async def test_which_account_serves_a_session_now() -> None:
    keep([new_turn(1, session_id="s1", account="main"), new_turn(2, session_id="s2", account="")])
    async with plane_of(AccountRotation()) as room:
        stored = await account_of(room.plane, "s1")
        nobody = await account_of(room.plane, "s2")
        room.ended(fixed_session_id="s1", account="spare", account_why="moved: main is paused")
        told = await account_of(room.plane, "s1")
        room.exchange(fixed_session_id="s1", account="third")
        assert (await account_of(room.plane, "s1")).account == "third"
    assert (stored.account, stored.why, nobody.account) == ("main", None, None)
    assert (told.account, told.why) == ("spare", "moved: main is paused")
