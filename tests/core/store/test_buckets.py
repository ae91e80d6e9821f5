import time
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.store.buckets import MOST, SIZES, Size, TooManyBuckets, edges

HOUR = 3_600_000
VIENNA, NEW_YORK, KOLKATA = ZoneInfo("Europe/Vienna"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")


def ms(text: str, zone: tzinfo = UTC) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def starts(size: Size, since: str, until: str, zone: tzinfo = UTC) -> list[str]:
    found = edges(size, ms(since, zone), ms(until, zone), zone)
    return [f"{datetime.fromtimestamp(edge / 1000, zone):%m-%d %H:%M}" for edge in found]


def test_buckets_begin_where_the_calendar_has_them() -> None:
    assert starts("1m", "2026-11-04 15:30", "2026-11-04 15:31") == ["11-04 15:30", "11-04 15:31"]
    assert starts("5m", "2026-11-04 15:34", "2026-11-04 15:36") == ["11-04 15:30", "11-04 15:35", "11-04 15:40"]
    assert starts("1h", "2026-11-04 15:30", "2026-11-04 17:00") == ["11-04 15:00", "11-04 16:00", "11-04 17:00"]
    assert starts("6h", "2026-11-04 15:30", "2026-11-05 00:01") == [
        *("11-04 12:00", "11-04 18:00", "11-05 00:00", "11-05 06:00")
    ]
    assert starts("24h", "2026-11-04 15:30", "2026-11-05 15:30") == ["11-04 00:00", "11-05 00:00", "11-06 00:00"]
    # A Wednesday; weeks begin on Mondays.
    assert starts("7d", "2026-11-04 15:30", "2026-11-08 23:00") == ["11-02 00:00", "11-09 00:00"]


def test_the_same_thirty_days_whenever_one_asks() -> None:
    begun, day = ms("2026-11-01 12:00"), 24 * HOUR
    found = {edges("30d", begun + n * day, begun + n * day + 1, VIENNA)[0] for n in range(90)}
    dates = sorted(datetime.fromtimestamp(edge / 1000, VIENNA).date().toordinal() for edge in found)
    assert [later - earlier for earlier, later in pairwise(dates)] == [30] * (len(dates) - 1)
    assert len(dates) in (3, 4)


def test_hours_are_those_of_zones_that_are_half_an_hour_off() -> None:
    assert starts("1h", "2026-11-04 15:30", "2026-11-04 16:00", KOLKATA) == ["11-04 15:00", "11-04 16:00"]
    assert edges("1h", ms("2026-11-04 15:30", KOLKATA), ms("2026-11-04 16:00", KOLKATA), KOLKATA)[0] % HOUR == HOUR // 2


def test_days_on_which_clocks_change_are_longer_or_shorter_and_hours_are_not() -> None:
    def lengths(size: Size, since: str, until: str) -> list[float]:
        found = edges(size, ms(since, VIENNA), ms(until, VIENNA), VIENNA)
        return [(end - start) / HOUR for start, end in pairwise(found)]

    assert lengths("24h", "2026-10-24 00:00", "2026-10-27 00:00") == [24, 25, 24]
    assert lengths("24h", "2026-03-28 00:00", "2026-03-31 00:00") == [24, 23, 24]
    assert lengths("6h", "2026-10-25 00:00", "2026-10-26 00:00") == [7, 6, 6, 6]
    assert lengths("1h", "2026-10-25 00:00", "2026-10-26 00:00") == [1] * 25


@given(
    st.sampled_from(SIZES),
    st.integers(0, 2_000_000_000_000),
    st.integers(0, 40 * 24 * HOUR),
    st.sampled_from([UTC, VIENNA, NEW_YORK, KOLKATA, ZoneInfo("Australia/Lord_Howe"), None]),
)
def test_they_hold_all_that_was_asked_for_without_gap_or_excess(
    size: Size, since: int, span: int, zone: tzinfo | None
) -> None:
    span //= {"1m": 60, "5m": 12}.get(size, 1)
    found = edges(size, since, since + span, zone)
    assert found[0] <= since < found[1] or span == 0
    assert found[-1] >= since + span
    assert found[-2] < since + span or len(found) == 2
    assert all(start < end for start, end in pairwise(found))


def test_more_than_anybody_can_look_at_is_refused() -> None:
    since = ms("2026-01-01 00:00")
    assert len(edges("1h", since, since + MOST * HOUR, UTC)) == MOST + 1
    with pytest.raises(TooManyBuckets, match="1000 buckets of 1h"):
        edges("1h", since, since + MOST * HOUR + 1, UTC)


def test_without_a_zone_they_are_those_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        since = ms("2026-11-04 15:30", KOLKATA)
        assert edges("24h", since, since + 1) == edges("24h", since, since + 1, KOLKATA)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert edges("24h", since, since + 1, UTC)[0] == since - since % (24 * HOUR)
