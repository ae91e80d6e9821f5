"""Compares what is measured of an answer with the reference, however the answer arrives."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import gettempdir

import brotli  # type: ignore[import-untyped]  # ships no type information
import zstandard

from codemie_core.places import Places
from codemie_core.pricing import PriceBook
from codemie_core.tap import Tap
from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.cost import Cost
from codemie_core.usage.stream import StreamMeter
from support import streams_anthropic, streams_chat, streams_gemini, streams_recorded, streams_responses
from support.streams import EVERY_MS, Shape

PRICED_AT = datetime(2026, 11, 1, tzinfo=UTC)
CHUNKINGS = 4
"""Random ones per coding, seeded."""


@cache
def shapes() -> tuple[Shape, ...]:
    """All shapes of all APIs."""
    modules = (streams_anthropic, streams_chat, streams_responses, streams_gemini, streams_recorded)
    return tuple(shape for module in modules for shape in module.shapes())


@dataclass(slots=True)
class Tally:
    """What one check did: how many ways it tried, and which of them came out wrong."""

    tried: int = 0
    wrong: list[str] = field(default_factory=list)

    def compare(self, shape: Shape, expected: Answer, found: Answer, how: str, *, times: bool = False) -> None:
        """One more way."""
        self.tried += 1
        if problems := differences(shape, expected, found, times=times):
            self.wrong.append(f"{how}: {'; '.join(problems)}")


class Clock:
    """Milliseconds since the exchange began."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def meter(shape: Shape, clock: Callable[[], float] = lambda: 0.0) -> StreamMeter:
    """A meter that knows the head of the response."""
    found = StreamMeter(shape.api, clock)
    found.begin(shape.content_type)
    return found


def measured(shape: Shape, chunks: Iterable[bytes]) -> Answer:
    """What is known once these bytes have passed."""
    found = meter(shape)
    for chunk in chunks:
        found(chunk)
    return found.finish()


def differences(shape: Shape, expected: Answer, found: Answer, *, times: bool = False) -> list[str]:
    """Fields that are not as they should be. Without `times` only that there are times is compared."""
    expected, found = (_comparable(shape, each, times) for each in (expected, found))
    names = [each.name for each in fields(Answer)]
    pairs = ((name, getattr(expected, name), getattr(found, name)) for name in names)
    return [f"{name} is {got!r}, not {wanted!r}" for name, wanted, got in pairs if got != wanted]


def _comparable(shape: Shape, answer: Answer, times: bool) -> Answer:
    if not times:
        first, last = (None if each is None else 0.0 for each in (answer.first_token_ms, answer.last_token_ms))
        answer = replace(answer, first_token_ms=first, last_token_ms=last)
    usage = replace(answer.usage, server_tools=dict(answer.usage.server_tools))
    tools = tuple(_with_plain_arguments(call) for call in answer.tools) if shape.objects else answer.tools
    return replace(answer, usage=usage, tools=tools)


def _with_plain_arguments(call: ToolCall) -> ToolCall:
    try:
        return replace(call, arguments=json.dumps(json.loads(call.arguments), sort_keys=True))
    except ValueError:
        return call


def whole(shape: Shape) -> Tally:
    """Piece by piece, each at its time."""
    tally, clock = Tally(), Clock()
    found = meter(shape, clock)
    given = [_give(found, shape, part, clock) for part in shape.parts]
    if shape.form == "messages" and [answer is not None for answer in given].index(True) < len(given) - 1:
        tally.wrong.append("a message ends the turn that is not the last")
    tally.compare(shape, shape.whole, given[-1] or found.finish(), "whole", times=True)
    return tally


def cuts(shape: Shape) -> Tally:
    """Ended after every piece, and after every byte of it."""
    tally = Tally()
    if len(shape.answers) == 1:
        return tally
    for count in range(len(shape.parts) + 1):
        clock = Clock()
        found = meter(shape, clock)
        given = [_give(found, shape, part, clock) for part in shape.parts[:count]]
        last = given[-1] if given else None
        tally.compare(shape, shape.answers[count], last or found.finish(), f"cut after {count} pieces", times=True)
    if shape.form == "json":
        for end in range(len(shape.body)):
            tally.compare(shape, Answer(), measured(shape, [shape.body[:end]]), f"cut after {end} bytes")
    elif shape.form != "messages":
        _cut_everywhere(shape, tally)
    return tally


def _cut_everywhere(shape: Shape, tally: Tally) -> None:
    found = meter(shape)
    for count, part in enumerate(shape.parts):
        for end in range(1, len(part)):
            found(part[end - 1 : end])
            # Of an array an element is known with its last bracket, which no byte of the next one follows.
            tally.compare(shape, shape.answers[count], found.finish(), f"cut in piece {count} after {end} bytes")
        found(part[-1:])


