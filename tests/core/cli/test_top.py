import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from codemie_core.cli import top
from codemie_core.errors import CodemieError
from codemie_core.top import app
from codemie_core.top.attachment import Wanted
from support.cli import call


class Screen:
    """Stands for the screen: it is closed again at once."""

    def __init__(self, failure: CodemieError | None = None) -> None:
        self.failure, self.return_code = failure, 1 if failure else 0
        self.wanted: Wanted | None = None

    def __call__(self, wanted: Wanted) -> "Screen":
        self.wanted = wanted
        return self

    def run(self) -> None:
        """Nothing is pressed."""

    def end(self) -> str:
        return "The proxy goes on."


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(top, "sys", SimpleNamespace(stdin=terminal, stdout=terminal))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, at_a_terminal: None) -> Callable[..., Screen]:
    def made(failure: CodemieError | None = None) -> Screen:
        screen = Screen(failure)
        monkeypatch.setattr(app, "Top", screen)
        return screen

    return made


def test_what_is_asked_for_reaches_the_screen(codemie_home: Path, opened: Callable[..., Screen]) -> None:
    screen = opened()
    outcome = call("top", "https://a.example", "--port", "9000", "--stay", "--no-start")
    assert (outcome.code, outcome.out) == (0, "The proxy goes on.\n")
    assert screen.wanted is not None
    assert screen.wanted.start == ("https://a.example", "--port", "9000")
    assert (screen.wanted.port, screen.wanted.stay, screen.wanted.may_start) == (9000, True, False)
    assert screen.wanted.places.home == codemie_home


def test_without_arguments_the_proxy_is_started_as_start_would(opened: Callable[..., Screen]) -> None:
    screen = opened()
    assert call("top").code == 0
    assert screen.wanted is not None
    assert (screen.wanted.start, screen.wanted.port, screen.wanted.stay, screen.wanted.may_start) == (
        (),
        None,
        False,
        True,
    )


def test_what_went_wrong_is_told_when_the_screen_is_gone(opened: Callable[..., Screen]) -> None:
    opened(CodemieError("8080 is in use"))
    outcome = call("top")
    assert (outcome.code, outcome.err) == (1, "codemie-proxy: 8080 is in use\n")


def test_without_a_terminal_it_says_what_programs_use() -> None:
    outcome = call("top")
    assert outcome.code == 1
    assert "top needs a terminal" in outcome.err
    assert "codemie-proxy status --json" in outcome.err


def test_without_textual_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, at_a_terminal: None) -> None:
    monkeypatch.delitem(sys.modules, "codemie_core.top.app")
    monkeypatch.setitem(sys.modules, "textual.app", None)
    outcome = call("top")
    assert outcome.code == 1
    assert "pip install 'codemie-proxy[top]'" in outcome.err
