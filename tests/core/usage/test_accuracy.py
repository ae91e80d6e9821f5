"""Tokens, tools and cost equal the reference to the last digit, however an answer arrives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codemie_core.usage.stream import StreamMeter
from support import accuracy
from support.accuracy import CHECKS, Tally, differences, meter, result, shapes
from support.streams import Shape

ALL = pytest.mark.parametrize("shape", shapes(), ids=lambda shape: f"{shape.api}: {shape.name}")


@ALL
@pytest.mark.parametrize("check", CHECKS)
def test_what_is_measured_equals_the_reference(check: str, shape: Shape) -> None:
    assert result(check, shape.name, shape.api).wrong[:5] == []
