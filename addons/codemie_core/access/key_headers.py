"""Where a client key stands in a request, and how it is taken off again."""

from __future__ import annotations

import base64
import binascii
import re

type Fields = tuple[tuple[bytes, bytes], ...]

KEY_HEADERS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"proxy-authorization"})

_KEY = re.compile(rb"(?<![\w-])cmk_[\w-]*")


def take_keys(fields: Fields) -> tuple[list[bytes], Fields]:
    """Whatever looks like a client key, in the order of the headers, and the headers without those that held one.

    A key is taken from a header that holds it as it is, after "Bearer", or as user or password after "Basic". The
    client's own credential for the provider stays where it is. The same tuple comes back when no header held a key.
    """
    held = [(pair, found) for pair in fields if pair[0].lower() in KEY_HEADERS and (found := _keys_in(pair[1]))]
    if not held:
        return [], fields
    holders = [pair for pair, _ in held]
    return [key for _, found in held for key in found], tuple(pair for pair in fields if pair not in holders)


def _keys_in(value: bytes) -> list[bytes]:
    if value[:6].lower() == b"basic ":
        try:
            value = base64.b64decode(value[6:].strip() + b"==")
        except binascii.Error:
            return []
    return _KEY.findall(value)
