"""A short round of the fuzz loop; `python -m soak.fuzz` goes on for as long as one likes."""

from __future__ import annotations

import pytest

from codemie_core.usage.reader import Reader
from codemie_core.usage.stream import StreamMeter
from soak import fuzz

SEED, ROUNDS, SECONDS = 20_260, 400, 600.0


def test_no_garbage_gets_an_exception_out_of_a_meter_or_changes_a_byte() -> None:
    report = fuzz.fuzz(SEED, ROUNDS, SECONDS)
    assert report.failures == []
    assert report.rounds == ROUNDS
    assert set(report.broken) == {name for name, _ in fuzz.WAYS}
    assert 0 < report.counted < ROUNDS


def test_a_round_can_be_played_again() -> None:
    first, second = (fuzz.fuzz(SEED, 1, SECONDS, first=7) for _ in range(2))
    assert (first.size, first.broken) == (second.size, second.broken)


def test_the_loop_shows_a_reader_that_raises_and_how_to_meet_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(self: StreamMeter) -> Reader:
        raise ValueError("planted")

    monkeypatch.setattr(StreamMeter, "finish", raising)
    report = fuzz.fuzz(SEED, 3, SECONDS, first=5)
    assert len(report.failures) == 3
    assert report.failures[0].startswith(f"round 5 of seed {SEED}:")
    assert "planted" in report.failures[0]
