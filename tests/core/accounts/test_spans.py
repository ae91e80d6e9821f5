import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.accounts.spans import cuts, only, parts, whole, without

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)
LAYOUTS = st.sampled_from(
    [{"separators": (",", ":")}, {"indent": 1}, {"ensure_ascii": False}, {"separators": (" ,\n", "\t: ")}]
)


@given(st.lists(JSON, max_size=6) | st.dictionaries(st.text(max_size=4), JSON, max_size=6), LAYOUTS)
def test_every_part_is_where_it_says(value: Any, layout: dict[str, Any]) -> None:
    text = f" {json.dumps(value, **layout)}\n"
    found = parts(text, whole(text))
    assert [json.loads(text[part.at : part.end]) for part in found] == list(
        value.values() if isinstance(value, dict) else value
    )
    assert [part.key for part in found] == (list(value) if isinstance(value, dict) else [""] * len(value))


@given(st.lists(JSON, max_size=6), st.sets(st.integers(0, 5)), LAYOUTS)
def test_what_is_cut_is_gone_and_the_rest_is_there_byte_for_byte(
    value: list[Any], numbers: set[int], layout: dict[str, Any]
) -> None:
    text = json.dumps(value, **layout)
    among = parts(text, whole(text))
    dropped = {number for number in numbers if number < len(value)}
    left = without(text, cuts(among, dropped))
    assert json.loads(left) == [one for number, one in enumerate(value) if number not in dropped]
    for number, part in enumerate(among):
        assert number in dropped or text[part.start : part.end] in left


@given(st.dictionaries(st.text(max_size=4), JSON, min_size=1, max_size=6), st.data(), LAYOUTS)
def test_members_are_cut_with_their_keys(value: dict[str, Any], data: st.DataObject, layout: dict[str, Any]) -> None:
    text = json.dumps(value, **layout)
    gone = data.draw(st.sampled_from(list(value)))
    number = list(value).index(gone)
    left = json.loads(without(text, cuts(parts(text, whole(text)), {number})))
    assert left == {key: inner for key, inner in value.items() if key != gone}


def test_a_key_that_comes_twice_is_nobodys() -> None:
    text = '{"a": 1, "b": 2, "\\u0061": 3}'
    request = whole(text)
    assert [part.key for part in parts(text, request)] == ["a", "b", "a"]
    assert only(text, request, "a") is None
    assert only(text, request, "c") is None
    found = only(text, request, "b")
    assert found is not None
    assert text[found.start : found.end] == '"b": 2'


@pytest.mark.parametrize("text", ["", " ", "{", '{"a"}', "[1,]", "[1 2]", "1 2", "{}x", "nope", "\ufeff{}"])
def test_what_is_no_json_raises(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Extra|Illegal|more than one"):
        whole(text)


def test_spans_may_come_in_any_order() -> None:
    assert without("abcdef", [(4, 5), (0, 2)]) == "cdf"


def test_nothing_to_cut_leaves_the_text() -> None:
    assert without("text", []) == "text"
    assert cuts([], set()) == []
