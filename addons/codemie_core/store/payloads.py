"""What was said, for those who switch it on: redacted, bounded, packed, sealed by the vault, and gone after its time.

Redacting takes its time, so it is done before the store's thread gets to see a payload (`pack`). A payload is bound to
its turn: moved to another row it does not open.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codemie_core.errors import SettingsError
from codemie_core.logs.body_sample import BodySample
from codemie_core.redact import RedactedHeaders, redact_text
from codemie_core.store.rows import name_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.vault import Vault

type Headers = Iterable[tuple[str | bytes, str | bytes]]
PIECE = 8_192
"""Characters that are redacted at once."""
_BETWEEN = ('",', "},", "\n\n", "\n", "\\n", " ")
_OVERHEAD = 2_048
_LARGEST = 64 * 1024 * 1024


@dataclass(slots=True, repr=False)
class Payload:
    """What one turn said. Feed `request` and `response` the bodies, decoded; both can watch a stream."""

    at_ms: int
    request: BodySample
    response: BodySample
    request_headers: Headers = ()
    response_headers: Headers = ()

    @classmethod
    def of(cls, at_ms: int, limit: int) -> Payload:
        """An empty one; of each body at most `limit` bytes are kept, half of them from its end."""
        half = max(1, limit // 2)
        return cls(at_ms, BodySample(half), BodySample(half))

    @property
    def held(self) -> int:
        """About how many bytes of memory it takes."""
        return self.request.held + self.response.held + _OVERHEAD


@dataclass(frozen=True, slots=True, repr=False)
class Packed:
    """A payload ready to be sealed."""

    request_id: str
    at_ms: int
    packed: bytes
    bytes: int
    """Before it was packed."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer as it was kept, without its secrets."""

    headers: Sequence[tuple[str, str]]
    body: str
    bytes: int
    """As it was sent; more than the body has when its middle was left out."""


@dataclass(frozen=True, slots=True)
class StoredPayload:
    """What is kept of one turn."""

    request: Message = field(repr=False)
    response: Message = field(repr=False)
    at_ms: int


def pack(request_id: str, payload: Payload) -> Packed:
    """Redact and pack it."""
    told = {
        "request": _message(payload.request_headers, payload.request),
        "response": _message(payload.response_headers, payload.response),
    }
    plain = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Packed(name_of(request_id), payload.at_ms, gzip.compress(plain, 6, mtime=0), len(plain))


def save_payloads(connection: Connection, vault: Vault, payloads: Sequence[Packed]) -> None:
    """Store them, unless their turns are gone."""
    from sqlalchemy import select

    from codemie_core.store import tables
    from codemie_core.store.history import insert_new

    turns = tables.requests.c.id
    known = set(connection.scalars(select(turns).where(turns.in_([one.request_id for one in payloads]))))
    rows = [
        (one.request_id, one.at_ms, vault.seal_bytes(one.packed, f"payload:{one.request_id}"), one.bytes)
        for one in payloads
        if one.request_id in known
    ]
    insert_new(connection, tables.payloads, rows)


def load_payload(connection: Connection, vault: Vault, request_id: str) -> StoredPayload | None:
    """What was said in this turn; None when it was not kept, or is gone. VaultError when it does not open."""
    from sqlalchemy import select

    from codemie_core.store import tables

    table = tables.payloads
    row = connection.execute(select(table).where(table.c.request_id == request_id)).first()
    if row is None:
        return None
    packed = vault.open_bytes(row.sealed, f"payload:{row.request_id}")
    try:
        if row.bytes > _LARGEST:
            raise ValueError
        told = json.loads(gzip.decompress(packed))
        return StoredPayload(_read(told["request"]), _read(told["response"]), row.at_ms)
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        raise SettingsError(f"the payload of {request_id} was written by another version: it cannot be read") from None


def redact_in_pieces(text: str) -> str:
    """`redact_text` in pieces: one of its searches holds everybody up for as long as it takes.

    Pieces end where a name and its value are hardly ever apart: after a value of JSON, else after a line.
    """
    shown = []
    at = 0
    while at < len(text):
        end = at + PIECE
        if end < len(text):
            for mark in _BETWEEN:
                if (found := text.rfind(mark, at + PIECE // 2, end)) > 0:
                    end = found + len(mark)
                    break
        shown.append(redact_text(text[at:end]))
        at = end
        # Whoever waits for the interpreter has it now.
        time.sleep(0)
    return "".join(shown)


def _message(headers: Headers, body: BodySample) -> dict[str, object]:
    head, tail = body.ends(redact_in_pieces)
    return {"headers": RedactedHeaders(headers).items(), "head": head, "tail": tail, "bytes": body.size}


def _read(told: dict[str, object]) -> Message:
    headers, head, tail, size = (told[name] for name in ("headers", "head", "tail", "bytes"))
    if not (isinstance(headers, list) and isinstance(head, str) and isinstance(tail, str) and isinstance(size, int)):
        raise TypeError
    body = f"{head} [... of {size} bytes ...] {tail}" if tail else head
    return Message(tuple((str(name), str(value)) for name, value in headers), body, size)
