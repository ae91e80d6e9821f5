import pytest

from codemie_core.admin.asked import MOST_NAMES, RANGES, Asked, names_in
from codemie_core.admin.problems import BadQuestion
from codemie_core.store.filters import Filter

NOW = 1_800_000_000_000


def test_nothing_asked_is_everything() -> None:
    assert Asked().filter(NOW) == Filter()


@pytest.mark.parametrize("name", list(RANGES))
def test_a_range_ends_now_whatever_else_is_asked(name: str) -> None:
    asked = Asked(range=name, since=1, until=2).filter(NOW)  # type: ignore[arg-type] # the keys are its words
    assert (asked.since_ms, asked.until_ms) == (NOW - RANGES[name][0], None)


def test_names_of_each_kind_reach_their_column_and_none_means_without() -> None:
    asked = Asked(
        accounts=("main", "no_account"),
        models=("opus",),
        agents=("claude",),
        sessions=("s",),
        conversations=("c",),
        projects=("none",),
        branches=("b",),
        api_keys=("ann",),
        status="error",
        since=1,
        until=2,
    )
    assert asked.filter(NOW) == Filter(
        *(1, 2, ("opus",), ("main", ""), ("claude",), ("s",), ("c",), ("",), ("b",), ("ann",), "error")
    )


@pytest.mark.parametrize(
    "asked, word",
    [
        (Asked(since=2, until=2), "later than since"),
        (Asked(since=2**62), "milliseconds"),
        (Asked(models=("a\0b",)), "zero byte"),
        (Asked(api_keys=("a",) * (MOST_NAMES + 1)), "apiKeys"),
    ],
)
def test_what_contradicts_itself_is_a_bad_question(asked: Asked, word: str) -> None:
    with pytest.raises(BadQuestion, match=word):
        asked.filter(NOW)


def test_lists_are_written_with_commas() -> None:
    assert names_in(" a, b,,c ,") == ("a", "b", "c")
    assert names_in("") == names_in(None) == ()
