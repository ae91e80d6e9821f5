"""Which model a request asks for, read without parsing its body."""

from __future__ import annotations

import re

from codemie_core.decoding import stream_decoder

LOOKED_AT = 64 * 1024
"""Bytes from each end: agents put it before their prompt or after it."""
_ENCODED_PIECE = 4096
_ENCODED_LOOKED_AT = 136 * 1024
"""Of a compressed body: zstd gives nothing before a whole block has been read, and a block may be 128 KiB."""

# Inside a JSON string quotes are escaped: there the word is followed by \" and never by a bare quote.
_MODEL = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*"([^"\\\x00-\x20]{1,200})"')
_NAME = re.compile(r'[^"\\\x00-\x20]{1,200}')
_MODEL_PATH = re.compile(r"/models/([^/:?]{1,200}):")


def asked_model(path: str, raw: bytes, content_encoding: str) -> str:
    """The model's name, "" when neither the path (Gemini) nor the JSON body says it. Costs a microsecond.

    Of a compressed body only the beginning is read, which costs up to a millisecond.
    """
    if "/models/" in path and (found := _MODEL_PATH.search(path)):
        return found[1]
    if content_encoding and raw:
        raw = _beginning(raw, content_encoding)
    place = raw.find(b'"model"', 0, LOOKED_AT)
    if place < 0:
        place = raw.rfind(b'"model"', -LOOKED_AT)
    match = _MODEL.match(raw, place) if place >= 0 else None
    return match[1].decode("utf-8", "replace") if match else ""


def named_model(body: object) -> str:
    """The model's name out of a parsed body, by the same rules."""
    name = body.get("model") if isinstance(body, dict) else None
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""


def _beginning(raw: bytes, content_encoding: str) -> bytes:
    """What a compressed body begins with, as far as it takes to find the name."""
    decoder, text = stream_decoder(content_encoding, LOOKED_AT), b""
    for start in range(0, min(len(raw), _ENCODED_LOOKED_AT) if decoder else 0, _ENCODED_PIECE):
        assert decoder is not None
        text += decoder.feed(raw[start : start + _ENCODED_PIECE])
        place = text.find(b'"model"')
        if decoder.exhausted or decoder.failed or (place >= 0 and _MODEL.match(text, place)):
            break
    return text
