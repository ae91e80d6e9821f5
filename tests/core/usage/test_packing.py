"""Payloads on their way: packed elsewhere, bounded in memory, dropped and counted. With a database: test_history.py."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from codemie_core.places import Places
from codemie_core.store.payloads import Payload
from codemie_core.usage import packing as module
from codemie_core.usage.packing import Packing

SQLITE = {"CODEMIE_KEYRING": "0"}


def said(size: int) -> Payload:
    payload = Payload.of(1_000, 100_000)
    payload.request(b"x" * size)
    return payload


def eventually(met: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not met():
        assert time.monotonic() < until
        time.sleep(0.005)


def packing_of(codemie_home: object, wake: Callable[[], None] = lambda: None) -> Packing:
    return Packing(Places(codemie_home), SQLITE, wake)  # type: ignore[arg-type] # the fixture's path


def test_whoever_stores_them_is_woken_for_each(codemie_home: object) -> None:
    woken: list[bool] = []
    packing = packing_of(codemie_home, lambda: woken.append(packing.ready))
    for _ in range(3):
        packing.put("one", said(10))
    eventually(lambda: len(woken) == 3)
    assert woken[0]
    packing.end(60.0)


def test_what_waits_packed_counts_as_little_as_it_takes(codemie_home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_HELD", 40_000)
    packing = packing_of(codemie_home)
    for count in range(20):
        packing.put("one", said(30_000))
        eventually(lambda: len(packing._packed) == count + 1)  # noqa: B023 - called at once
    assert packing.dropped == 0
    packing.taken(20)
    assert packing._held == 0
    assert packing.stored == 20
    packing.end(60.0)


def test_one_that_cannot_be_packed_is_dropped_and_the_next_is_not(
    codemie_home: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    packing = packing_of(codemie_home)
    broken = said(10)
    broken.request_headers = [1]  # type: ignore[list-item] # broken on purpose
    packing.put("one", broken)
    packing.put("two", said(10))
    eventually(lambda: packing.ready)
    assert packing.dropped == 1
    assert [one.request_id for one in packing._packed] == ["two"]
    packing.end(60.0)


def test_its_thread_begins_with_the_first_and_ends_when_told(codemie_home: object) -> None:
    packing = packing_of(codemie_home)
    assert packing._thread is None
    assert not packing.used
    packing.end(60.0)
    packing = packing_of(codemie_home)
    packing.put("one", said(10))
    thread = packing._thread
    assert thread is not None
    packing.end(60.0)
    assert not thread.is_alive()
    assert packing.ready
    packing.put("two", said(10))
    assert packing.dropped == 1
