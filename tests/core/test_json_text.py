"""Whatever json.loads takes is taken; what it does not is None."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.json_text import loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_was_written_is_read_back(value: object) -> None:
    text = json.dumps(value)
    assert loads(text) == loads(text.encode()) == loads(bytearray(text.encode())) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"half": "\\ud83d"}', {"half": "\ud83d"}),
        (b'{"far": 1e400}', {"far": float("inf")}),
        (b'\xef\xbb\xbf{"bom": 1}', {"bom": 1}),
        (b'{"twice": 1, "twice": 2}', {"twice": 2}),
        (b'{"huge": 123456789012345678901234567890}', {"huge": 123456789012345678901234567890}),
    ],
)
def test_what_models_write_is_taken(text: bytes, value: object) -> None:
    assert loads(text) == value


@pytest.mark.parametrize(
    "text", [b"", "", b"{", b"no", b"\xff", b'{"not": "\xff"}', b"[" * 100_000, "[" * 100_000, b"1 2"]
)
def test_what_is_no_json_is_nothing(text: bytes | str) -> None:
    assert loads(text) is None


@given(st.binary() | st.text())
def test_nothing_raises(text: bytes | str) -> None:
    loads(text)
