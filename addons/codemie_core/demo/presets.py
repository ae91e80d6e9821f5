"""Named steps, for `--script`, `--then` and the request header `x-demo-fault`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from codemie_core.demo.script import Cut, Framing, Step

_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"

PRESETS: Mapping[str, Callable[[], Step]] = MappingProxyType(
    {
        "ok": Step,
        "overload": lambda: Step(status=529),
        "unavailable": lambda: Step(status=503),
        "bad-gateway": lambda: Step(status=502),
        "gateway-timeout": lambda: Step(status=504),
        "rate-limit": lambda: Step(status=429, headers=[("retry-after", "1")]),
        "server-error": lambda: Step(status=500),
        "html": lambda: Step(status=502, body=_HTML, headers=[("content-type", "text/html")]),
        "empty": lambda: Step(status=502, body=b""),
        "error-event": lambda: Step(error_event=True),
        "reset": lambda: Step(cut=Cut.RESET),
        "close": lambda: Step(cut=Cut.CLOSE),
        "cut": lambda: Step(interval=0.05, cut=Cut.CLOSE, after_events=8),
        "hang": lambda: Step(cut=Cut.STALL),
        "stall": lambda: Step(cut=Cut.STALL, after_events=5),
        "garbage": lambda: Step(raw=b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
        "huge-head": lambda: Step(head_bytes=1024 * 1024),
        "truncated": lambda: Step(framing=Framing.CHUNKED, cut=Cut.CLOSE, after_bytes=100),
        "slow": lambda: Step(interval=0.25),
    }
)


def preset(name: str) -> Step:
    """Return a new step of that name; raises ValueError that lists the names."""
    try:
        return PRESETS[name]()
    except KeyError:
        raise ValueError(f"no fault is called {name!r}; there are: {', '.join(PRESETS)}") from None
