"""No thread keeps the loop waiting for long."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from codemie_core.thread_turns import INTERVAL, ThreadTurns


@pytest.fixture(autouse=True)
def usual() -> Iterator[float]:
    before = sys.getswitchinterval()
    yield before
    sys.setswitchinterval(before)


def test_turns_are_short_while_the_proxy_runs_and_as_before_after_it(usual: float) -> None:
    turns = ThreadTurns()
    turns.settle()
    assert sys.getswitchinterval() == pytest.approx(INTERVAL)
    turns.leave()
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_shorter_turns_of_somebody_elses_stay() -> None:
    sys.setswitchinterval(INTERVAL / 2)
    turns = ThreadTurns()
    turns.settle()
    turns.leave()
    assert sys.getswitchinterval() == pytest.approx(INTERVAL / 2)


def test_a_proxy_that_never_ran_changes_nothing(usual: float) -> None:
    ThreadTurns().leave()
    assert sys.getswitchinterval() == pytest.approx(usual)
