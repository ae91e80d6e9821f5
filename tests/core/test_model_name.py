"""The model, out of the requests agents send."""

import gzip
import json
import random
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped] # ships no type information
import pytest
import zstandard

from codemie_core.model_name import LOOKED_AT, asked_model, named_model

MESSAGES = "/v1/messages"
LONG = "word " * 50_000
DICE = random.Random(7)
PROSE = " ".join("".join(DICE.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(6000))
"""Compresses as an agent's instructions do: not to next to nothing."""


@pytest.mark.parametrize(
    "path, body, model",
    [
        (MESSAGES, {"model": "claude-opus-4", "messages": []}, "claude-opus-4"),
        (MESSAGES, {"messages": [LONG], "model": "last"}, "last"),
        (MESSAGES, {"messages": [LONG, {"model": "hidden"}, LONG]}, ""),
        (MESSAGES, {"messages": ['say "model": "quoted"']}, ""),
        (MESSAGES, {"model": 7}, ""),
        (MESSAGES, {"model": "a\nb"}, ""),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", {}, "gemini-2.5-pro"),
        ("/v1/models/claude-opus-4", {}, ""),
    ],
)
def test_the_model_is_found_where_it_is_named(path: str, body: object, model: str) -> None:
    assert asked_model(path, json.dumps(body).encode(), "") == model


def test_a_compressed_body_is_opened_a_little() -> None:
    body = json.dumps({"model": "gpt-5-codex", "input": LONG}).encode()
    assert asked_model("/v1/responses", gzip.compress(body), "gzip") == "gpt-5-codex"
    assert asked_model("/v1/responses", zlib.compress(body), "deflate") == "gpt-5-codex"
    assert asked_model("/v1/responses", body, "unknown") == ""
    assert asked_model("/v1/responses", b"garbage", "gzip") == ""
    assert asked_model("/v1/responses", gzip.compress(b" " * LOOKED_AT + body), "gzip") == ""


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
    ],
)
def test_the_model_of_a_compressed_body_is_found_whatever_its_coding(
    coding: str, compress: Callable[[bytes], bytes]
) -> None:
    body = compress(json.dumps({"model": "gpt-5-codex", "instructions": PROSE}).encode())
    assert len(body) > 8192
    assert asked_model("/v1/responses", body, coding) == "gpt-5-codex"
    assert asked_model("/v1/responses", compress(b"[" * 50_000_000), coding) == ""


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ({"model": "m"}, "m"),
        ({"model": 7}, ""),
        ({"model": "a\nb"}, ""),
        ({"model": "m" * 201}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_model_of_a_parsed_body_is_a_name_or_nothing(body: object, model: str) -> None:
    assert named_model(body) == model
