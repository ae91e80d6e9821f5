from codemie_core.admin.wire import Wire, iso, percent, usd


class Sample(Wire):
    first_token_ms: float | None


def test_answers_have_javascripts_names_and_are_made_with_pythons() -> None:
    assert Sample(first_token_ms=1.5).model_dump_json() == '{"firstTokenMs":1.5}'
    assert Sample.model_validate({"firstTokenMs": 2}).first_token_ms == 2


def test_times_are_iso_in_utc_and_money_is_in_dollars() -> None:
    assert iso(1_795_276_879_871) == "2026-11-21T16:01:19.871Z"
    assert usd(1_500_000_001) == 1.500000001
    assert (iso(None), usd(None)) == (None, None)


def test_a_time_that_no_calendar_has_is_none() -> None:
    assert [iso(ms) for ms in (1e300, float("inf"), float("nan"), -1e18)] == [None] * 4


def test_a_share_of_nothing_is_nothing() -> None:
    assert percent(3, 4) == 75
    assert [percent(None), percent(0, 0), percent(1, 0)] == [0, 0, 0]
