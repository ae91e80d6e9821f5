"""Settings changed by command while proxies run: above `codemie.yaml`, below the environment and `--set`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from sqlalchemy import Connection, delete, insert, select

from codemie_core.store import tables
from codemie_core.store.database import bump


def load_settings(connection: Connection) -> dict[str, object]:
    """Name -> value, such as `account_rotation.strategy`."""
    return {row.name: json.loads(row.value) for row in connection.execute(select(tables.settings))}


def put_setting(connection: Connection, name: str, value: object, clock: Callable[[], float] = time.time) -> None:
    """Set it for all running proxies; None takes it away."""
    connection.execute(delete(tables.settings).where(tables.settings.c.name == name))
    if value is not None:
        row = {"name": name, "value": json.dumps(value), "changed_ms": int(clock() * 1000)}
        connection.execute(insert(tables.settings).values(**row))
    bump(connection)
