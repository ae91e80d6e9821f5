"""What is there once the proxy runs is not walked again."""

from __future__ import annotations

import asyncio
import gc

import pytest

from codemie_core import heap
from codemie_core.heap import Heap


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "FIRST", 0.0)
    monkeypatch.setattr(heap, "SECOND", 0.01)


async def test_what_is_there_is_taken_out_of_the_collectors_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    over = asyncio.Event()

    def freeze() -> None:
        done.append("freeze")
        if len(done) == 3:
            over.set()

    monkeypatch.setattr(gc, "collect", lambda: done.append("collect"))
    monkeypatch.setattr(gc, "freeze", freeze)
    Heap().settle()
    async with asyncio.timeout(30):
        await over.wait()
    assert done == ["collect", "freeze", "freeze"]


async def test_a_proxy_that_ends_before_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    settled = Heap()
    settled.settle()
    settled.leave()
    await asyncio.sleep(0.05)
    assert done == []
