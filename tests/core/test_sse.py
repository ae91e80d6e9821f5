from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codemie_core.sse import SseEvent, SseParser
from support.yardstick import microseconds


def event(data: str, name: str = "message", id: str | None = None, retry: int | None = None) -> SseEvent:
    return SseEvent(name, data, id, retry)


CORPUS: list[tuple[str, bytes, list[SseEvent]]] = [
    ("lf", b"data: a\n\ndata: b\n\n", [event("a"), event("b")]),
    ("crlf", b"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [event("a", "x"), event("b")]),
    ("cr", b"event: x\rdata: a\r\rdata: b\r\r", [event("a", "x"), event("b")]),
    ("mixed", b"data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\ndata: e\r\n\n", [event("a\nb\nc"), event("d"), event("e")]),
    ("lf then cr", b"data: a\n\rdata: b\n\r", [event("a"), event("b")]),
    ("bom", b"\xef\xbb\xbfdata: a\n\n", [event("a")]),
    ("bom twice", b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
    ("bom inside", b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [event("a")]),
    ("half a bom", b"\xef\xbbdata: a\n\ndata: b\n\n", [event("b")]),
    ("comments", b": ping\n\n:\n\ndata: a\n: inside\ndata: b\n\n", [event("a\nb")]),
    ("multi-line data", b"data: a\ndata\ndata: b\ndata:\n\n", [event("a\n\nb\n")]),
    ("empty data", b"data:\n\ndata\n\n", [event(""), event("")]),
    ("no data", b"event: ping\n\nid: 7\n\ndata: a\n\n", [event("a", id="7")]),
    ("one space only", b"data:a\n\ndata:  a\n\ndata:\ta\n\n", [event("a"), event(" a"), event("\ta")]),
    ("space before colon", b"data : a\n\n data: a\n\n", []),
    ("unknown field", b"foo: bar\nDATA: a\ndata: b\n\n", [event("b")]),
    ("colons in data", b'data: {"a": 1}\n\n', [event('{"a": 1}')]),
    ("last event name wins", b"event: a\nevent: b\ndata: 1\n\nevent\ndata: 2\n\n", [event("1", "b"), event("2")]),
    (
        "id stays",
        b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
        [event("a", id="1"), event("b", id="1"), event("c", id="")],
    ),
    ("id with nul", b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", [event("a", id="1"), event("b", id="1")]),
    ("retry", b"retry: 250\ndata: a\n\ndata: b\n\n", [event("a", retry=250), event("b")]),
    ("bad retry", b"retry: 1s\nretry: -1\nretry:\nretry: \xd9\xa3\ndata: a\n\n", [event("a")]),
    ("endless retry", b"retry: " + b"9" * 5000 + b"\ndata: a\n\n", [event("a")]),
    ("multi-byte", "data: žluťoučký 🐎\n\n".encode(), [event("žluťoučký 🐎")]),
    ("u+2028", "data: a\u2028b\u2029c\x85d\x0be\x0cf\n\n".encode(), [event("a\u2028b\u2029c\x85d\x0be\x0cf")]),
    ("broken utf-8", b"data: \xff\xc3\n\n", [event("\ufffd\ufffd")]),
    ("no blank line at the end", b"data: a\n\ndata: b\n", [event("a")]),
    ("no line end at the end", b"data: a\n\ndata: b", [event("a")]),
    ("blank lines", b"\n\r\n\r\r\n\n", []),
    ("empty", b"", []),
]
STREAMS = pytest.mark.parametrize("stream, expected", [row[1:] for row in CORPUS], ids=[row[0] for row in CORPUS])


def parsed(*chunks: bytes, max_event: int = 1024 * 1024) -> tuple[list[SseEvent], int]:
    parser = SseParser(max_event)
    events = [found for chunk in chunks for found in parser.feed(chunk)]
    return events + parser.finish(), parser.dropped


def in_single_bytes(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


@STREAMS
def test_events_are_read_as_the_specification_says(stream: bytes, expected: list[SseEvent]) -> None:
    assert parsed(stream) == (expected, 0)


@STREAMS
def test_every_two_way_split_gives_the_same_events(stream: bytes, expected: list[SseEvent]) -> None:
    for at in range(len(stream) + 1):
        assert parsed(stream[:at], stream[at:]) == (expected, 0), at
        assert parsed(stream[:at], b"", stream[at:]) == (expected, 0), at


@STREAMS
def test_single_bytes_give_the_same_events(stream: bytes, expected: list[SseEvent]) -> None:
    assert parsed(*in_single_bytes(stream)) == (expected, 0)


def test_the_whole_corpus_in_one_chunk_gives_all_events_in_order() -> None:
    ended = [(stream, expected) for name, stream, expected in CORPUS if "at the end" not in name]
    without_state = [row for row in ended if b"id" not in row[0] and b"\xef\xbb" not in row[0]]
    stream = b"\n\n".join(stream for stream, _ in without_state)
    assert parsed(stream)[0] == [found for _, expected in without_state for found in expected]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n"])
def test_an_event_is_out_as_soon_as_its_blank_line_is(end: bytes) -> None:
    parser = SseParser()
    assert parser.feed(b"data: a" + end[:1]) == []
    assert parser.feed(end[1:]) == [event("a")]


def test_a_carriage_return_ends_its_line_without_waiting_for_a_line_feed() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\r\r") == [event("a")]
    assert parser.feed(b"\ndata: b\n\n") == [event("b")]


LINES = st.sampled_from(
    [
        b"data",
        b"data:",
        b"event: x",
        b"id: 1",
        b"retry: 5",
        b": c",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\xef\xbb\xbf",
        b"\0",
        "é".encode(),
        b"\xff",
        b"a" * 30,
        b"data: " + b"b" * 15,
    ]
)
GARBAGE = st.lists(LINES | st.binary(max_size=4)).map(b"".join)


@settings(deadline=None)
@given(GARBAGE, st.lists(st.integers(0, 200)), st.sampled_from([1, 8, 16, 40, 1024]))
def test_garbage_never_raises_and_means_the_same_however_it_is_split(
    stream: bytes, cuts: list[int], max_event: int
) -> None:
    whole = parsed(stream, max_event=max_event)
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert parsed(*(stream[a:b] for a, b in pairwise(borders)), max_event=max_event) == whole
    assert parsed(*in_single_bytes(stream), max_event=max_event) == whole


ENDLESS = {
    "one data line": (b"data: ", b"x" * 1000, 1),
    "a field name": (b"", b"x" * 1000, 1),
    "many data lines": (b"", b"data: " + b"x" * 90 + b"\n", 1),
    "empty data lines": (b"", b"data\n" * 100, 1),
    "one event name": (b"event: ", b"x" * 1000, 1),
    "one comment": (b":", b"x" * 1000, 0),
    "many comments": (b"", b": ping\n" * 100, 0),
    "ids": (b"", b"id: 1\n" * 100, 0),
}


@pytest.mark.parametrize("start, chunk, dropped", ENDLESS.values(), ids=ENDLESS.keys())
def test_an_endless_event_stays_within_the_cap_and_parsing_goes_on(start: bytes, chunk: bytes, dropped: int) -> None:
    parser = SseParser(max_event=4096)
    assert parser.feed(b"data: before\n\n" + start) == [event("before")]
    for _ in range(200):
        assert parser.feed(chunk) == []
        assert parser.held <= 2 * 4096
    after = parser.feed(b"\n\ndata: after\n\n")
    assert [found.data for found in after] == ["after"]
    assert parser.dropped == dropped


def test_an_oversized_event_loses_its_name_and_retry_and_is_counted_once() -> None:
    stream = b"event: x\nretry: 5\ndata: " + b"a" * 50 + b"\ndata: " + b"b" * 50 + b"\ndata: c\n\ndata: d\n\n"
    assert parsed(stream, max_event=40) == ([event("d")], 1)


def test_an_event_of_exactly_the_cap_passes() -> None:
    assert parsed(b"data:abcd\ndata:efgh\n\n", max_event=10) == ([event("abcd\nefgh")], 0)
    assert parsed(b"data:abcd\ndata:efghi\n\n", max_event=10) == ([], 1)


def test_finishing_discards_what_has_no_blank_line_and_keeps_nothing() -> None:
    parser = SseParser()
    parser.feed(b"event: x\ndata: a\ndata: half")
    assert parser.held > 0
    assert parser.finish() == []
    assert parser.held == 0


@pytest.mark.parametrize("in_one_chunk", [1, 100])
def test_an_event_costs_well_under_ten_microseconds(in_one_chunk: int) -> None:
    one = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"hello world hello"}}\n\n'
    chunk, parser = one * in_one_chunk, SseParser()

    def feed() -> None:
        for _ in range(1000 // in_one_chunk):
            parser.feed(chunk)

    assert microseconds(feed, 1000) < 10


def test_a_long_line_in_single_bytes_takes_linear_time() -> None:
    parser = SseParser()

    def feed() -> None:
        for _ in range(300_000):
            parser.feed(b"x")

    assert microseconds(feed, 300_000, rounds=1) < 10


LINES = st.sampled_from(
    [
        b"event: a",
        b"event:b",
        b"event: ",
        b"data: 1",
        b"data:2",
        b"data: ",
        b"data",
        b"id: 7",
        b"retry: 9",
        b": c",
        b"x: y",
    ]
)


@given(st.lists(st.lists(LINES, min_size=1, max_size=4), max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_chunk_that_is_one_event_means_what_its_bytes_mean(events: list[list[bytes]], newline: bytes) -> None:
    chunks = [newline.join(lines) + 2 * newline for lines in events]
    by_chunk, by_byte = SseParser(), SseParser()
    said = [event for chunk in chunks for event in by_chunk.feed(chunk)]
    assert said == [event for byte in b"".join(chunks) for event in by_byte.feed(bytes([byte]))]


def test_a_chunk_after_half_an_event_belongs_to_it() -> None:
    for half, expected in (
        (b"data: a\n", [SseEvent("message", "a\nb", None, None)]),
        (b"event: x\n", [SseEvent("x", "b", None, None)]),
        (b"retry: 5\n", [SseEvent("message", "b", None, 5)]),
        (b"dat", []),
        (b": comment\r", [SseEvent("message", "b", None, None)]),
    ):
        parser = SseParser()
        parser.feed(b"data: first\n\n")
        assert parser.feed(half) == []
        assert parser.feed(b"data: b\n\n") == expected, half