def splits(shape: Shape) -> Tally:
    """In two chunks, parted at every byte; and one byte at a time."""
    tally, body = Tally(), shape.body
    if shape.form == "messages":
        return tally
    for end in range(len(body) + 1):
        tally.compare(shape, shape.whole, measured(shape, [body[:end], body[end:]]), f"parted at {end}")
    clock = Clock()
    found = meter(shape, clock)
    for place in range(len(body)):
        clock.now = place + 1.0
        found(body[place : place + 1])
    tally.compare(shape, _timed_by_bytes(shape), found.finish(), "one byte at a time", times=True)
    return tally


def _timed_by_bytes(shape: Shape) -> Answer:
    """The same answer, where the n-th byte arrives at n: an event is there with its last one."""
    ends = [0, *accumulate(len(part) for part in shape.parts)]
    times = (shape.whole.first_token_ms, shape.whole.last_token_ms)
    first, last = (None if time is None else float(ends[round(time / EVERY_MS)]) for time in times)
    return replace(shape.whole, first_token_ms=first, last_token_ms=last)


def line_ends(shape: Shape) -> Tally:
    """With CRLF and with CR, whole, one byte at a time, and with an empty chunk after each."""
    tally = Tally()
    for name, ending in (("CRLF", b"\r\n"), ("CR", b"\r")) if shape.form == "sse" else ():
        body = shape.with_line_ends(ending).body
        single = [body[place : place + 1] for place in range(len(body))]
        tally.compare(shape, shape.whole, measured(shape, [body]), name)
        tally.compare(shape, shape.whole, measured(shape, single), f"{name}, one byte at a time")
        tally.compare(shape, shape.whole, measured(shape, [b"\xef\xbb\xbf", body, b""]), f"{name} after a BOM")
    return tally


def codings(shape: Shape) -> Tally:
    """Compressed, in chunks of any length, through what observes a response."""
    tally = Tally()
    if shape.form == "messages":
        return tally
    for coding, compressed in (*_encoded(shape.parts), *_encoded([shape.body])):
        dice = random.Random(f"{shape.name} {coding}")
        for number in range(CHUNKINGS):
            found = meter(shape)
            failures: list[object] = []
            tap = Tap(coding, [found], lambda *failed: failures.append(failed))  # noqa: B023 (called in this round only)
            chunks = list(chunked(compressed, dice))
            passed = b"".join(tap(chunk) for chunk in chunks) + tap(b"")
            how = f"{coding}, chunking {number}"
            tally.compare(shape, shape.whole, found.finish(), how)
            if failures or passed != compressed:
                tally.wrong.append(f"{how}: {failures or 'bytes changed'}")
    return tally


def cost(shape: Shape) -> Tally:
    """The price of the whole answer."""
    tally = Tally(tried=1)
    found = priced(shape)
    if (shape.model or shape.rates) and found.nano_usd != shape.nano_usd:
        tally.wrong.append(f"it costs {found.nano_usd}, not {shape.nano_usd}")
    return tally


CHECKS: dict[str, Callable[[Shape], Tally]] = {
    check.__name__: check for check in (whole, cuts, splits, line_ends, codings, cost)
}


@cache
def result(check: str, name: str, api: str) -> Tally:
    """Of one check of one shape; each is made once."""
    [shape] = [one for one in shapes() if (one.name, one.api) == (name, api)]
    return CHECKS[check](shape)


def priced(shape: Shape) -> Cost:
    """What our price list says it costs."""
    return prices().price(shape.provider, shape.model, measured_whole(shape).usage, PRICED_AT)


def measured_whole(shape: Shape) -> Answer:
    """What is measured of all of it."""
    clock = Clock()
    found = meter(shape, clock)
    given = [_give(found, shape, part, clock) for part in shape.parts]
    return given[-1] or found.finish()


@cache
def prices() -> PriceBook:
    """The installed price list alone."""
    # A folder that does not exist: no prices of one's own.
    return PriceBook(Places(Path(gettempdir()) / "codemie-no-such-home"))


def _give(found: StreamMeter, shape: Shape, part: bytes, clock: Clock) -> Answer | None:
    clock.now += EVERY_MS
    if shape.form == "messages":
        return found.message(part)
    found(part)
    return None


def _encoded(parts: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Flushed after each part, as servers do so that events arrive."""
    gzip = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    yield "gzip", b"".join(gzip.compress(part) + gzip.flush(zlib.Z_SYNC_FLUSH) for part in parts) + gzip.flush()
    br = brotli.Compressor()
    yield "br", b"".join(br.process(part) + br.flush() for part in parts) + br.finish()
    zstd = zstandard.ZstdCompressor().compressobj()
    flushed = (zstd.compress(part) + zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for part in parts)
    yield "zstd", b"".join(flushed) + zstd.flush()


def chunked(body: bytes, dice: random.Random) -> Iterator[bytes]:
    """In pieces of random lengths, none of them empty."""
    count = min(len(body), dice.choice((1, 3, 10, 50, 200)))
    ends = sorted(dice.sample(range(1, len(body)), count - 1)) if count > 1 else []
    for start, end in pairwise((0, *ends, len(body))):
        yield body[start:end]
