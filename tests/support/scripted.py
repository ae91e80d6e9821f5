"""The scripted upstream for tests that are not async: it runs in a thread of its own and takes its script from here."""

from collections.abc import Callable
from typing import Any

from codemie_core.demo.received import Received
from codemie_core.demo.script import Step
from codemie_core.demo.threaded import UpstreamThread
from support.access import until
from support.proxy import Mitmproxy


class Scripted(UpstreamThread):
    """`with Scripted() as upstream: upstream.script(Step(status=429))`"""

    def script(self, *steps: Step, then: Step | None = None) -> None:
        """What it answers, in this order."""
        self.call(lambda: self.upstream.script(*steps, then=then))

    def script_for(self, whom: str | Callable[[Received], bool], *steps: Step, then: Step | None = None) -> None:
        """What it answers to requests with this key."""
        self.call(lambda: self.upstream.script_for(whom, *steps, then=then))

    @property
    def requests(self) -> list[Received]:
        """All that came, in order."""
        return self.upstream.requests

    def keys(self) -> list[str]:
        """The one credential that each request bore."""
        assert all(len(request.keys) == 1 for request in self.requests), [request.keys for request in self.requests]
        return [request.keys[0] for request in self.requests]


def wait_for_details(proxy: Mitmproxy, addon: str, **wanted: Any) -> None:
    """Until /health says this of an addon."""

    def there() -> bool:
        details = next(one["details"] for one in proxy.health()["addons"] if one["name"] == addon)
        return all(details.get(name) == value for name, value in wanted.items())

    until(there)
