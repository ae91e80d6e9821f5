"""The hub: who listens hears what happens; while nobody does, nothing is made."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator

import pytest

from codemie_core.admin import live
from codemie_core.admin.live import Hub
from codemie_core.admin.live_events import LiveEvent
from codemie_core.exchange import Exchange, Terminal
from support.records import new_record
from support.turns import exchange_like

pytestmark = pytest.mark.anyio


class Proxy:
    """Exchanges under way, and a hub that looks at them as often as a test wants."""

    def __init__(self) -> None:
        self.open: list[Exchange] = []
        self.wanted: list[bool] = []
        self.hub = Hub(lambda: list(self.open), lambda exchange: f"model of {exchange.request_id}")
        self.hub.on_wanted = self.wanted.append

    def begin(self, name: str, **values: object) -> Exchange:
        exchange = exchange_like(request_id=name, terminal=None, status=None, **values)
        self.open.append(exchange)
        return exchange


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    monkeypatch.setattr(live, "TICK", 0.001)
    made = Proxy()
    yield made
    made.hub.close()


async def heard(events: live.Subscription[LiveEvent], count: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            found += [(event.type, event.request.id) for event in await events.take(60) or []]
    return found


async def test_a_request_is_told_from_its_start_to_its_count(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PACE", 0.0)
    with proxy.hub.subscribe() as events:
        exchange = proxy.begin("one")
        proxy.hub.started(exchange, "claude-x")
        assert await heard(events, 1) == [("start", "one")]
        exchange.first_byte_ms, exchange.response_bytes = 5.0, 10
        assert await heard(events, 1) == [("first_token", "one")]
        exchange.response_bytes = 20
        assert await heard(events, 1) == [("progress", "one")]
        exchange.end(Terminal.COMPLETE)
        proxy.open.clear()
        proxy.hub.finished(exchange)
        proxy.hub.counted(new_record(id="one"))
        assert await heard(events, 2) == [("summary", "one")] * 2


async def test_the_model_asked_for_stays_known_until_the_end(proxy: Proxy) -> None:
    with proxy.hub.subscribe() as events:
        exchange = proxy.begin("one", first_byte_ms=1.0)
        proxy.hub.started(exchange, "claude-x")
        proxy.hub.finished(exchange)
        assert [event.request.model for event in await events.take(0) or []] == ["claude-x"] * 2


async def test_a_new_listener_hears_of_what_is_under_way_and_only_that(proxy: Proxy) -> None:
    proxy.begin("early")
    proxy.begin("not ours", scoped=False)
    with proxy.hub.subscribe() as events:
        (told,) = await events.take(0) or []
        assert (told.type, told.request.id, told.request.model) == ("start", "early", "model of early")
        with proxy.hub.subscribe() as late:
            assert await heard(late, 1) == [("start", "early")]
            assert await events.take(0) == []


async def test_a_crowd_under_way_does_not_fill_the_queue_of_a_new_listener(proxy: Proxy) -> None:
    for number in range(live.MOST_WAITING * 2):
        proxy.begin(str(number))
    with proxy.hub.subscribe() as events:
        assert len(await events.take(0) or []) == live.MOST_TOLD_FIRST
        assert not events.ended


async def test_everyone_in_a_crowd_of_streams_gets_a_turn(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK", 0.1)
    crowd = [proxy.begin(str(number), first_byte_ms=1.0) for number in range(4 * live.MOST_AT_ONCE * 10)]
    missing, now = {exchange.request_id for exchange in crowd}, 0.0
    while missing:
        now += live.TICK
        assert now < 30
        for exchange in crowd:
            exchange.response_bytes += 1
        news = itertools.islice(proxy.hub._news(now), live.MOST_AT_ONCE)
        missing -= {event.request.id for event in news if event.type == "progress"}


async def test_a_stream_that_stands_still_is_not_told_again(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PACE", 0.0)
    proxy.begin("still", first_byte_ms=1.0)
    with proxy.hub.subscribe() as events:
        assert await heard(events, 2) == [("start", "still"), ("first_token", "still")]
        moving = proxy.begin("moving", first_byte_ms=1.0)
        for size in range(1, 20):
            moving.response_bytes = size
            assert (await heard(events, 1))[0][1] == "moving"


async def test_nothing_is_looked_at_or_kept_while_nobody_listens(proxy: Proxy) -> None:
    looked = 0

    def looking() -> list[Exchange]:
        nonlocal looked
        looked += 1
        return []

    hub = Hub(looking)
    hub.started(exchange_like(), "claude-x")
    hub.finished(exchange_like())
    hub.counted(new_record())
    events = hub.subscribe()
    assert await events.take(0) == []
    events.close()
    seen = looked
    await asyncio.sleep(10 * live.TICK)
    assert looked == seen
    assert not hub._models
    assert not hub._told


async def test_the_first_listener_and_the_end_of_the_last_are_told(proxy: Proxy) -> None:
    one = proxy.hub.subscribe()
    other = proxy.hub.subscribe()
    assert proxy.wanted == [True]
    one.close()
    assert proxy.wanted == [True]
    other.close()
    assert proxy.wanted == [True, False]
    again = proxy.hub.subscribe()
    proxy.hub.close()
    assert proxy.wanted == [True, False, True, False]
    assert await again.take(0) is None


async def test_a_look_that_raises_ends_progress_and_nothing_else(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    raising = False

    def exchanges() -> list[Exchange]:
        if raising:
            raise KeyError("planted")
        return []

    hub = Hub(exchanges)
    with caplog.at_level(logging.ERROR), hub.subscribe() as events:
        raising = True
        await asyncio.sleep(50 * live.TICK)
        hub.started(exchange_like(), "claude-x")
        assert await heard(events, 1) == [("start", exchange_like().request_id)]
    said = [record.getMessage() for record in caplog.records if record.name == live.logger.name]
    assert said == ["The live view shows no progress any more: KeyError"]
