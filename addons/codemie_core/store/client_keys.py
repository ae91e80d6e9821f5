"""A copy of the client keys (`keys.json`) for those who look at history: whose key a request came with.

`keys.json` stays the truth about who may come in: `proxy_access` fails closed and asks no database.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert

from codemie_core.access.client_keys import KeyRing
from codemie_core.store import tables


def import_keys(connection: Connection, ring: KeyRing) -> None:
    """Make the table like the file: ids, names and hashes."""
    connection.execute(delete(tables.client_keys))
    for key in ring.keys:
        connection.execute(
            insert(tables.client_keys).values(
                id=key.id,
                name=key.name,
                sha256=key.sha256,
                created_ms=int(key.created_at.timestamp() * 1000),
                revoked_ms=int(key.revoked_at.timestamp() * 1000) if key.revoked_at else None,
            )
        )
