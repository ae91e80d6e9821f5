"""Which model a request asks for, read without parsing its body."""

from __future__ import annotations

import re

from codemie_core.decoding import stream_decoder

LOOKED_AT = 64 * 1024
"""Bytes from each end: agents put it before their prompt or after it."""
_ENCODED_LOOKED_AT = 4096

# Inside a JSON string quotes are escaped: there the word is followed by \" and never by a bare quote.
_MODEL = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*"([^"\\\x00-\x20]{1,200})"')
_MODEL_PATH = re.compile(r"/models/([^/:?]{1,200}):")


def asked_model(path: str, raw: bytes, content_encoding: str) -> str:
    """The model's name, "" when neither the path (Gemini) nor the JSON body says it. Costs a microsecond."""
    if "/models/" in path and (found := _MODEL_PATH.search(path)):
        return found[1]
    if content_encoding and raw:
        decoder = stream_decoder(content_encoding, LOOKED_AT)
        raw = decoder.feed(raw[:_ENCODED_LOOKED_AT]) if decoder else b""
    place = raw.find(b'"model"', 0, LOOKED_AT)
    if place < 0:
        place = raw.rfind(b'"model"', -LOOKED_AT)
    match = _MODEL.match(raw, place) if place >= 0 else None
    return match[1].decode("utf-8", "replace") if match else ""
