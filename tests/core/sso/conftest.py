"""Time for what sign-ins give little of: a machine that runs many tests at once stalls now and then."""

import pytest

from codemie_core import callback


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback, "_HEAD_SECONDS", 60.0)
    monkeypatch.setattr(callback, "_LAST_PAGE_SECONDS", 60.0)
