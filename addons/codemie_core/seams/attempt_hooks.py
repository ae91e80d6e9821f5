"""The two hooks of the attempt machine: `upstream_response(flow, attempt)` and `upstream_failed(flow, attempt)`.

mitmproxy's connection handler runs hooks of one argument only (ProxyConnectionHandler.handle_hook), so the layer starts
`codemie_attempt(event)`, and the core addon hands the event inside on to all addons. Async handlers are awaited. When
nobody listens, nothing is started at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from mitmproxy import ctx, hooks, http
from mitmproxy.proxy import commands, layer

from codemie_core.exchange import Attempt
from codemie_core.seams.dispatch import has_listeners

ERRORS_ONLY = "errors_only"
"""What `addon.errors_only` puts on a handler."""


@dataclass
class UpstreamResponseHook(hooks.Hook):
    """A response head has arrived. `attempt.reject(reason)` keeps this response from the client."""

    name = "upstream_response"
    flow: http.HTTPFlow
    attempt: Attempt


@dataclass
class UpstreamFailedHook(hooks.Hook):
    """An attempt failed, was rejected or timed out. `attempt.decision` is preset from policy and may be overruled."""

    name = "upstream_failed"
    flow: http.HTTPFlow
    attempt: Attempt


@dataclass
class AttemptHook(commands.StartHook):
    """Carries one of the above from the layer to the core addon."""

    name = "codemie_attempt"
    event: UpstreamResponseHook | UpstreamFailedHook


def upstream_response(flow: http.HTTPFlow, attempt: Attempt) -> layer.CommandGenerator[None]:
    """Ask the addons about a response head; about a good one only if any of them wants to hear of those."""
    is_error = attempt.status is None or attempt.status >= 400
    if has_listeners(ctx.master.addons, UpstreamResponseHook.name, "" if is_error else ERRORS_ONLY):
        yield AttemptHook(UpstreamResponseHook(flow, attempt))


def upstream_failed(flow: http.HTTPFlow, attempt: Attempt) -> layer.CommandGenerator[None]:
    """Ask the addons what to do after a failure."""
    if has_listeners(ctx.master.addons, UpstreamFailedHook.name):
        yield AttemptHook(UpstreamFailedHook(flow, attempt))
