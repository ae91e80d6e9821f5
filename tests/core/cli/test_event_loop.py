import asyncio
import importlib.metadata
import sys
from collections.abc import Iterator

import pytest

from codemie_core.cli import event_loop


@pytest.fixture(autouse=True)
def policy() -> Iterator[None]:
    before = asyncio.get_event_loop_policy()
    yield
    asyncio.set_event_loop_policy(before)


def is_uvloop() -> bool:
    return type(asyncio.get_event_loop_policy()).__module__.startswith("uvloop")


def test_uvloop_is_chosen_where_a_version_seen_to_work_is_installed() -> None:
    pytest.importorskip("uvloop")
    assert event_loop.choose_event_loop() == f"uvloop {event_loop.uvloop_version()}"
    assert is_uvloop()


@pytest.mark.parametrize(
    "found, words",
    [
        (None, "asyncio (uvloop: not installed; asyncio's own loop is used (pip install 'codemie-proxy[fast]'))"),
        (
            "0.23.0",
            "asyncio (uvloop: 0.23.0 is not among the versions seen to work (0.22.x); asyncio's own loop is used)",
        ),
        ("0.220.1", "asyncio (uvloop: 0.220.1 is not among"),
    ],
)
def test_asyncio_stays_where_uvloop_is_missing_or_untried(
    found: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loop, "uvloop_version", lambda: found)
    assert event_loop.choose_event_loop().startswith(words)
    assert not is_uvloop()


def test_asyncio_stays_where_uvloop_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "uvloop_version", lambda: "0.22.1")
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert event_loop.choose_event_loop().startswith("asyncio (uvloop cannot be loaded: ")
    assert not is_uvloop()


def test_a_missing_uvloop_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert event_loop.uvloop_version() is None
