"""Does garbage do harm? `python -m soak.fuzz` within tests/, with addons/ on the path too; seeded, for so many seconds.

Answers of all APIs are broken in every way the dice know (bytes, lines, JSON values, codings, other APIs' events,
endless lines) and go through what watches a response. No exception may leave it, no byte may change, and what it counts
must be fit for the price list and the database. Ends with 1 and shows the round when any of it fails; `--seed` and
`--first` play that round again.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from codemie_core.decoding import stream_decoder
from codemie_core.tap import Tap
from codemie_core.usage.answer import Answer
from codemie_core.usage.apis import MODEL_APIS
from codemie_core.usage.draft import LONGEST_ARGUMENTS, MOST_CALLS
from codemie_core.usage.files import file_operations
from codemie_core.usage.stream import StreamMeter
from support import streams_random
from support.accuracy import PRICED_AT, prices, shapes
from support.streams import Shape

LARGEST = 2 * 1024 * 1024
AGENTS = ("claude", "codex", "gemini", "opencode", "")
LARGEST_STORED = 2**63 - 1
ODD: tuple[object, ...] = (
    *(None, True, False, 0, -1, 2**63, 10**30, 1.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", "x" * 5000, "\ud800", "\udc00\ud800", "\x00", "\u202e", "💥", '{"a":', "response.completed", "[DONE]"),
    *([], {}, [[]], {"": {}}, [None], {"index": -1}, {"type": "tool_use"}, {"error": "text"}, {"usage": []}),
)


@dataclass(slots=True)
class Report:
    """What happened."""

    rounds: int = 0
    size: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    complete: int = 0
    counted: int = 0
    failures: list[str] = field(default_factory=list)


def main() -> int:
    """0 when nothing did harm."""
    teaching = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="python -m soak.fuzz", description=teaching[0], epilog=teaching[2])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--rounds", type=int, default=sys.maxsize, help="or how many rounds")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    parser.add_argument("--first", type=int, default=0, help="the first round (default: 0)")
    asked = parser.parse_args()
    report = fuzz(asked.seed, asked.rounds, asked.seconds, asked.first)
    print("\n".join(report.failures))
    ways = ", ".join(f"{name} {count}" for name, count in sorted(report.broken.items()))
    print(f"{report.rounds} rounds, {report.size / 1e6:.1f} MB: {ways}")
    print(f"{report.counted} answers still had counts, {report.complete} their end; {len(report.failures)} did harm")
    return 1 if report.failures else 0


def fuzz(seed: int, rounds: int, seconds: float, first: int = 0) -> Report:
    """So many rounds, or as many as there is time for. Each round has dice of its own."""
    report, end = Report(), time.monotonic() + seconds
    for number in range(first, first + rounds):
        if time.monotonic() > end:
            break
        dice = random.Random(f"{seed}-{number}")
        try:
            one_round(dice, report)
        except Exception:
            report.failures.append(f"round {number} of seed {seed}:\n{traceback.format_exc()}")
        report.rounds += 1
    return report


def one_round(dice: random.Random, report: Report) -> None:
    """One broken answer. Raises whatever is wrong."""
    shape = streams_random.answer(dice) if dice.random() < 0.3 else dice.choice(shapes())
    body = shape.body
    for _ in range(dice.choice((0, 1, 1, 1, 2, 5))):
        name, change = dice.choice(WAYS)
        report.broken[name] += 1
        body = change(dice, body, shape)[:LARGEST]
    report.size += len(body)
    api = shape.api if dice.random() < 0.9 else dice.choice(MODEL_APIS)
    meter = StreamMeter(api, dice.random)
    if dice.random() < 0.8:
        meter.begin(
            dice.choice((shape.content_type, shape.content_type, "application/json", "", "\x00;;", "text/html"))
        )
    if shape.form == "messages" or dice.random() < 0.1:
        answer = _as_messages(meter, body)
    else:
        answer = _through_the_tap(dice, meter, body)
    judge(answer)
    report.complete += answer.complete
    report.counted += answer.usage.total is not None


def _as_messages(meter: StreamMeter, body: bytes) -> Answer:
    last = None
    for line in body.split(b"\n"):
        last = meter.message(line) or last
    return last or meter.finish()


def _through_the_tap(dice: random.Random, meter: StreamMeter, body: bytes) -> Answer:
    """Compressed or not, in any chunks. Without the tap's own protection: it would hide what we look for."""
    coding = dice.choice(("", "", "gzip", "deflate", "br", "zstd", "gzip, br", "unknown"))
    wire = zlib.compress(body, wbits=31) if coding == "gzip" and dice.random() < 0.9 else body
    decoder = stream_decoder(coding, 64 * 1024 * 1024)
    alone = StreamMeter(meter.api, dice.random)

    def failed(_: object, error: Exception) -> None:
        raise error

    tap = Tap(coding, [meter], failed)
    passed = bytearray()
    for chunk in _chunks(dice, wire):
        passed += tap(chunk)
        if decoder is not None:
            alone(decoder.feed(chunk))
    passed += tap(b"")
    assert passed == wire, "bytes changed on their way to the client"
    alone.finish()
    return meter.finish()


