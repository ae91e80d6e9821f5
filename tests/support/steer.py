"""An extra script for mitmdump: sends a request elsewhere when its header says so, as an account addon would.

`x-test-target: https://127.0.0.1:8443` changes scheme, host and port before the first attempt.
"""

from urllib.parse import urlsplit

from mitmproxy import http


class Steer:
    """Retargets single requests."""

    def request(self, flow: http.HTTPFlow) -> None:
        """Obey the header and take it off."""
        target = flow.request.headers.pop("x-test-target", None)
        if target:
            parts = urlsplit(target)
            flow.request.scheme, flow.request.host = parts.scheme, parts.hostname or ""
            flow.request.port = parts.port or 0


addons = [Steer()]
