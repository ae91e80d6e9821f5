"""Addons by name: one that cannot be imported does not take the others with it."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codemie_core import loading


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes a module; all of them are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(stem: str, source: str) -> None:
        (tmp_path / f"{stem}.py").write_text(source)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]
    loading.left_out.clear()


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records]


def test_addons_come_in_the_order_of_the_list(house: Callable[[str, str], None]) -> None:
    house("sample_b", "addons = ['b1', 'b2']\n")
    house("sample_a", "addons = ['a']\n")
    assert loading.load_addons(("sample_b", "open"), ("sample_a", "closed")) == ["b1", "b2", "a"]
    assert loading.left_out == []


@pytest.mark.parametrize(
    "source, says",
    [
        ("raise RuntimeError('broken')\n", "RuntimeError: broken at sample_bad.py:1"),
        ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library' at sample_bad.py:1"),
        ("def (\n", "SyntaxError: "),
        ("x = 1\n", "AttributeError: "),
        ("addons = None\n", "TypeError: "),
    ],
)
def test_an_open_addon_that_cannot_be_loaded_is_left_out_with_a_warning(
    source: str, says: str, house: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    house("sample_bad", source)
    house("sample_good", "addons = ['good']\n")
    assert loading.load_addons(("sample_bad", "open"), ("sample_good", "open")) == ["good"]
    [(level, line)] = lines(caplog)
    assert level == logging.WARNING
    assert line.startswith(f"sample_bad cannot be loaded and is left out: {says}")
    [left] = loading.left_out
    assert left.name == "sample_bad"
    assert left.error.startswith(says)


def test_a_closed_addon_that_cannot_be_loaded_stops_the_start(
    house: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    house("sample_bad", "raise RuntimeError('broken')\n")
    house("sample_good", "addons = ['good']\n")
    assert loading.load_addons(("sample_bad", "closed"), ("sample_good", "open")) == ["good"]
    [(level, line)] = lines(caplog)
    assert level == logging.ERROR
    assert "no request may pass without it" in line


def test_a_bundle_of_which_nothing_can_be_loaded_does_not_start(
    house: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    house("sample_bad", "raise RuntimeError('broken')\n")
    assert loading.load_addons(("sample_bad", "open")) == []
    assert [level for level, _ in lines(caplog)] == [logging.WARNING, logging.ERROR]


def test_an_error_without_a_traceback_has_no_place() -> None:
    assert loading._place(RuntimeError()) == ""


def test_a_second_load_forgets_what_the_first_left_out(house: Callable[[str, str], None]) -> None:
    house("sample_bad", "raise RuntimeError('broken')\n")
    loading.load_addons(("sample_bad", "open"))
    house("sample_fine", "addons = []\n")
    assert loading.load_addons(("sample_fine", "open")) == []
    assert loading.left_out == []
