"""What happens after an upstream attempt failed: a pure decision, made from a plan and a failure.

The plan comes from the settings of `upstream_attempts`; the attempt machine (seams/attempts.py) asks `decide` and then
lets addons overrule the answer. Times are seconds, sizes bytes.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from codemie_core.access.own_address import HELP, LEADS_BACK, LOOP
from codemie_core.egress import Egress
from codemie_core.errors import Problem


class Reason(StrEnum):
    """Why an attempt failed; stable words for logs, metrics and the attempts table."""

    CONNECT_FAILED = "connect_failed"
    DNS_FAILED = "dns_failed"
    TLS_FAILED = "tls_failed"
    CERTIFICATE_REFUSED = "certificate_refused"
    LEADS_BACK = "leads_back"
    PROXY_REFUSED = "proxy_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    RESET = "reset"
    BAD_HEAD = "bad_head"
    STATUS = "status"
    ERROR_EVENT = "error_event"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt as the policy sees it."""

    reason: Reason
    detail: str = ""
    """For people: the error text, the kind of error event, an addon's word. Never a header value or a body."""
    status: int | None = None
    retry_after: float | None = None
    """Seconds the upstream asked to wait, when it said so."""
    reused_connection: bool = False
    """A kept-alive connection that the upstream closed meanwhile: nothing was wrong with the request."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again, `after` seconds from now."""

    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Release:
    """Give the client the upstream's own response, byte for byte."""


@dataclass(frozen=True, slots=True)
class ReadyResponse:
    """A complete response made by an addon."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the client ourselves: a problem in the shape of the client's API, a ready response as it is."""

    response: Problem | ReadyResponse


type Decision = Retry | Release | Answer


@dataclass(frozen=True, slots=True)
class AttemptPlan:
    """The policy of one exchange. Defaults are those of the settings of `upstream_attempts`."""

    max_attempts: int = 3
    retry_statuses: frozenset[int] = frozenset({502, 503, 504, 529})
    backoff: float = 0.25
    backoff_max: float = 5.0
    budget: float = 60.0
    """No new attempt begins later than this after the first one began; 0 sets no bound."""
    connect_timeout: float = 10.0
    first_byte_timeout: float = 300.0
    idle_timeout: float = 300.0
    keepalive: float = 15.0
    """Silence after which an open event stream gets a keep-alive; 0 sends none."""
    gate_bytes: int = 16 * 1024
    gate_time: float = 1.0
    max_request_bytes: int = 64 * 1024 * 1024
    egress: Egress = field(default_factory=Egress)
    """The way out, asked anew for each attempt: an addon may have changed the upstream."""


HARD_ATTEMPT_LIMIT = 32
"""However often addons say RETRY: a bound against a rule that never gives up."""

_RETRIED = {
    Reason.CONNECT_FAILED,
    Reason.DNS_FAILED,
    Reason.TLS_FAILED,
    Reason.CONNECT_TIMEOUT,
    Reason.RESET,
}

LASTING_ERRORS = frozenset(
    {
        "authentication_error",
        "billing_error",
        "content_policy_violation",
        "context_length_exceeded",
        "FAILED_PRECONDITION",
        "insufficient_quota",
        "invalid_api_key",
        "INVALID_ARGUMENT",
        "invalid_prompt",
        "invalid_request_error",
        "NOT_FOUND",
        "not_found_error",
        "PERMISSION_DENIED",
        "permission_error",
        "rate_limit_error",
        "rate_limit_exceeded",
        "request_too_large",
        "RESOURCE_EXHAUSTED",
        "UNAUTHENTICATED",
        "usage_limit_reached",
        "usage_not_included",
    }
)
"""Error kinds that another try at the same account cannot change (rate limits belong to the account addons)."""


def retried_by_default(plan: AttemptPlan, failure: Failure) -> bool:
    """Is this a failure that another try may mend?"""
    match failure.reason:
        case Reason.STATUS:
            return failure.status in plan.retry_statuses
        case Reason.ERROR_EVENT:
            return failure.detail not in LASTING_ERRORS
        case reason:
            return reason in _RETRIED


def backoff(plan: AttemptPlan, number: int, rng: Callable[[], float] = random.random) -> float:
    """Seconds before the attempt after `number`: doubling, with full jitter in its upper half."""
    ceiling = min(plan.backoff_max, plan.backoff * 2.0 ** (number - 1))
    return ceiling * (0.5 + rng() / 2)


def decide(
    plan: AttemptPlan,
    failure: Failure,
    number: int,
    elapsed: float,
    rng: Callable[[], float] = random.random,
) -> Decision:
    """The preset decision after attempt `number` (1-based), `elapsed` seconds after the first attempt began."""
    give_up = _last_resort(failure)
    if not retried_by_default(plan, failure) or number >= plan.max_attempts:
        return give_up
    wait = 0.0 if failure.reused_connection else backoff(plan, number, rng)
    if failure.retry_after is not None:
        # A long Retry-After is for the agent: it shows its person a countdown, we would only look hung.
        if failure.retry_after > plan.backoff_max:
            return give_up
        wait = max(wait, failure.retry_after)
    return give_up if _over_budget(plan, elapsed + wait) else Retry(wait)


def _over_budget(plan: AttemptPlan, begins: float) -> bool:
    return begins > (plan.budget or math.inf)


def bounded(plan: AttemptPlan, decision: Decision, failure: Failure, number: int, elapsed: float) -> Decision:
    """An addon's decision, held to the limits: attempts and total time are bounded, Release needs a response."""
    give_up = _last_resort(failure)
    if isinstance(decision, Retry) and (number >= HARD_ATTEMPT_LIMIT or _over_budget(plan, elapsed + decision.after)):
        return give_up
    if isinstance(decision, Release) and not has_response(failure):
        return give_up
    return decision


