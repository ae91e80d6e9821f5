import pytest

from codemie_core.admin.pages.format import dollars, ending, moment, mood_of_account, points, short, trend
from codemie_core.exchange import Terminal


def test_a_moment_of_the_services_is_a_number_again() -> None:
    assert moment("1970-01-01T00:00:01.250Z") == 1250
    assert moment("1970-01-01T01:00:00+01:00") == 0
    assert moment(None) is None


@pytest.mark.parametrize(
    "terminal, ok, status, told",
    [
        ("complete", True, 200, ("complete", "good")),
        ("complete", False, 429, ("429", "bad")),
        ("complete", False, 200, ("failed", "bad")),
        ("truncated", False, 200, ("cut short", "bad")),
        ("client_cancelled", False, 200, ("cancelled", "warn")),
        ("refused", False, 403, ("403", "bad")),
        ("answered_locally", True, 200, ("answered here", "")),
        ("", False, None, ("?", "")),
    ],
)
def test_an_ending_has_a_word_and_a_mood(terminal: str, ok: bool, status: int | None, told: tuple[str, str]) -> None:
    assert ending(terminal, ok, status) == told


@pytest.mark.parametrize("terminal", list(Terminal))
def test_every_ending_has_words_of_its_own(terminal: Terminal) -> None:
    assert "_" not in ending(terminal, False, None)[0]


def test_states_that_need_somebody_stand_out() -> None:
    assert mood_of_account("sign in again") == "bad"
    assert mood_of_account("limited") == "warn"
    assert mood_of_account("ready") == "good"
    assert mood_of_account("something new") == ""


@pytest.mark.parametrize(
    "now, before, told",
    [(112, 100, "+12%"), (88, 100, "-12%"), (100, 100, ""), (5, 0, ""), (None, 3, ""), (2000, 100, "20 times")],
)
def test_a_trend_says_how_much_more_or_less(now: float | None, before: float | None, told: str) -> None:
    assert trend(now, before) == told


def test_percents_are_compared_by_points() -> None:
    assert points(97.5, 95.0) == "+2.5 pts"
    assert points(90.0, 95.0) == "-5 pts"
    assert points(95.0, 95.0) == points(None, 1.0) == points(1.0, None) == ""


def test_money_and_ids_are_those_of_the_command_line() -> None:
    assert dollars(1.5) == "$1.50"
    assert dollars(0.0154) == "$0.0154"
    assert dollars(None) == "-"
    assert short("0123456789") == "01234567"
