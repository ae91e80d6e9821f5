"""What the address of the analytics page says."""

from __future__ import annotations

import pytest

from codemie_core.admin.pages.analytics import Question, _zone


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"range": "7d"},
        {"figure": "cost", "split": "no", "sum": "yes"},
        {"status": "error", "models": "a,b", "accounts": "no_account"},
    ],
)
def test_an_address_says_what_one_looks_at_and_nothing_else(query: dict[str, str]) -> None:
    asked = Question.of(query)
    again = dict(part.split("=") for part in asked.query.removeprefix("?").replace("%2C", ",").split("&") if part)
    assert again == query
    assert Question.of(again) == asked


@pytest.mark.parametrize(
    "query", [{"range": "9y"}, {"figure": "luck"}, {"status": "odd"}, {"models": ",,"}, {"split": "?"}, {"sum": "1"}]
)
def test_what_an_address_says_wrong_is_as_if_it_were_not_there(query: dict[str, str]) -> None:
    assert Question.of(query) == Question()


def test_names_narrow_the_question_down() -> None:
    asked = Question.of({"models": "a", "agents": "codex,claude", "status": "success"})
    assert asked.narrowed
    assert (asked.asked.models, asked.asked.agents, asked.asked.status) == (("a",), ("codex", "claude"), "success")
    assert not Question.of({"range": "7d", "figure": "cost"}).narrowed


@pytest.mark.parametrize(
    "cookie, zone",
    [
        ("Europe%2FKyiv", "Europe/Kyiv"),
        ("Europe/Kyiv", "Europe/Kyiv"),
        ("", ""),
        ("Nowhere%2FAtAll", ""),
        ("..%2F..%2Fetc%2Fpasswd", ""),
        ("\x00", ""),
    ],
)
def test_days_begin_where_the_viewer_is_if_that_is_known(cookie: str, zone: str) -> None:
    assert _zone(cookie) == zone
