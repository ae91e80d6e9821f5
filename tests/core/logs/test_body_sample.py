"""Both ends of a body, and never half a secret."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import pytest

from codemie_core.logs import body_sample
from codemie_core.logs.body_sample import CONTEXT, BodySample, EventSample, sample_for, shown_encoded

LIMIT = 64
KEPT = LIMIT + CONTEXT
KEY = "sk-ant-planted-" + "qzjx0123456789" * 3


def sample_of(body: bytes, step: int = 1000, limit: int = LIMIT) -> BodySample:
    sample = BodySample(limit)
    for start in range(0, len(body), step):
        sample(body[start : start + step])
    return sample


@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
def test_a_short_body_is_shown_whole(step: int) -> None:
    body = "Grüße, " * 18
    assert sample_of(body.encode(), step).shown() == body
    assert sample_of(b"").shown() == ""


@pytest.mark.parametrize("step", [1, 999, 1_000_000])
@pytest.mark.parametrize("words", [100, 2_000, 40_000])
def test_of_a_long_body_both_ends_are_shown(words: int, step: int) -> None:
    body = " ".join(str(number) for number in range(words)).encode()
    if step == 1 and words > 2_000:
        step = 3
    head, tail = sample_of(body, step).ends()
    assert body.decode().startswith(head)
    assert body.decode().endswith(tail)
    assert len(head) == len(tail) == LIMIT
    assert f"[... of {len(body)} bytes ...]" in str(sample_of(body, step).shown())


def test_memory_is_bounded_however_long_the_body_is() -> None:
    sample = sample_of(b"x" * 1_000_000, 10_000)
    assert (sample.size, sample.held <= 3 * KEPT) == (1_000_000, True)


def test_a_secret_that_a_cut_goes_through_is_not_shown_by_half() -> None:
    for edge in (LIMIT, KEPT):
        for shift in range(len(KEY) + 12):
            for secret in (KEY, f'"password": "{KEY[15:]}"', f"cookie: a=b; session={KEY[15:]}"):
                ahead = "word " * 10_000
                head = f"{ahead[: edge - shift]} {secret} {ahead}"
                tail = f"{ahead} {secret} {ahead[: edge - shift]}"
                for body in (head, tail):
                    shown = str(sample_of(body.encode(), 5000).shown())
                    assert "qzjx" not in shown, (edge, shift, body is head)


@pytest.mark.parametrize("shift", range(0, len(KEY) + 12, 4))
def test_a_secret_where_head_and_tail_meet_is_not_shown_by_half(shift: int) -> None:
    limit = 10_000
    secret = f'"password": "{KEY[15:]}"'
    body = ("word " * 10_000)[: limit + CONTEXT - shift] + f" {secret} " + "word " * 400
    shown = str(sample_of(body.encode(), limit=limit).shown())
    assert len(shown) > limit + CONTEXT
    assert "qzjx" not in shown


def test_a_body_that_is_one_word_shows_nothing_beyond_the_cut() -> None:
    head, tail = sample_of(b"x" * 100_000).ends()
    assert (head, tail) == ("", "")


def test_a_limit_of_nothing_shows_nothing() -> None:
    assert sample_of(b"word " * 10_000, limit=0).ends() == ("", "")
    assert sample_of(b"word " * 10, limit=0).ends() == ("", "")


def test_an_event_stream_is_summed_up_as_codemie_does() -> None:
    body = "".join(f'event: delta\ndata: {{"n": {n}}}\n\n' for n in range(40)).encode()
    sample = sample_for("text/event-stream; charset=utf-8", 4096)
    assert isinstance(sample, EventSample)
    for start in range(0, len(body), 11):
        sample(body[start : start + 11])
    shown = sample.shown()
    lines = body.decode().splitlines()
    assert shown == {
        "type": "text/event-stream",
        "eventCount": 40,
        "firstEvents": lines[:10],
        "lastEvents": lines[-10:],
        "totalLines": 120,
        "bodySizeBytes": len(body),
    }


def test_a_long_event_stream_is_summed_up_from_its_ends() -> None:
    sample = EventSample(1024)
    body = "".join(f'data: {{"n": {n}}}\n\n' for n in range(5000)).encode()
    sample(body)
    shown = sample.shown()
    assert isinstance(shown, Mapping)
    told: dict[str, Any] = dict(shown)
    assert (told["eventCount"], told["totalLines"]) == (5000, 10_000)
    assert told["firstEvents"][0] == 'data: {"n": 0}'
    assert told["lastEvents"][-2:] == ['data: {"n": 4999}', ""]


def test_other_types_are_shown_as_text() -> None:
    assert type(sample_for("application/json", 10)) is BodySample
    assert type(sample_for("", 10)) is BodySample


def test_a_compressed_body_is_shown_decoded_and_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"api_key": "planted-0123", "text": "hello"}).encode()
    shown = str(shown_encoded(gzip.compress(body), "gzip", 1000))
    assert "hello" in shown
    assert "planted" not in shown
    monkeypatch.setattr(body_sample, "MAX_DECODED", 10)
    packed = gzip.compress(body)
    assert shown_encoded(packed, "gzip", 1000) == f"[omitted: {len(packed)} bytes that could not be decoded]"
