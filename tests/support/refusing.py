"""A script with an addon that fails closed: it raises in the hook that the request's header `x-raise` names."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mitmproxy import http

from codemie_core.addon import Addon
from codemie_core.exchange import Attempt
from codemie_core.policy import Retry

SCRIPT = Path(__file__)
HOOKS = ("requestheaders", "request", "upstream_response", "upstream_failed", "responseheaders", "response")


def raises_when_asked(hook: str) -> Callable[..., Any]:
    """A handler that fails for some requests."""

    def handler(self: Addon, flow: http.HTTPFlow, *_: object) -> None:
        if flow.request.headers.get("x-raise") == hook:
            raise RuntimeError("nothing may pass now")

    return handler


Refusing = types.new_class(
    "Refusing",
    (Addon,),
    {"priority": 10, "fail": "closed", "name": SCRIPT.stem},
    lambda body: body.update({hook: raises_when_asked(hook) for hook in HOOKS}),
)


class Lenient(Addon, priority=900, name="lenient"):
    """A later addon that would try everything again."""

    def upstream_failed(self, flow: http.HTTPFlow, attempt: Attempt) -> None:
        """Overrule whoever came before."""
        attempt.decision = Retry()


addons = [Refusing(), Lenient()]
