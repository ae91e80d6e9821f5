"""Delta records: CodeMie's format is read as it is found and written as CodeMie reads it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.metrics.delta import Delta, Tokens, parse_delta
from support.hooks import hook_line


def test_a_record_of_codemies_hooks_is_read_field_by_field() -> None:
    delta = parse_delta(hook_line("r1", tokens={"input": 3, "output": 4, "cacheCreation": 5, "cacheRead": 6}))
    assert delta is not None
    assert (delta.record_id, delta.git_branch, delta.timestamp_ms) == ("r1", "main", 1_787_306_400_000)
    assert delta.tokens == Tokens(input=3, output=4, cache_creation=5, cache_read=6)
    assert delta.tool_status is not None
    assert (delta.tool_status["Edit"].success, delta.tool_status["Bash"].failure) == (1, 1)
    assert delta.file_operations is not None
    assert (delta.file_operations[0].type, delta.file_operations[0].lines_added) == ("edit", 5)
    assert (delta.wants_sync, delta.failures) == (True, True)


def test_what_we_do_not_know_is_written_again_as_it_was() -> None:
    found = json.loads(hook_line("r1", somethingNew={"deep": [None, 1.5, "x"]}, nothing=None, tools=None))
    delta = parse_delta(json.dumps(found).encode())
    assert delta is not None
    assert json.loads(delta.line()) == found


def test_a_new_record_is_one_line_of_plain_ascii_that_is_pending() -> None:
    line = Delta(record_id="r", models=("mödel\n\u2028",)).line()
    assert line.isascii()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b'"syncStatus":"pending","syncAttempts":0' in line
    assert set(json.loads(line)) == {"recordId", "models", "syncStatus", "syncAttempts"}


@pytest.mark.parametrize(
    "status,attempts,wants",
    [("pending", 0, True), ("failed", 2, True), ("failed", 3, False), ("synced", 1, False), ("syncing", 0, False)],
)
def test_what_is_to_be_sent_follows_codemies_rule(status: str, attempts: int, wants: bool) -> None:
    delta = parse_delta(hook_line("r", syncStatus=status, syncAttempts=attempts))
    assert delta is not None
    assert delta.wants_sync is wants


def test_a_record_without_a_mark_is_not_to_be_sent() -> None:
    delta = parse_delta(b'{"recordId":"r"}')
    assert delta is not None
    assert not delta.wants_sync


@pytest.mark.parametrize(
    "timestamp,ms",
    [
        (1_755_780_000_000, 1_755_780_000_000),
        (1_755_780_000_000.4, 1_755_780_000_000),
        ("2026-08-21T10:00:00.250Z", 1_787_306_400_250),
        ("2026-08-21T12:00:00+02:00", 1_787_306_400_000),
        ("2026-08-21T10:00:00", 1_787_306_400_000),
        ("yesterday", None),
        (10**30, None),
        (-5, None),
    ],
)
def test_a_timestamp_is_read_in_both_of_its_forms(timestamp: object, ms: int | None) -> None:
    delta = parse_delta(hook_line("r", timestamp=timestamp))
    assert delta is not None
    assert delta.timestamp_ms == ms
    assert delta.timestamp == timestamp, "as it was found"


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b'"text"', b"null", b"{}", b'{"recordId":5.5}', b"\xff\xfe{}", b"[" * 100_000, b"1" * 5000],
)
def test_a_damaged_line_is_no_record(line: bytes) -> None:
    assert parse_delta(line) is None


@given(line=st.binary(max_size=200))
def test_no_line_makes_the_reader_raise(line: bytes) -> None:
    parse_delta(line)
