"""Time at the end of a proxy, of which its addons get little: a busy machine may need more."""

import pytest

import request_log
import usage_metering
from codemie_core import core_addon


@pytest.fixture(autouse=True)
def patient_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_addon, "STOP_BOUND", 120.0)
    monkeypatch.setattr(request_log, "FLUSH_BOUND", 60.0)
    monkeypatch.setattr(usage_metering, "BOUND", 60.0)
