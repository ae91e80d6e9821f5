import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.usage.json_values import (
    LARGEST_COUNT,
    count,
    error_kind,
    plain_length,
    rows,
    table,
    text,
    without_halves,
    word,
    written,
)

VALUES = [None, True, 0, -1, 1.5, "x", "", [], [1], {}, {"a": 1}, float("inf"), 10**400]


@pytest.mark.parametrize("value", VALUES)
def test_the_wrong_type_is_as_good_as_nothing(value: object) -> None:
    assert table(value) == (value if isinstance(value, dict) else {})
    assert list(rows(value)) == (value if isinstance(value, list) else [])
    assert text(value) == word(value) == (value if isinstance(value, str) else "")
    assert count(value) == (0 if value == 0 and not isinstance(value, bool) else None)


def test_only_whole_numbers_from_zero_to_a_billion_count() -> None:
    assert [count(value) for value in (0, 1, LARGEST_COUNT)] == [0, 1, LARGEST_COUNT]
    assert [count(value) for value in (LARGEST_COUNT + 1, -1, True, False, 1.0, "1")] == [None] * 6


@pytest.mark.parametrize(
    "value, expected",
    [("claude-sonnet-4-5", "claude-sonnet-4-5"), ("a\nb\0c\ud83d", "abc"), ("é 世", "é 世"), ("x" * 300, "x" * 200)],
)
def test_a_word_is_short_and_printable(value: str, expected: str) -> None:
    assert word(value) == expected


@given(words=st.text(), after=st.text())
def test_a_plain_length_is_exact_or_not_given(words: str, after: str) -> None:
    for ascii_only in (False, True):
        data = json.dumps({"text": words, "more": after}, ensure_ascii=ascii_only, separators=(",", ":"))
        length = plain_length(data, '"text":"')
        assert length == (len(words) if "\\" not in json.dumps(words, ensure_ascii=ascii_only) else -1)


@given(words=st.text())
def test_words_never_look_like_an_opening(words: str) -> None:
    data = json.dumps({"first": words + '"text":"' + words})
    assert plain_length(data, '"text":"') == -1


@pytest.mark.parametrize(
    "data, expected",
    [('{"text":"abc"}', 3), ('{"text":""}', 0), ('{"text":"abc","x":1}', -1), ('{"text":"abc', -1), ("", -1)],
)
def test_a_plain_length_ends_where_it_should(data: str, expected: int) -> None:
    assert plain_length(data, '"text":"', '"}') == expected


def test_a_value_is_written_as_it_came() -> None:
    assert written({"a": [1, "é", None, 1.5]}) == '{"a":[1,"é",null,1.5]}'
    assert json.loads(written(json.loads('{"a": "\\ud83d"}'))) == {"a": "\ud83d"}


def test_a_value_too_deep_to_be_written_is_nothing() -> None:
    deep: object = {}
    for _ in range(100_000):
        deep = [deep]
    assert written(deep) == ""


@pytest.mark.parametrize(
    "value, expected", [("a", "a"), ("\ud83d\ude00", "😀"), ("😀", "😀"), ("a\ud83db", "a\ufffdb")]
)
def test_halves_of_characters_are_joined_or_replaced(value: str, expected: str) -> None:
    assert without_halves(value) == expected


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"error": {"type": "overloaded_error"}}, "overloaded_error"),
        ({"error": {"code": 503, "status": "UNAVAILABLE"}}, "UNAVAILABLE"),
        ({"error": {"code": "server_error", "type": "x"}}, "server_error"),
        ({"type": "error", "code": "server_error"}, "server_error"),
        ({"type": "error"}, ""),
        ({"error": "words"}, ""),
        ({"error": {"code": "x" * 300}}, "x" * 80),
    ],
)
def test_an_error_is_named_in_the_provider_s_word(body: dict[str, object], kind: str) -> None:
    assert error_kind(body) == kind
