"""Where a list goes on, as clients carry it: opaque, and of no use for anything else."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from codemie_core.admin.problems import BadQuestion

LONGEST = 1_000

type Part = str | int


def encode(*parts: Part) -> str:
    """Text for a URL."""
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).rstrip(b"=").decode()


def decode(text: str, *kinds: type[str | int]) -> list[Any]:
    """Its parts, of these types. BadQuestion for anything that `encode` has not made."""
    try:
        if len(text) > LONGEST:
            raise ValueError
        parts = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        parts = None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise BadQuestion("The cursor is not one of ours: begin without one, and take it from the answer.")
    if any(isinstance(part, int) and not -(2**63) <= part < 2**63 for part in parts):
        raise BadQuestion("The cursor is not one of ours: begin without one, and take it from the answer.")
    return parts
