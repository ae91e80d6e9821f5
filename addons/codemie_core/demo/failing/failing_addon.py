"""An addon that fails at every request and every response: the demo loads it to show that it harms nobody."""

from mitmproxy import http

from codemie_core.addon import Addon


class FailingAddon(Addon, priority=900):
    """Raises."""

    def request(self, flow: http.HTTPFlow) -> None:
        """Fail before the request goes out."""
        raise RuntimeError("an addon with a bug")

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Fail once more when the answer comes."""
        raise RuntimeError("the same bug again")


addons = [FailingAddon()]
