"""As mitmproxy reads them, for fields that come once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from codemie_core.head_fields import field_value

NAMES = st.sampled_from([b"Content-Type", b"content-type", b"Content-Encoding", b"Upgrade", b"X"])


@given(st.lists(st.tuples(NAMES, st.binary(max_size=8)), unique_by=lambda field: field[0].lower()))
def test_a_field_is_found_as_mitmproxy_finds_it(fields: list[tuple[bytes, bytes]]) -> None:
    headers = http.Headers(tuple(fields))
    for name in ("content-type", "content-encoding", "upgrade", "x", "nope"):
        assert field_value(headers.fields, name.encode()) == headers.get(name, "")


def test_the_first_one_counts() -> None:
    assert field_value(((b"A", b"1"), (b"a", b"2")), b"a") == "1"
