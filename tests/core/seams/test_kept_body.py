"""Of a streamed body the first bytes are kept, up to a bound; where a stream is cut, what came of it."""

import math
from collections.abc import Iterator

import pytest

from codemie_core.seams.kept_body import BOUND, KeptBody


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = BOUND.most
    yield
    BOUND.most = before


@pytest.mark.parametrize("most", [0, 1, 3, 5, 6, 100, math.inf])
def test_the_first_bytes_are_kept(most: float) -> None:
    BOUND.most = most
    body = KeptBody()
    for piece in (b"ab", b"", b"cd", b"ef", b"gh"):
        body += piece
    kept = b"abcdefgh"[: int(min(most, 8))]
    assert (bytes(body), len(body), bool(body)) == (kept, len(kept), bool(kept))


def test_a_bound_that_changes_counts_for_later_bodies() -> None:
    BOUND.most = 4
    body = KeptBody()
    BOUND.most = 1
    body += b"abcd"
    assert bytes(body) == b"abcd"
    body = KeptBody()
    body += b"abcd"
    assert bytes(body) == b"a"
