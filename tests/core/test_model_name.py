"""The model, out of the requests agents send."""

import gzip
import json
import zlib

import pytest

from codemie_core.model_name import LOOKED_AT, asked_model

MESSAGES = "/v1/messages"
LONG = "word " * 50_000


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