def judge(answer: Answer) -> None:
    """Raises when anything of it could not be kept."""
    usage = answer.usage
    words = [answer.model, answer.response_id, answer.stop_reason, answer.error, usage.tier, *usage.server_tools]
    words += [word for call in answer.tools for word in (call.id, call.name)]
    for word in words:
        assert word.isprintable(), f"{word!r} is no word"
        assert len(word) <= 200, f"{len(word)} characters are no word"
    counts = (usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.output, usage.reasoning)
    for count in (*counts, *usage.server_tools.values(), answer.events, answer.text_chars):
        assert count is None or (type(count) is int and 0 <= count <= LARGEST_STORED), f"{count!r} is no count"
    assert len(answer.tools) <= MOST_CALLS
    assert [call.index for call in answer.tools] == list(range(len(answer.tools)))
    for call in answer.tools:
        call.arguments.encode()
        assert len(call.arguments) <= LONGEST_ARGUMENTS
        for agent in AGENTS:
            file_operations(agent, call)
    cost = prices().price("anthropic", "claude-sonnet-4-5", usage, PRICED_AT)
    assert cost.nano_usd is None or 0 <= cost.nano_usd <= LARGEST_STORED


def _flipped(dice: random.Random, body: bytes, _: Shape) -> bytes:
    found = bytearray(body)
    for _number in range(dice.randrange(1, 20)):
        if found:
            found[dice.randrange(len(found))] = dice.randrange(256)
    return bytes(found)


def _without(dice: random.Random, body: bytes, _: Shape) -> bytes:
    start, end = _range(dice, body)
    return body[:start] + body[end:]


def _twice(dice: random.Random, body: bytes, _: Shape) -> bytes:
    start, end = _range(dice, body)
    place = dice.randrange(len(body) + 1)
    return body[:place] + body[start:end] * dice.choice((1, 2, 50)) + body[place:]


def _cut(dice: random.Random, body: bytes, _: Shape) -> bytes:
    return body[: dice.randrange(len(body) + 1)]


def _shuffled(dice: random.Random, body: bytes, shape: Shape) -> bytes:
    parts = list(shape.parts)
    dice.shuffle(parts)
    return b"".join(parts)


def _mixed(dice: random.Random, body: bytes, shape: Shape) -> bytes:
    other = dice.choice(shapes())
    return b"".join(dice.choice((one, two)) for one, two in zip(shape.parts, other.parts, strict=False)) + body


def _endless(dice: random.Random, body: bytes, _: Shape) -> bytes:
    place = dice.randrange(len(body) + 1)
    size = dice.choice((1_000, 70_000, 300_000, 1_100_000))
    return (
        body[:place]
        + dice.choice((b"x", b"[", b'{"a":', b'"\\', b"9", b"data: ", b"\n", b"\xff")) * size
        + body[place:]
    )


def _noise(dice: random.Random, body: bytes, _: Shape) -> bytes:
    place = dice.randrange(len(body) + 1)
    return body[:place] + dice.randbytes(dice.randrange(200)) + body[place:]


def odd_values(dice: random.Random, body: bytes, _: Shape) -> bytes:
    """Some JSON values are replaced by others that do not belong there."""
    lines = []
    for line in body.split(b"\n"):
        head, data = (line[:6], line[6:]) if line.startswith(b"data: ") else (b"", line)
        if data.startswith((b"{", b"[")) and dice.random() < 0.4:
            try:
                data = json.dumps(_odd(dice, json.loads(data))).encode()
            except (ValueError, RecursionError):
                pass  # broken already
        lines.append(head + data)
    return b"\n".join(lines)


def _odd(dice: random.Random, value: object) -> object:
    if dice.random() < 0.06:
        return dice.choice(ODD)
    if isinstance(value, dict):
        return {name: _odd(dice, each) for name, each in value.items() if dice.random() > 0.03}
    if isinstance(value, list):
        return [_odd(dice, each) for each in value for _ in range(dice.choice((1, 1, 1, 3)))]
    return value


def _range(dice: random.Random, body: bytes) -> tuple[int, int]:
    start = dice.randrange(len(body) + 1)
    return start, min(len(body), start + dice.choice((1, 2, 10, 100, 1000)))


def _chunks(dice: random.Random, body: bytes) -> Iterator[bytes]:
    size = dice.choice((7, 100, 1460, 16_384, 1_000_000)) if len(body) < 100_000 else dice.choice((5_000, 65_536))
    start = 0
    while start < len(body):
        end = start + dice.randrange(1, size + 1)
        yield body[start:end]
        start = end


type Way = Callable[[random.Random, bytes, Shape], bytes]
WAYS: tuple[tuple[str, Way], ...] = (
    ("bytes flipped", _flipped),
    ("a piece missing", _without),
    ("a piece repeated", _twice),
    ("cut", _cut),
    ("events shuffled", _shuffled),
    ("events of another answer", _mixed),
    ("an endless line", _endless),
    ("noise", _noise),
    ("odd values", odd_values),
    ("odd values", odd_values),
    ("odd values", odd_values),
)

if __name__ == "__main__":
    sys.exit(main())
