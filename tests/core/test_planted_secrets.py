"""Ten thousand secrets of every kind, in every surroundings, as text and as compressed bodies: none is shown.

A failure names kinds and surroundings, never a secret.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # ships no type information
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from codemie_core import redact, redact_names
from codemie_core.decoding import decode_bounded
from codemie_core.redact import REDACTED, RedactedHeaders, redact_text, redact_url
from codemie_core.redact_names import STEMS
from codemie_core.redact_shapes import FRAMES, PREFIXES, Shape
from support.planted import CASES, KINDS, OPAQUE, Planted, planted

SEED, COUNT = 20260301, 10_000
TEN_THOUSAND = list(planted(SEED, COUNT))

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda data: data,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}

RULES = [
    *(("FRAMES", shape.name) for shape in FRAMES),
    *(("PREFIXES", shape.name) for shape in PREFIXES),
    *(("STEMS", stem) for stem in STEMS),
    *(("SECRET_PARAMETERS", name) for name in sorted(redact.SECRET_PARAMETERS)),
]


def concerns(table: str, rule: str, text: str) -> bool:
    """Whether the rule may have a say in this text."""
    if table == "STEMS":
        return re.search(rule, text.lower()) is not None
    if table == "SECRET_PARAMETERS":
        return f"{rule}=" in text or f"{rule}%" in text
    return any(mark in text.lower() for shape in getattr(redact, table) if shape.name == rule for mark in shape.marks)


def without_rule(table: str, rule: str, patch: pytest.MonkeyPatch) -> None:
    """Take one row out of one table."""
    if table == "STEMS":
        stem, assigned = redact_names._compiled(tuple(kept for kept in STEMS if kept != rule))
        patch.setattr(redact_names, "_STEM", stem)
        patch.setattr(redact_names, "_ASSIGNED", assigned)
        patch.setattr(redact_names, "_known", redact_names._holds_secret)
    elif table == "SECRET_PARAMETERS":
        patch.setattr(redact, table, redact.SECRET_PARAMETERS - {rule})
    else:
        shapes: tuple[Shape, ...] = getattr(redact, table)
        patch.setattr(redact, table, tuple(shape for shape in shapes if shape.name != rule))


surroundings = st.text(st.characters(codec="utf-8"), max_size=20)
any_planted = st.integers(0, 2**20).map(lambda seed: next(planted(seed, 1, first=seed)))


def told(failures: Counter[str]) -> str:
    return "\n".join(f"{count} x {case}" for case, count in sorted(failures.items()))


def where(secret: Planted) -> str:
    return f"{secret.kind}, {secret.context}"


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_there_are_secrets_of_more_than_thirty_kinds() -> None:
    assert len(KINDS) > 30
    assert 5 * len(CASES) < COUNT


def test_ten_thousand_planted_secrets_are_all_taken_out_and_nothing_else_goes_wrong() -> None:
    survived: Counter[str] = Counter()
    unstable: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for secret in TEN_THOUSAND:
        if not secret.survives_in(secret.text):
            pytest.fail(f"the generator hides {where(secret)}")
        shown = redact_text(secret.text)
        survived[where(secret)] += secret.survives_in(shown)
        unstable[where(secret)] += redact_text(shown) != shown
        broken[where(secret)] += secret.text[0] in "{[" and is_json(secret.text) and not is_json(shown)
        assert len(shown) <= len(secret.text) + 4 * len(REDACTED), f"{where(secret)} has grown"
    assert not +survived, f"these secrets are still to be read:\n{told(+survived)}"
    assert not +unstable, f"redacted again, these change again:\n{told(+unstable)}"
    assert not +broken, f"these were JSON before:\n{told(+broken)}"


@pytest.mark.parametrize("table, rule", RULES, ids=[f"{table} {rule[:30]}" for table, rule in RULES])
def test_every_rule_is_missed_by_some_planted_secret(table: str, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    concerned = [secret for secret in TEN_THOUSAND if concerns(table, rule, secret.text)]
    without_rule(table, rule, monkeypatch)
    # One is enough to see.
    assert any(secret.survives_in(redact_text(secret.text)) for secret in concerned), "no secret needs this rule"


@pytest.mark.parametrize("coding", ENCODERS)
def test_secrets_in_a_compressed_body_are_taken_out_once_it_is_decoded(coding: str) -> None:
    survived: Counter[str] = Counter()
    for secret in planted(SEED + 1, len(CASES)):
        body = ENCODERS[coding](secret.text.encode())
        decoded = decode_bounded(body, coding, 2**20)
        assert decoded is not None
        survived[where(secret)] += secret.survives_in(redact_text(decoded.decode("utf-8", "replace")))
    assert not +survived, f"these secrets are still to be read:\n{told(+survived)}"


def test_secrets_in_a_url_are_taken_out_of_it() -> None:
    survived: Counter[str] = Counter()
    for secret in planted(SEED + 2, len(CASES)):
        # A URL ends at a space: the request line's, or the one of the sentence it stands in.
        for url in secret.text.split():
            if url.startswith(("/", "http", "redis:")) and ("?" in url or "://" in url):
                survived[where(secret)] += secret.survives_in(redact_url(url))
    assert not +survived, f"these secrets are still to be read:\n{told(+survived)}"


def test_headers_hold_no_secret_under_any_name_it_goes_by() -> None:
    for kind, (make, names) in OPAQUE.items():
        for number, name in enumerate(names):
            value = make(random.Random(number))
            shown = repr(RedactedHeaders([(name, value), (name.upper().encode(), value.encode())]))
            survived = value in shown
            assert not survived, f"{kind} under {name}"


def test_two_secrets_in_one_text_both_go() -> None:
    survived: Counter[str] = Counter()
    secrets = list(planted(SEED + 3, len(CASES)))
    for one, other in zip(secrets, secrets[7:], strict=False):
        # What is cut off in the middle of a string takes all that follows with it, which is fine.
        shown = redact_text(f"{one.text}\n\n{other.text}\n")
        survived[f"{where(one)}, before {where(other)}"] += one.survives_in(shown)
        survived[f"{where(other)}, after {where(one)}"] += other.survives_in(shown)
    assert not +survived, f"these secrets are still to be read:\n{told(+survived)}"


@settings(deadline=None, max_examples=300)
@given(any_planted, surroundings, surroundings)
def test_no_secret_survives_whatever_stands_on_the_lines_around_it(secret: Planted, before: str, after: str) -> None:
    # Not in the assertion: pytest would print all of the text.
    survived = secret.survives_in(redact_text(f"{before}\n{secret.text}\n{after}"))
    assert not survived, where(secret)


PIECES = ["token", "=", ":", " ", '"', "'", "\\", "cookie", "[", "{", "}", "]", REDACTED, "\n", ",", ";", "&", "?"]
PIECES += ["key", "a", "Bearer ", "%3D", "//", "@", "sk-ant-aaaaaaaa", "eyJaaaaaaaa", "--", "<", ">", "A1", "\\u0026"]


@settings(deadline=None, max_examples=500)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=14).map("".join)))
def test_what_is_redacted_stays_as_it_is_and_grows_within_bounds(text: str) -> None:
    shown = redact_text(text)
    assert len(shown) <= (len(REDACTED) + 4) * (len(text) + 1)
    assert redact_text(shown) == shown
