import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.admin.cursor import LONGEST, decode, encode
from codemie_core.admin.problems import BadQuestion


@given(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_what_was_encoded_comes_back_and_fits_into_a_url(number: int, text: str) -> None:
    cursor = encode(number, text)
    assert decode(cursor, int, str) == [number, text]
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "%%%", "WzFd", encode(1), encode("a", 1), encode(1, "a", "b"), encode(2**63, "a"), "é" * 9),
        *("W" * (LONGEST + 1), "W1tbW1tb", "eyJhIjoxfQ", encode(True, "a")),
    ],
)
def test_anything_else_is_a_bad_question(cursor: str) -> None:
    with pytest.raises(BadQuestion, match="begin without one"):
        decode(cursor, int, str)
