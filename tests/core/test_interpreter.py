"""Python is set for a proxy while one runs, and left as it was."""

from __future__ import annotations

import sys

import pytest

from codemie_core.interpreter import Interpreter
from codemie_core.thread_turns import INTERVAL


async def test_it_is_set_for_a_proxy_and_left_as_it_was() -> None:
    usual = sys.getswitchinterval()
    interpreter = Interpreter()
    interpreter.settle()
    assert sys.getswitchinterval() == pytest.approx(INTERVAL)
    assert len(interpreter._heap._timers) == 2
    interpreter.leave()
    assert sys.getswitchinterval() == pytest.approx(usual)
    assert all(timer.cancelled() for timer in interpreter._heap._timers)
