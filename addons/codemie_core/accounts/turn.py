"""One exchange on its way through the pool: what was asked, which account serves it now, what has been tried.

Every attempt starts from what the client sent: its path without the target's prefix, its body byte for byte. An account
changes the address and, only where it has to, the model or rejected thinking blocks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from codemie_core.accounts.fallback import with_model
from codemie_core.accounts.pool import Ask, Choice
from codemie_core.accounts.verdicts import Scope, Verdict
from codemie_core.agents import ANTHROPIC_SDK, CLAUDE, GOOGLE_GENAI, LITELLM, OPENAI_SDK, UNKNOWN, Agent, Header
from codemie_core.egress import Egress
from codemie_core.gate import CommitGate, ErrorEvent
from codemie_core.policy import AttemptPlan, Failure, Reason, Retry, bounded

if TYPE_CHECKING:
    from codemie_core.exchange import Attempt

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
# What an OpenAI client's base URL ends with; accounts are kept without it, since the path of each call brings it.
_VERSION = re.compile(r"/v1(?:alpha|beta)?\d*\Z")
_BETWEEN_EVENTS = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LAST_EVENTS = 4
"""An error may be followed by the end of its own event, by `[DONE]` and by a comment."""
_LONGEST_TAIL = 128 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """The request as it came to the pool."""

    scheme: str
    host: str
    port: int
    path: str
    body: bytes


@dataclass(slots=True)
class Turn:
    """What the addon knows about one exchange."""

    ask: Ask
    choice: Choice
    sent: Sent
    path: str
    """As the client asked for it, below whatever base URL."""
    body: bytes
    """To be sent, but for a fallback model."""
    plan: AttemptPlan
    """As `upstream_attempts` made it."""
    moves: bool
    """May it go to another account?"""
    waits_on_503: bool = False
    """Its client takes any 429 for the end, and waits when it hears a 503."""
    tried: int = 1
    refreshed: set[str] = field(default_factory=set)
    repaired: bool = False
    settled: bool = False
    """The pool knows how the attempt that runs went."""
    streams: bool = False
    """The client gets an event stream."""
    tail: Tail | None = None

    @property
    def model(self) -> str:
        """The model that is really asked for."""
        return self.choice.model or self.ask.model

    def wanted(self) -> tuple[bytes, str] | None:
        """Body and path for the current account; None when they cannot ask for its fallback model."""
        model = self.choice.model
        return with_model(self.body, self.path, model) if model else (self.body, self.path)

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

    def may_go_on(self, attempts: Sequence[Attempt]) -> bool:
        """Is there time for another attempt after the last one, which failed? `policy.bounded` would not let it."""
        last = attempts[-1]
        assert last.failure is not None
        elapsed = time.monotonic() - attempts[0].began
        return isinstance(bounded(self.plan, Retry(0.0), last.failure, last.number, elapsed), Retry)


def conversation_key(agent: Agent, conversation_id: str | None, client: str, stored: bool = False) -> str:
    """What a conversation is known by; "" for a request that stands alone.

    An agent that names none (Gemini CLI) has one per client, so that its side calls go with its turns. So have calls
    about `stored` things, which only the account knows that made them.
    """
    if conversation_id:
        return f"{agent.name}:{conversation_id}"
    return "" if agent.name in _SDKS and not stored else f"{agent.name}@{client}"


def quits_on_429(agent: Agent, header: Header) -> bool:
    """Is this Claude Code with a subscription? It takes every 429 for the end of its session."""
    return agent.name == CLAUDE.name and "oauth-" in (header("anthropic-beta") or "")


def path_below(path: str, prefix: str) -> str:
    """`path` without the target's own `prefix`, but with the API's version where the prefix ends in one."""
    return path.removeprefix(_VERSION.sub("", prefix))


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
    """The kind of an error event that ended an event stream, "" when there was none. `tail` is its last piece."""
    for event in reversed(_BETWEEN_EVENTS.split(tail[-_LONGEST_TAIL:])[-_LAST_EVENTS:]):
        # What stands before the first event's own lines is part of an earlier one's text, and no line of an event.
        verdict = CommitGate("", _LONGEST_TAIL).feed(event + b"\n\n")
        if isinstance(verdict, ErrorEvent):
            return verdict.kind
    return ""


class Tail:
    """An observer that keeps the end of a compressed stream. (Of a plain one the exchange has it.)"""

    SIZE = 4096

    def __init__(self) -> None:
        self.kept = b""

    def __call__(self, data: bytes) -> None:
        """A decompressed piece."""
        self.kept = data[-self.SIZE :] if len(data) >= self.SIZE else (self.kept + data)[-self.SIZE :]
