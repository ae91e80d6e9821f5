"""An extra script for mitmdump: after a failed attempt it sends the next one elsewhere, as a fallback addon would.

`x-test-after-failure: https://127.0.0.1:8443/path` is where.
"""

from urllib.parse import urlsplit

from mitmproxy import http

from codemie_core.addon import Addon
from codemie_core.exchange import Attempt
from codemie_core.policy import Retry


class Stray(Addon, priority=16, name="stray"):
    """Retargets between attempts."""

    def upstream_failed(self, flow: http.HTTPFlow, attempt: Attempt) -> None:
        """Obey the header and take it off."""
        target = flow.request.headers.pop("x-test-after-failure", None)
        if target:
            parts = urlsplit(target)
            flow.request.scheme, flow.request.host = parts.scheme, parts.hostname or ""
            flow.request.port, flow.request.path = parts.port or 0, parts.path
            attempt.decision = Retry(0.0)


addons = [Stray()]
