"""The few drawings of the dashboard: 16 by 16, drawn in the colour of the text beside them."""

from __future__ import annotations

from collections.abc import Mapping

PATHS: Mapping[str, str] = {
    "overview": "M2 9.5h4V14H2zM6 2h4v12H6zM10 6h4v8h-4z",
    "accounts": "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 14c.4-2.7 2.6-4 5.5-4s5.1 1.3 5.5 4",
    "requests": "M2 4.5h9m0 0L8.5 2M11 4.5 8.5 7M14 11.5H5m0 0L7.5 9M5 11.5 7.5 14",
    "sessions": "M2 3h12v8H8l-3.5 3V11H2zM5 6h6M5 8.5h3.5",
    "analytics": "M2 2v12h12M4.5 10.5 7.5 7l2.5 2L14 4.5",
    "agents": "M4 6h8v7H4zM8 6V3M8 2.8v-.3M2 8.5v2M14 8.5v2M6.5 9v.5M9.5 9v.5",
    "plugins": "M6 2v3M10 2v3M4 5h8v3.5a4 4 0 0 1-8 0zM8 12.5V15",
    "logs": "M3 2h10v12H3zM5.5 5.5h5M5.5 8h5M5.5 10.5h3",
    "sun": "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
    "moon": "M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3z",
    "leave": "M6 2H3v12h3M7 8h7m0 0-2.5-2.5M14 8l-2.5 2.5",
    "more": "M3.5 8h.01M8 8h.01M12.5 8h.01",
    "back": "M14 8H3m0 0 4-4M3 8l4 4",
    "brand": "M2 5.5 8 2l6 3.5v5L8 14l-6-3.5zM2 5.5 8 9l6-3.5M8 9v5",
}


def icon(name: str) -> str:
    """As markup. Readers of the screen do not hear of it: the word beside it says it."""
    return (
        '<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true"><path d="{PATHS[name]}"/></svg>'
    )
