import base64
import random
from functools import partial

import pytest

from codemie_core import redact_shapes
from codemie_core.redact import redact_text
from codemie_core.redact_shapes import FRAMES, PREFIXES, REDACTED, Shape, without
from support.planted import SHAPED
from support.yardstick import microseconds

ALL = (*FRAMES, *PREFIXES)
SIZE = 300_000


@pytest.mark.parametrize("kind", SHAPED)
def test_a_secret_of_a_known_shape_goes_as_a_whole(kind: str) -> None:
    secret = SHAPED[kind](random.Random(kind))
    assert without(PREFIXES, f"before {secret} after", f"before {secret.lower()} after") == f"before {REDACTED} after"


@pytest.mark.parametrize("shape", ALL, ids=lambda shape: shape.name)
def test_marks_are_in_lower_case_as_the_text_they_are_looked_for_in(shape: Shape) -> None:
    assert all(mark == mark.lower() for mark in shape.marks)
    assert all(shape.marks)


@pytest.mark.parametrize(
    "text",
    [
        "Basic Authentication is off",
        "basic information about basic configuration",
        "Basic HTTP/1.1 support",
        "Bearer tokens are not accepted here, nor is a bearer authorization",
        'WWW-Authenticate: Bearer realm="example", error="invalid_request"',
        "the provider is called bearer-auth",
        '{"token_type":"Bearer","expires_in":3600}',
        "disk-space, task-internationalization-service, risk-averse-and-more",
        "highs_and_lows_of_the_market, roughs_and_all_that_jazz",
        "single-threaded, glib-networking, xai-models, pplx-embeddings-for-all-languages",
        "npm_config_registry npm_lifecycle_event npm_package_name_and_version",
        "the hf_hub_download function",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        "10:00:00 12345678:90 at 2026-01-01T10:00:00Z",
        "mail someone@example.com or git@github.com:owner/name.git",
        "https://files.example:8080/@scope/name and http://127.0.0.1:80/x@y",
        "a 10//03 fraction",
        "docker run -u 1000:1000; sort -u names; ps --user me",
        "login name and password reset",
    ],
)
def test_words_that_only_begin_alike_stay(text: str) -> None:
    assert redact_text(text) == text


def test_basic_credentials_are_known_by_what_they_decode_to() -> None:
    assert redact_text(f"Basic {base64.b64encode(b'someone:x').decode()}") == f"Basic {REDACTED}"
    assert redact_text(f"Basic {base64.b64encode(b'some thing').decode()}") != f"Basic {REDACTED}"


def test_a_key_cut_off_at_either_end_is_still_a_key() -> None:
    begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
    assert redact_text(f"a {begin}\nMIIE\nMIIF") == f"a {REDACTED}"
    assert redact_text(f"MIIE\nMIIF\n{end} b") == f"{REDACTED} b"
    assert redact_text(f"a {begin}\nMIIE\n{end} b {begin}\nMIIF\n{end} c") == f"a {REDACTED} b {REDACTED} c"


# What makes each pattern begin again and again, and go as far as it can each time.
TEASING = {
    "private key block": ["-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "-----END PRIVATE KEY", "PRIVATE KEY A"],
    "user information": ["//", "//a", "//a:b@", "@", "//a@/"],
    "raw user information": ["//a:", "//a:b@", "//aaaa:bbbb/"],
    "encoded user information": ["%2f%2f", "%2f%2fa", "%40"],
    "bearer": ["Bearer ", "Bearer   aaaa", "Bearer:", "bearer a"],
    "basic": ["Basic ", "Basic a", "basic%20"],
    "curl user": [" -u a", "--user ", "--user a:"],
    "netrc": ["login ", "login a ", "login a password "],
}


@pytest.mark.parametrize("shape", ALL, ids=lambda shape: shape.name)
def test_no_pattern_takes_more_than_linear_time_over_text_made_to_tease_it(shape: Shape) -> None:
    for piece in [*TEASING.get(shape.name, []), *shape.marks, shape.marks[0].upper(), "a", "-", "A1"]:
        text = (piece * SIZE)[:SIZE]
        assert microseconds(partial(shape.taken_out, text), 1, rounds=1) < 1e6, piece


def test_text_without_a_mark_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def taken_out(shape: Shape, text: str) -> str:
        looked.append(shape.name)
        return text

    monkeypatch.setattr(redact_shapes.Shape, "taken_out", taken_out)
    without(ALL, "an ordinary line", "an ordinary line")
    assert looked == []
    without(ALL, "an AIza line", "an aiza line")
    assert looked == ["google api key"]
