import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.usage.json_parts import JsonParts

OBJECTS = st.dictionaries(
    st.text(st.sampled_from('ab"\\{}[],é')),
    st.recursive(
        st.integers() | st.text(st.sampled_from('ab"\\{}[],\né😀')),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)


def fed(*chunks: bytes, max_part: int = 1024 * 1024) -> list[str]:
    parts = JsonParts(max_part)
    return [part for chunk in chunks for part in parts.feed(chunk)]


@given(
    values=st.lists(OBJECTS, max_size=4), indent=st.none() | st.integers(0, 2), ascii_only=st.booleans(), data=st.data()
)
def test_every_object_comes_out_however_the_bytes_are_parted(
    values: list[object], indent: int | None, ascii_only: bool, data: st.DataObject
) -> None:
    stream = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    assert [json.loads(part) for part in fed(stream)] == values
    assert [json.loads(part) for part in fed(*(stream[at : at + 1] for at in range(len(stream))))] == values
    place = data.draw(st.integers(0, len(stream)))
    assert [json.loads(part) for part in fed(stream[:place], stream[place:])] == values


def test_an_object_comes_as_soon_as_it_ends() -> None:
    parts = JsonParts()
    assert parts.feed(b'[{"a": "}') == []
    assert parts.held == len(b'{"a": "}')
    assert parts.feed(b'"}') == ['{"a": "}"}']
    assert parts.held == 0
    assert parts.feed(b',\n{"b": [') == []
    assert parts.feed(b"]}\n,{}]") == ['{"b": []}', "{}"]


def test_what_is_too_long_is_dropped_and_the_next_one_is_read() -> None:
    stream = json.dumps([{"a": "x" * 50}, {"b": 1}, {"c": [{"d": "]" * 50}]}, {"e": 1}]).encode()
    for size in (1, 7, len(stream)):
        chunks = (stream[at : at + size] for at in range(0, len(stream), size))
        assert fed(*chunks, max_part=40) == ['{"b": 1}', '{"e": 1}']


def test_what_is_kept_is_bounded() -> None:
    parts = JsonParts(1000)
    for _ in range(100):
        parts.feed(b'[{"a": "' + b"x" * 100)
        assert parts.held <= 1000


@given(chunks=st.lists(st.binary() | st.text(st.sampled_from('[]{}",\\a')).map(str.encode)))
def test_garbage_is_survived(chunks: list[bytes]) -> None:
    assert isinstance(fed(*chunks), list)


@pytest.mark.parametrize("piece", [b'"', b'"\\', b"\\", b'["a', b"{", b'"a"', b"a"])
def test_a_megabyte_of_anything_is_looked_at_once(piece: bytes) -> None:
    began = time.thread_time()
    fed(piece * (1024 * 1024 // len(piece)))
    # Half a second at the most; looking at the rest once more for each of them takes hours.
    assert time.thread_time() - began < 20
