"""What the operator's API speaks: JSON with camelCase names, times in ISO 8601 (UTC), money in US dollars."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from codemie_core.usage.cost import NANO


class Wire(BaseModel):
    """The base of all answers: made with Python's names, written with JavaScript's."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True, protected_namespaces=()
    )


def iso(ms: float | None) -> str | None:
    """Like 2026-11-21T13:05:00.250Z; None for none, and for what no calendar has."""
    if ms is None:
        return None
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def usd(nano_usd: int | None) -> float | None:
    """Nine digits behind the point are exact."""
    return None if nano_usd is None else nano_usd / NANO


def percent(part: float | None, whole: float = 1) -> float:
    """0 to 100; 0 of nothing."""
    return 100 * part / whole if part and whole else 0.0
