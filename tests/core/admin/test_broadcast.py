"""One speaker, many listeners: nobody waits for the slowest."""

import asyncio

import pytest

from codemie_core.admin.broadcast import CLOSED, MOST_LISTENERS, MOST_WAITING, SLOW, Broadcast, TooMany

pytestmark = pytest.mark.anyio


@pytest.fixture
def speaker() -> Broadcast[int]:
    return Broadcast()


async def test_every_listener_hears_everything_in_order(speaker: Broadcast[int]) -> None:
    with speaker.subscribe() as one, speaker.subscribe() as other:
        for number in range(3):
            speaker.publish(number)
        assert [await anext(one) for _ in range(3)] == [0, 1, 2]
        assert await other.take(0) == [0, 1, 2]


async def test_a_listener_waits_for_what_comes(speaker: Broadcast[int]) -> None:
    with speaker.subscribe() as listener:
        asyncio.get_running_loop().call_soon(speaker.publish, 7)
        async for heard in listener:
            assert heard == 7
            break
        asyncio.get_running_loop().call_soon(speaker.publish, 8)
        assert await listener.take(60) == [8]
        assert await listener.take(0) == []


async def test_what_is_told_first_comes_first(speaker: Broadcast[int]) -> None:
    with speaker.subscribe((1, 2)) as listener:
        speaker.publish(3)
        assert await listener.take(0) == [1, 2, 3]


async def test_nobody_is_wanted_until_somebody_listens(speaker: Broadcast[int]) -> None:
    assert (speaker.wanted, speaker.subscribers) == (False, 0)
    speaker.publish(1)
    with speaker.subscribe() as listener:
        assert (speaker.wanted, speaker.subscribers) == (True, 1)
        assert await listener.take(0) == []
    assert (speaker.wanted, speaker.subscribers) == (False, 0)


async def test_who_lags_behind_is_let_go_and_told_why(speaker: Broadcast[int]) -> None:
    with speaker.subscribe() as slow, speaker.subscribe() as quick:
        for number in range(MOST_WAITING + 1):
            speaker.publish(number)
            assert await anext(quick) == number
        assert (slow.ended, quick.ended) == (SLOW, "")
        assert speaker.subscribers == 1
        assert await slow.take(0) is None
        assert [item async for item in slow] == []


async def test_one_more_than_the_cap_is_turned_away_until_one_leaves(speaker: Broadcast[int]) -> None:
    listeners = [speaker.subscribe() for _ in range(MOST_LISTENERS)]
    with pytest.raises(TooMany) as refused:
        speaker.subscribe()
    assert (refused.value.status, refused.value.more) == (503, {"retryAfter": 10})
    assert "64" in refused.value.detail
    listeners[0].close()
    listeners[0].close()
    speaker.subscribe()
    assert speaker.subscribers == MOST_LISTENERS


async def test_the_end_of_the_speaker_is_the_end_for_all(speaker: Broadcast[int]) -> None:
    listener = speaker.subscribe()
    speaker.publish(1)
    asyncio.get_running_loop().call_later(0.01, speaker.close)
    assert (await listener.take(60), await listener.take(60)) == ([1], None)
    assert listener.ended == CLOSED
    with pytest.raises(TooMany, match="stopping"):
        speaker.subscribe()
