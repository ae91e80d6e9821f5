import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.accounts.moments import LONGEST, ahead, http_date, moment, number, seconds_of

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z
DAY = 86400.0


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process lives in Auckland."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "text, at",
    [
        ("1790000060", NOW + 60),
        ("1790000060.5", NOW + 60.5),
        ("1790000060000", NOW + 60),
        ("2026-09-21T14:14:20Z", NOW + 60),
        ("2026-09-21T14:14:20.123456789Z", NOW + 60.123456),
        ("2026-09-21T16:14:20+02:00", NOW + 60),
        ("2026-09-21T14:14:20", NOW + 60),
        ("60", NOW + 60),
        ("0.5", NOW + 0.5),
        ("6s", NOW + 6),
        ("12ms", NOW + 0.012),
        ("1m30s", NOW + 90),
        ("1h2m3.5s", NOW + 3723.5),
        ("33740.910400305s", NOW + 33740.910400305),
        ("161h39m41.300432511s", NOW + 161 * 3600 + 39 * 60 + 41.300432511),
    ],
)
def test_every_notation_of_a_reset_means_the_same(text: str, at: float) -> None:
    assert moment(text, NOW) == pytest.approx(at, abs=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "0s", "-1", "-6s", "+6", "nan", "NaN", "inf", "-inf", "1e9", "0x10", "6 s", "6s!", "s", "soon"),
        *("1789999999", "2026-09-21T14:13:19Z", "1700000000000"),
        *("9999999999999999", "99999999999", "2036-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "367d"),
        *(
            "2026-09-21T14:14:60Z",
            "2026-13-01T00:00:00Z",
            "\uff12\uff10\uff12\uff16",
            "\u0661\u0662",
            "\u00b2",
            "1" * 1_000_000,
            "1s" * 100_000,
        ),
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_what_is_past_or_too_far_or_nonsense_is_no_reset(text: str) -> None:
    assert moment(text, NOW) is None


def test_a_reset_is_trusted_up_to_a_leap_year() -> None:
    assert moment("366d", NOW) == NOW + LONGEST
    assert ahead(NOW, NOW) is None
    assert ahead(math.nan, NOW) is None


@pytest.mark.parametrize(
    "text, at",
    [
        ("Mon, 21 Sep 2026 14:14:20 GMT", NOW + 60),
        ("Mon, 21 Sep 2026 14:14:20 -0000", NOW + 60),
        ("Mon, 21 Sep 2026 14:14:20", NOW + 60),
        ("Mon, 21 Sep 2026 16:14:20 +0200", NOW + 60),
        ("Monday, 21-Sep-26 14:14:20 GMT", NOW + 60),
    ],
)
def test_an_http_date_means_the_same_in_every_time_zone(text: str, at: float, far_from_utc: None) -> None:
    assert http_date(text) == at


@pytest.mark.parametrize(
    "text",
    ["", "soon", "Mon, 21 Sep", "Mon, 99 Sep 2026 14:14:20 GMT", "Mon, 21 Sep 99999999999 14:14:20 GMT", "," * 99],
)
def test_what_is_no_http_date_is_none(text: str) -> None:
    assert http_date(text) is None


@pytest.mark.parametrize("text, seconds", [("1m30s", 90.0), ("0s", 0.0), ("1d", DAY), ("5us", 5e-6), ("5µs", 5e-6)])
def test_spans(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "90", "1m 30s", "-1s", "1.s", "s1", "1s " + "x" * 1000])
def test_what_is_no_span_is_none(text: str) -> None:
    assert seconds_of(text) is None


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1e3", "1_000", "nan", "inf", "1.", ".5", " 1", "1" * 16, "\u00b2", "\u0663"]
)
def test_what_is_no_plain_number_is_none(text: str) -> None:
    assert number(text) is None


@given(st.text(max_size=120) | st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,10})?(ms|s|m|h|d)?", fullmatch=True))
def test_no_text_raises_or_names_a_time_that_is_not_ahead(text: str) -> None:
    for at in (moment(text, NOW), moment(text, 0.0)):
        assert at is None or math.isfinite(at)
    at = moment(text, NOW)
    assert at is None or NOW < at <= NOW + LONGEST
    http_date(text)


@given(st.datetimes())
def test_every_date_of_the_next_year_is_read_and_no_other(date: datetime) -> None:
    at = date.replace(tzinfo=UTC).timestamp()
    assert moment(date.isoformat(), NOW) == (at if NOW < at <= NOW + LONGEST else None)
