"""Which trace a client's headers name, and that they are taken off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from codemie_core.telemetry.trace_context import Parents, TraceParent, parent_in, without_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"
PARENT = TraceParent(int(TRACE, 16), int(SPAN, 16), sampled=True)


@pytest.mark.parametrize(
    "value, parent",
    [
        (GOOD, PARENT),
        (f" {GOOD} ", PARENT),
        (f"00-{TRACE}-{SPAN}-00", TraceParent(PARENT.trace_id, PARENT.span_id, sampled=False)),
        (f"00-{TRACE}-{SPAN}-ff", PARENT),
        (f"01-{TRACE}-{SPAN}-01", PARENT),
        (f"cc-{TRACE}-{SPAN}-01-what-will-come", PARENT),
        (f"00-{TRACE}-{SPAN}-01-what-will-come", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        ("", None),
    ],
)
def test_a_parent_is_read_as_the_standard_says(value: str, parent: TraceParent | None) -> None:
    assert parent_in([(b"Traceparent", value.encode())]) == parent


def test_two_parents_are_none() -> None:
    assert parent_in([(b"traceparent", GOOD.encode())] * 2) is None


def test_the_state_goes_with_it_unless_it_is_endless() -> None:
    fields = [(b"traceparent", GOOD.encode()), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
    found = parent_in(fields)
    assert found is not None
    assert found.state == "a=1,b=2"
    endless = parent_in([*fields, (b"tracestate", b"c=" + b"x" * 600)])
    assert endless is not None
    assert endless.state == ""


@given(st.binary(max_size=80) | st.from_regex(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True))
def test_we_agree_with_opentelemetrys_own_reader(value: bytes) -> None:
    found = parent_in([(b"traceparent", value)])
    text = value.decode("latin-1")
    if text != text.strip():
        return
    theirs = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": text})).get_span_context()
    assert (found is not None) == theirs.is_valid
    if found is not None:
        assert (found.trace_id, found.span_id, found.sampled) == (
            theirs.trace_id,
            theirs.span_id,
            bool(theirs.trace_flags.sampled),
        )


def test_its_headers_are_taken_off_however_they_are_spelled() -> None:
    fields = ((b"Traceparent", b"1"), (b"a", b"2"), (b"TRACESTATE", b"3"), (b"baggage", b"4"), (b"traceparents", b"5"))
    assert without_context(fields) == ((b"a", b"2"), (b"traceparents", b"5"))


def test_headers_without_a_trace_stay_the_very_same() -> None:
    fields = ((b"a", b"1"), (b"b", b"2"))
    assert without_context(fields) is fields


def test_a_parent_is_kept_until_its_turn_is_recorded() -> None:
    parents = Parents()
    parents.put("one", PARENT)
    assert parents.take("one") == PARENT
    assert (parents.take("one"), len(parents)) == (None, 0)


def test_all_turns_of_a_websocket_share_their_parent() -> None:
    parents = Parents()
    parents.put("one", PARENT)
    assert [parents.take("one.1"), parents.take("one.2"), parents.take("two.1")] == [PARENT, PARENT, None]


def test_parents_of_turns_that_are_never_recorded_do_not_pile_up() -> None:
    parents = Parents(most=2)
    for name in ("one", "two", "three"):
        parents.put(name, PARENT)
    assert len(parents) == 2
    assert parents.take("one") is None