def has_response(failure: Failure) -> bool:
    """Did the upstream send a response that an addon may still release?"""
    return failure.reason in (Reason.STATUS, Reason.ERROR_EVENT, Reason.REJECTED)


def _last_resort(failure: Failure) -> Decision:
    # A rejected response must not reach the client unless an addon says so in as many words.
    if failure.reason in (Reason.STATUS, Reason.ERROR_EVENT):
        return Release()
    return Answer(problem_of(failure))


def on_connection(failure: Failure, reused: bool) -> Failure:
    """The failure, noting whether its connection had served earlier requests."""
    return replace(failure, reused_connection=reused) if failure.reason is Reason.RESET else failure


def waiting(problem: Problem, seconds: float | None) -> Problem:
    """The problem with the upstream's own Retry-After."""
    return problem if seconds is None else replace(problem, retry_after=math.ceil(seconds))


_PROBLEMS: dict[Reason, tuple[int, str, str]] = {
    Reason.CONNECT_FAILED: (502, "upstream_unreachable", "The model API could not be reached"),
    Reason.DNS_FAILED: (502, "upstream_unknown_host", "The name of the model API could not be resolved"),
    Reason.TLS_FAILED: (502, "upstream_tls_failed", "The TLS handshake with the model API failed"),
    Reason.CERTIFICATE_REFUSED: (
        502,
        "upstream_certificate_refused",
        "The certificate of the model API is not trusted",
    ),
    Reason.LEADS_BACK: (400, "upstream_is_this_proxy", f"The address of the model API {LEADS_BACK}"),
    Reason.PROXY_REFUSED: (400, "outbound_proxy_refused", "The outbound proxy does not lead us to the model API"),
    Reason.CONNECT_TIMEOUT: (
        504,
        "upstream_connect_timeout",
        "The model API did not accept a connection in time",
    ),
    Reason.FIRST_BYTE_TIMEOUT: (504, "upstream_timeout", "The model API did not answer in time"),
    Reason.IDLE_TIMEOUT: (504, "upstream_stalled", "The model API stopped sending"),
    Reason.RESET: (502, "upstream_reset", "The model API closed the connection before it answered"),
    Reason.BAD_HEAD: (
        502,
        "upstream_invalid_response",
        "The model API answered with something that is not valid HTTP",
    ),
    Reason.STATUS: (502, "upstream_error", "The model API reported an error"),
    Reason.ERROR_EVENT: (502, "upstream_error", "The model API reported an error"),
    Reason.REJECTED: (502, "upstream_rejected", "The answer of the model API was rejected"),
}

_HELP: dict[Reason, str] = {
    Reason.LEADS_BACK: f"{HELP}.",
    Reason.CERTIFICATE_REFUSED: "Where a company inspects TLS, codemie_upstream_attempts_ca_file names its authority.",
    Reason.PROXY_REFUSED: "Look at the user and the password in HTTPS_PROXY where this proxy was started, or ask those "
    "who run the other one whether it allows this address. Trying again does not help.",
}


def problem_of(failure: Failure) -> Problem:
    """The failure as an error for the client. A 4xx is final for agents, so these are 502 and 504.

    All but two: what leads back here, and an outbound proxy that wants another password, do so until somebody changes
    a setting. Agents would ask for minutes, and each time show a wrong password once more.
    """
    status, code, message = _PROBLEMS[failure.reason]
    retry = "Trying again may help." if retried_by_default(AttemptPlan(), failure) or status == 504 else ""
    retry = _HELP.get(failure.reason, retry)
    detail = f" ({failure.detail})" if failure.detail else ""
    return Problem(failure.status or status, code, f"{message}{detail}. {retry}".strip())


_DNS_WORDS = (
    "name or service not known",
    "nodename nor servname",
    "getaddrinfo failed",
    "temporary failure in name",
)
_CERTIFICATE_WORDS = ("certificate verify failed", "hostname mismatch", "ip address mismatch")
_CONNECT_ANSWERED = re.compile(r"refused HTTP CONNECT request: (?P<answer>(?P<status>\d{3}).*)", re.DOTALL)
_MAY_PASS = (408, 425, 429)


def connect_failure(error: str, tcp_established: bool, outbound: str = "") -> Failure:
    """Sort the text of a failed connect. mitmproxy hands on only the text of the exception (proxy/server.py).

    `outbound` is the host:port of the proxy that lies on the way, if one does.
    """
    if LOOP in error:
        return Failure(Reason.LEADS_BACK)
    lowered = error.lower()
    dns = any(word in lowered for word in _DNS_WORDS)
    if dns and not outbound:
        return Failure(Reason.DNS_FAILED)
    if any(word in lowered for word in _CERTIFICATE_WORDS):
        return Failure(Reason.CERTIFICATE_REFUSED, error)
    if tcp_established:
        return Failure(Reason.TLS_FAILED, error)
    if outbound:
        return _on_the_way("its name cannot be resolved" if dns else error, outbound)
    return Failure(Reason.CONNECT_FAILED, error)


def _on_the_way(error: str, outbound: str) -> Failure:
    """It never came to the model API: the outbound proxy said no, or could not be reached itself."""
    said = _CONNECT_ANSWERED.search(error)
    if said is None:
        return Failure(Reason.CONNECT_FAILED, f"through the outbound proxy {outbound}: {error}")
    status = int(said["status"])
    # Squid answers 407 to a wrong password, tinyproxy 401, and 5xx when it does not reach the host itself.
    final = 400 <= status < 500 and status not in _MAY_PASS
    return Failure(Reason.PROXY_REFUSED if final else Reason.CONNECT_FAILED, f"{outbound} answers {said['answer']}")
