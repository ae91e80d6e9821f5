"""The audit trail: who did what to accounts, settings and keys, when and why; the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from codemie_core.accounts import words
from codemie_core.accounts.roster import past_id
from codemie_core.admin import cursor as cursors
from codemie_core.admin.changing import has_store, looking
from codemie_core.admin.plane import Plane
from codemie_core.admin.wire import Wire
from codemie_core.redact import redact_text
from codemie_core.store.audit import Event, events

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST = 1000


class AuditEvent(Wire):
    """One thing that was done, or that happened to an account."""

    id: int
    at: str
    account: str | None = Field(description="Its name then; null for what concerns no single account.")
    account_id: str | None
    event: str
    reason: str | None
    who: str = Field(description='"dashboard", "admin api", a person at the command line, or a proxy.')


class AuditPage(Wire):
    """Some of them."""

    events: list[AuditEvent]
    next_cursor: str | None = Field(description="Where the next page goes on; null after the last.")


async def audit_trail(plane: Plane, limit: int = 50, cursor: str = "", account: str = "") -> AuditPage:
    """The newest; with `account`, a name or an id, of one account, also of one that is gone."""
    before = cursors.decode(cursor, int)[0] if cursor else None
    if not has_store(plane):
        return AuditPage(events=[], next_cursor=None)

    def look(connection: Connection) -> list[Event]:
        account_id = past_id(connection, account) if account else None
        return events(connection, account_id, limit + 1, before if isinstance(before, int) else None)

    found = await looking(plane, look)
    following = cursors.encode(found[limit - 1].id) if len(found) > limit else None
    return AuditPage(events=[_shown(event) for event in found[:limit]], next_cursor=following)


def _shown(event: Event) -> AuditEvent:
    return AuditEvent(
        id=event.id,
        at=words.moment(event.at) or "",
        account=event.account_name or None,
        account_id=event.account_id or None,
        event=event.event,
        reason=redact_text(event.reason) or None,
        who=event.who,
    )
