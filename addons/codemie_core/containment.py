"""What is known about hooks, and what becomes of an exception in one."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from pathlib import Path

from mitmproxy import http

from codemie_core.errors import Problem
from codemie_core.exchange import Attempt
from codemie_core.policy import Answer
from codemie_core.redact import REDACTED, SECRET_HEADERS, redact_text
from codemie_core.refusal import answered_exchange, refuse

LONGEST_WORDS = 500
SHORTEST_SECRET = 4

_KEY_LIKE = re.compile(r"(?=[\w+/.-]*[0-9])[\w+/.-]{12,}")
"""Words with a digit that are long enough to be a key; where they stand in the flow's body they are cut out as well."""

REQUEST_SIDE = frozenset({"http_connect", "requestheaders", "request", "upstream_response", "upstream_failed"})
"""Hooks in which an addon that fails closed still can."""

HOOKS = frozenset(
    {
        "load", "configure", "running", "done", "update",
        "client_connected", "client_disconnected",
        "server_connect", "server_connected", "server_disconnected", "server_connect_error",
        "next_layer",
        "tls_clienthello", "tls_start_client", "tls_start_server",
        "tls_established_client", "tls_established_server", "tls_failed_client", "tls_failed_server",
        "quic_start_client", "quic_start_server",
        "requestheaders", "request", "responseheaders", "response", "error",
        "http_connect", "http_connected", "http_connect_error", "http_connect_upstream",
        "websocket_start", "websocket_message", "websocket_end",
        "tcp_start", "tcp_message", "tcp_end", "tcp_error",
        "udp_start", "udp_message", "udp_end", "udp_error",
        "dns_request", "dns_response", "dns_error",
        "socks5_auth",
        "upstream_response", "upstream_failed", "exchange_done", "usage_recorded",
    }
)  # fmt: skip
"""Every name that mitmproxy 12 or the bundle calls on an addon; a test compares it with mitmproxy's own list."""


@dataclass(frozen=True, slots=True)
class Mishap:
    """An exception in a hook, told without a secret."""

    line: str
    """For the log."""
    text: str
    """For /health."""

    @classmethod
    def of(cls, addon: str, hook: str, error: Exception, flow: http.HTTPFlow | None) -> Mishap:
        """Describe it; values of secret headers of the flow are cut out of the exception's words."""
        place = _place(error)
        text = f"{hook}: {type(error).__name__}: {_scrubbed(str(error), flow)}{place}"
        request = f" (request {answered_exchange(flow).request_id})" if flow is not None else ""
        line = f"{addon} failed in {text}{request}. The others go on; further failures here are only counted."
        return cls(line, text)


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _scrubbed(words: str, flow: http.HTTPFlow | None) -> str:
    if flow is not None:
        for secret in sorted(_secrets_of(flow, words), key=len, reverse=True):
            words = words.replace(secret, REDACTED)
    return redact_text(words)[:LONGEST_WORDS]


def _secrets_of(flow: http.HTTPFlow, words: str) -> set[str]:
    """What an exception about this flow may hold that nobody else shall read."""
    messages: list[http.Message] = [flow.request, *([flow.response] if flow.response else [])]
    fields = [pair for message in messages for pair in message.headers.items(multi=True)]
    secrets = {value for name, value in fields if name.lower() in SECRET_HEADERS}
    secrets |= {value for value in flow.request.query.values() if len(value) >= 8}
    # An addon complains about one cookie, or about a token without its "Bearer".
    secrets |= {part for secret in secrets for part in re.split(r"[\s;,=]+", secret)}
    body = b"".join(message.raw_content or b"" for message in messages)
    secrets |= {word for word in _KEY_LIKE.findall(words) if word.encode() in body}
    return {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}


def answer_closed(addon: str, flow: http.HTTPFlow, attempt: Attempt | None = None) -> None:
    """The addon fails closed: this flow ends here, with an error the agent can read."""
    problem = Problem(
        502, "addon_failed", f"The proxy's {addon} failed and lets no request pass without it. See its log."
    )
    if attempt is not None:
        attempt.reject("addon_failed")
        attempt.final = Answer(problem)
    else:
        refuse(flow, problem)
