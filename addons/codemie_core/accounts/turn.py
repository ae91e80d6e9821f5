"""One exchange on its way through the pool: what was asked, which account serves it now, what has been tried.

Every attempt starts from what the client sent: its path without the target's prefix, its body byte for byte. An account
changes the address and, only where it has to, the model or rejected thinking blocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from codemie_core.accounts.pool import Ask, Choice
from codemie_core.accounts.verdicts import Scope, Verdict
from codemie_core.agents import ANTHROPIC_SDK, GOOGLE_GENAI, LITELLM, OPENAI_SDK, UNKNOWN, Agent
from codemie_core.egress import Egress
from codemie_core.policy import AttemptPlan, Failure, Reason, Retry

_SDKS = frozenset(agent.name for agent in (ANTHROPIC_SDK, OPENAI_SDK, GOOGLE_GENAI, LITELLM, UNKNOWN))
_OF_THE_ADDRESS = frozenset(
    {
        Reason.CONNECT_FAILED,
        Reason.DNS_FAILED,
        Reason.TLS_FAILED,
        Reason.CERTIFICATE_REFUSED,
        Reason.CONNECT_TIMEOUT,
        Reason.RESET,
        Reason.BAD_HEAD,
    }
)
_OF_THE_SERVER = frozenset({502, 503, 504})
# In JSON text inside of strings the quotes are escaped: only the error's own structure can look like this.
_ERROR_KIND = re.compile(
    rb'"(?:type|code|status)"\s*:\s*"(rate_limit_error|rate_limit_exceeded|overloaded_error|server_is_overloaded'
    rb'|insufficient_quota|billing_error|authentication_error|RESOURCE_EXHAUSTED)"'
)


@dataclass(slots=True)
class Turn:
    """What the addon knows about one exchange."""

    ask: Ask
    choice: Choice
    path: str
    """As the client asked for it, below whatever base URL."""
    body: bytes
    """To be sent, but for a fallback model."""
    plan: AttemptPlan
    """As `upstream_attempts` made it."""
    moves: bool
    """May it go to another account?"""
    tried: int = 1
    refreshed: set[str] = field(default_factory=set)
    repaired: bool = False
    settled: bool = False
    """The pool knows how the attempt that runs went."""
    tail: Tail | None = None

    @property
    def model(self) -> str:
        """The model that is really asked for."""
        return self.choice.model or self.ask.model

    def without_current(self) -> Ask:
        """The question for the next account."""
        return replace(self.ask, excluded=self.ask.excluded | {self.choice.tried})

    def take(self, ask: Ask, choice: Choice) -> None:
        """Go on with another account."""
        self.ask, self.choice, self.settled = ask, choice, False
        self.tried += 1

    def plan_for(self) -> AttemptPlan:
        """The plan of an attempt with the current account: an outbound proxy of its own is its way out."""
        proxy = self.choice.account.outbound_proxy
        return self.plan if proxy is None else replace(self.plan, egress=Egress({"http": proxy, "https": proxy}))


def conversation_key(agent: Agent, conversation_id: str | None, client: str) -> str:
    """What a conversation is known by; "" for a request that stands alone.

    An agent that names none (Gemini CLI) has one per client, so that its side calls go with its turns.
    """
    if conversation_id:
        return f"{agent.name}:{conversation_id}"
    return "" if agent.name in _SDKS else f"{agent.name}@{client}"


def is_of_the_place(failure: Failure) -> bool:
    """Would another account at the same place meet the same failure?"""
    if failure.reason is Reason.STATUS:
        return failure.status in _OF_THE_SERVER
    return failure.reason in _OF_THE_ADDRESS


def wait_before_next(failure: Failure, verdict: Verdict, decision: object, same_place: bool) -> float | None:
    """Seconds to wait before the next account is asked; None when policy's own decision shall stand.

    Another account at a place that is down is no better: there policy says how often and how soon.
    """
    if verdict.scope is not Scope.NONE or not same_place or not is_of_the_place(failure):
        return 0.0
    return decision.after if isinstance(decision, Retry) else None


def error_at_end(tail: bytes) -> str:
    """The kind of an error event that ended a stream, "" when there was none. `tail` is its last piece, decoded."""
    found = _ERROR_KIND.search(tail)
    return found[1].decode() if found else ""


class Tail:
    """An observer that keeps the end of a compressed stream. (Of a plain one the exchange has it.)"""

    SIZE = 4096

    def __init__(self) -> None:
        self.kept = b""

    def __call__(self, data: bytes) -> None:
        """A decompressed piece."""
        self.kept = data[-self.SIZE :] if len(data) >= self.SIZE else (self.kept + data)[-self.SIZE :]
