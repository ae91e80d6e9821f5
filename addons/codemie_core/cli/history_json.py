"""What the history says, for programs. Times are ISO 8601 in UTC, rates are fractions, what is unknown is null."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from codemie_core.usage.cost import NANO

if TYPE_CHECKING:
    from codemie_core.store.analytics import Latency
    from codemie_core.store.figures import Figures
    from codemie_core.store.requests import Turn
    from codemie_core.store.sessions import Session

_CHILD_OF = ("request_id", "conversation_id")


def moment(ms: int | None) -> str | None:
    """Like 2026-11-21T13:05:00.250+00:00."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def dollars(nano_usd: int | None) -> float | None:
    """US dollars; nine digits behind the point are exact."""
    return None if nano_usd is None else nano_usd / NANO


def figures(counted: Figures, latency: Latency | None = None) -> dict[str, Any]:
    """What was counted, and how long it took."""
    told = dataclasses.asdict(counted)
    first_ms, last_ms, ended_ms = (told.pop(name) for name in ("first_ms", "last_ms", "ended_ms"))
    shown = {
        **told,
        "prompt_tokens": counted.prompt_tokens,
        "error_rate": counted.error_rate,
        "cost_usd": dollars(counted.cost_nano_usd),
        "first": moment(first_ms),
        "last": moment(last_ms),
        "ended": moment(ended_ms),
    }
    if latency is not None:
        shown["latency_ms"] = dataclasses.asdict(latency.total)
        shown["first_token_ms"] = dataclasses.asdict(latency.first_token)
    return shown


def session(seen: Session) -> dict[str, Any]:
    """A session in a list."""
    names = ("agent", "project", "repository", "branch", "model", "account", "client_key")
    return {
        "id": seen.id,
        **{name: getattr(seen, name) or None for name in names},
        "several": sorted(seen.several),
        **figures(seen.figures),
    }


def turn(found: Turn) -> dict[str, Any]:
    """All of one turn."""
    return {
        **request(found.row),
        "attempts": [_child(each) for each in found.attempts],
        "tools": [_child(each) for each in found.tool_calls],
        "files": [_child(each) for each in found.file_operations],
    }


def request(row: Mapping[str, Any]) -> dict[str, Any]:
    """A turn in a list. `tried` and `tools_called` are numbers."""
    shown: dict[str, Any] = {}
    for name, value in row.items():
        match name:
            case "started_ms":
                shown["started"] = moment(value)
            case "cost_nano_usd":
                shown["cost_usd"] = dollars(value)
                shown[name] = value
            case _ if name.startswith("cost_"):
                shown[f"{name}_usd"] = dollars(value)
            case "server_tools":
                shown[name] = json.loads(value) if value else None
            case "attempts":
                shown["tried"] = value
            case "tool_calls":
                shown["tools_called"] = value
            case _:
                shown[name] = value
    return shown


def _child(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _CHILD_OF}
