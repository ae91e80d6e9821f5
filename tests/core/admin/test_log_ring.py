"""The ring of the log: bounded, redacted, fed from any thread, and never in anybody's way."""

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from codemie_core.admin.log_ring import LogEntry, LogRing, matching

pytestmark = pytest.mark.anyio

SECRET = "sk-ant-api03-" + "Planted0" * 5
logger = logging.getLogger("codemie_core.test")


@pytest.fixture
def ring() -> Iterator[LogRing]:
    made = LogRing(5)
    made.install()
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.INFO)
    yield made
    logging.getLogger().setLevel(level)
    made.uninstall()


def words(ring: LogRing) -> list[str]:
    return [entry["msg"] for entry in ring.history()]


async def test_what_the_proxy_says_is_kept_in_order_with_its_time_and_level(ring: LogRing) -> None:
    logger.info("one")
    logger.warning("two %d", 2)
    logging.getLogger("mitmproxy.x").info("chatter")
    logging.getLogger("mitmproxy.x").error("three")
    found = ring.history()
    assert [(entry["level"], entry["msg"], entry["logger"]) for entry in found] == [
        ("INFO", "one", "codemie_core.test"),
        ("WARN", "two 2", "codemie_core.test"),
        ("ERROR", "three", "mitmproxy.x"),
    ]
    assert all(1_500_000_000_000 < entry["ts"] < 5_000_000_000_000 for entry in found)


async def test_the_oldest_give_way_also_after_they_were_read(ring: LogRing) -> None:
    for number in range(4):
        logger.info("%d", number)
    assert words(ring) == words(ring) == ["0", "1", "2", "3"]
    for number in range(4, 9):
        logger.info("%d", number)
    assert words(ring) == ["4", "5", "6", "7", "8"]


async def test_secrets_and_line_breaks_are_gone(ring: LogRing) -> None:
    with ring.subscribe() as entries:
        logger.warning("with %s\nand a forged line", SECRET)
        (live,) = await entries.take(60) or []
    assert words(ring) == [live["msg"]]
    assert SECRET not in live["msg"]
    assert "\n" not in live["msg"]


async def test_other_threads_are_heard_live(ring: LogRing) -> None:
    with ring.subscribe() as entries:
        thread = threading.Thread(target=lambda: ring.add(1_800_000_000.25, logging.INFO, "proxy-access", "a request"))
        thread.start()
        (entry,) = await entries.take(60) or []
        thread.join()
    assert entry == LogEntry(ts=1_800_000_000_250, level="INFO", msg="a request", logger="proxy-access")
    assert ring.subscribers == 0


def test_words_after_the_end_of_the_loop_harm_nobody(ring: LogRing) -> None:
    async def listen() -> None:
        ring.subscribe()

    asyncio.run(listen())
    logger.warning("late")
    assert words(ring) == ["late"]


async def test_who_listens_is_let_go_at_the_end(ring: LogRing) -> None:
    entries = ring.subscribe()
    ring.uninstall()
    assert await entries.take(60) is None
    logger.warning("unheard")
    assert words(ring) == []


@pytest.mark.parametrize(
    "level, search, found",
    [
        ("", "", ["DEBUG", "INFO", "WARN", "ERROR"]),
        ("WARN", "", ["WARN", "ERROR"]),
        ("", "MESSAGE of warn", ["WARN"]),
        ("", "test", ["DEBUG", "INFO", "WARN", "ERROR"]),
        ("ERROR", "of warn", []),
    ],
)
async def test_entries_are_chosen_by_level_and_words(level: str, search: str, found: list[str]) -> None:
    entries = [
        LogEntry(ts=0, level=level, msg=f"message of {level}", logger="test")
        for level in ("DEBUG", "INFO", "WARN", "ERROR")
    ]
    assert [entry["level"] for entry in filter(matching(level, search), entries)] == found
