"""What was said in a turn, where it was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from codemie_core.admin.plane import Plane
from codemie_core.admin.wire import Wire, iso
from codemie_core.errors import SettingsError
from codemie_core.store.payloads import Message, StoredPayload, load_payload
from codemie_core.store.requests import Row
from codemie_core.store.secrets import vault_checks
from codemie_core.vault import Vault, open_vault

if TYPE_CHECKING:
    from sqlalchemy import Connection

NOT_KEPT = (
    "What was said in this turn was not kept, or its time is over. To keep it for a day from now on: "
    "codemie_usage_metering_payloads=true (it holds prompts and code; redacted, and sealed by the vault)."
)


class Spoken(Wire):
    """A request or an answer as it was kept: without its secrets, and where it was long without its middle."""

    headers: dict[str, str]
    body: str
    bytes: int = Field(description="As it was sent.")


class Answered(Spoken):
    """An answer."""

    status: int | None


class PayloadMeta(Wire):
    """What turn it was."""

    timestamp: str | None
    account_name: str | None
    path: str
    method: str
    success: bool
    agent_used: str | None
    accounts_attempted: int
    kept_at: str | None


class RequestPayload(Wire):
    """What was said in one turn. `error` alone: it was not kept, or cannot be read."""

    id: str
    request: Spoken | None = None
    response: Answered | None = None
    meta: PayloadMeta | None = None
    error: str | None = None


class Opener:
    """Opens payloads within one transaction."""

    def __init__(self, plane: Plane, connection: Connection) -> None:
        self._plane, self._connection = plane, connection
        self._vault: Vault | None = None

    def open(self, request_id: str) -> StoredPayload | None:
        """None when nothing was kept. SettingsError when it cannot be read."""
        if self._vault is None:
            known = vault_checks(self._connection)
            if not known:
                return None
            self._vault = open_vault(self._plane.places, self._plane.environ, known, may_create=False)
        return load_payload(self._connection, self._vault, request_id)


def payload_of(row: Row, opener: Opener) -> RequestPayload:
    """For the API; what is wrong is in `error`."""
    try:
        found = opener.open(row["id"])
    except SettingsError as problem:
        return RequestPayload(id=row["id"], error=str(problem))
    if found is None:
        return RequestPayload(id=row["id"], meta=_meta(row, None), error=NOT_KEPT)
    return RequestPayload(
        id=row["id"],
        request=Spoken(**_spoken(found.request)),
        response=Answered(**_spoken(found.response), status=row["status"]),
        meta=_meta(row, found.at_ms),
    )


def _spoken(message: Message) -> dict[str, object]:
    return {"headers": dict(message.headers), "body": message.body, "bytes": message.bytes}


def _meta(row: Row, kept_ms: int | None) -> PayloadMeta:
    return PayloadMeta(
        timestamp=iso(row["started_ms"]),
        account_name=row["account"] or None,
        path=row["path"],
        method=row["method"],
        success=row["ok"],
        agent_used=row["agent"] or None,
        accounts_attempted=row["attempts"],
        kept_at=iso(kept_ms),
    )
