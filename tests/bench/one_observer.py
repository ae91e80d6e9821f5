"""Loaded beside the bundle: one chunk observer on every exchange, as metering will have."""

from mitmproxy import http

from codemie_core.exchange import exchange_of
from codemie_core.sse import SseParser


def requestheaders(flow: http.HTTPFlow) -> None:
    """Parse the events of every response."""
    parser = SseParser()

    def observe(chunk: bytes) -> None:
        parser.feed(chunk)

    exchange_of(flow).observers.append(observe)
