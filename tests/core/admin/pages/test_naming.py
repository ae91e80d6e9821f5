import pytest

from codemie_core.admin.asked import RANGES
from codemie_core.admin.pages import naming
from codemie_core.admin.pages.naming import COLORS, OTHERS_COLOR, RANGE_WORDS, agent_title, color_of
from codemie_core.admin.pages.theme import head


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "_seen", {})


def test_every_range_has_words() -> None:
    assert list(RANGE_WORDS) == list(RANGES)


def test_a_name_keeps_its_color_and_the_first_ones_have_one_each() -> None:
    names = [f"model-{number}" for number in range(len(COLORS))]
    given = [color_of(name) for name in names]
    assert sorted(given) == sorted(COLORS)
    assert [color_of(name) for name in reversed(names)] == given[::-1]
    assert color_of("one more") in COLORS


def test_names_that_clients_make_up_take_no_memory_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "MOST", 3)
    assert [color_of(f"model-{number}") for number in range(5)][3:] == [OTHERS_COLOR] * 2
    assert len(naming._seen) == 3


def test_every_color_is_one_of_the_theme() -> None:
    for color in (*COLORS, OTHERS_COLOR):
        assert head().count(f"--{color}:") == 2  # light and dark


def test_agents_go_by_the_name_people_know() -> None:
    assert agent_title("claude") == "Claude Code"
    assert agent_title("something-new") == "something-new"
    assert agent_title(None) == agent_title("unknown")
