"""Rows under way, without a browser."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from codemie_core.admin.asked import Asked
from codemie_core.admin.live import Hub
from codemie_core.admin.pages import live_rows
from codemie_core.admin.pages.live_rows import LiveRows


async def test_who_pauses_while_it_looks_is_not_told_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    drawn = SimpleNamespace(classes=lambda **_: None)
    monkeypatch.setattr(live_rows, "badge", lambda *_: drawn)
    monkeypatch.setattr(live_rows, "button", lambda *_: drawn)
    monkeypatch.setattr(live_rows, "say", lambda _, words: said.append(words))
    plane: Any = SimpleNamespace(hub=Hub(lambda: []))
    rows = LiveRows(plane, Asked, lambda _: None)
    looking = asyncio.get_running_loop().create_task(rows._look())
    await asyncio.sleep(0)
    assert plane.hub.wanted
    rows._toggle()
    await looking
    assert said == ["Go on", "paused"]
    assert not plane.hub.wanted
