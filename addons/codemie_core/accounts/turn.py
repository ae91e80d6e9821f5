"""One exchange on its way through the pool: what was asked, which account serves it now, what has been tried.

Every attempt starts from what the client sent: its path without the target's prefix, its body byte for byte. An account
changes the address and, only where it has to, the model or rejected thinking blocks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from pydantic import SecretStr

from codemie_core.access.own_address import LEADS_BACK
from codemie_core.accounts.account import Account
from codemie_core.accounts.empty import Unusable, pool_empty
from codemie_core.accounts.fallback import with_model
from codemie_core.accounts.pool import Ask, Choice
from codemie_core.accounts.verdicts import Scope, Verdict
from codemie_core.accounts.way_out import way_out
from codemie_core.agents import ANTHROPIC_SDK, CLAUDE, GOOGLE_GENAI, LITELLM, OPENAI_SDK, UNKNOWN, Agent, Header
from codemie_core.errors import Problem
from codemie_core.policy import AttemptPlan, Decision, Failure, Reason, Retry, bounded
from codemie_core.target import without_version

if TYPE_CHECKING:
    from codemie_core.accounts.stream_end import Tail
    from codemie_core.exchange import Attempt

AGAIN = Problem(
    503, "pool_busy", "The accounts tried for this request could not serve it, and others are left: try again.", 1
)

_NOT_STORED = re.compile(rb'"store"\s*:\s*false')
_SDKS = frozenset(agent.name for agent in (ANTHROPIC_SDK, OPENAI_SDK, GOOGLE_GENAI, LITELLM, UNKNOWN))
_OF_THE_ADDRESS = frozenset(
    {
        Reason.CONNECT_FAILED,
        Reason.DNS_FAILED,
        Reason.TLS_FAILED,
        Reason.CERTIFICATE_REFUSED,
        Reason.LEADS_BACK,
        Reason.PROXY_REFUSED,
        Reason.CONNECT_TIMEOUT,
        Reason.RESET,
        Reason.BAD_HEAD,
    }
)
_OF_THE_SERVER = frozenset({502, 503, 504})
_KEYS = frozenset({"key", "access_token", "oauth_token", "api_key", "api-key", "apikey", "subscription-key", "token"})
"""Some APIs, Google's among them, take one in the query, too. Beside the account's it would be a second one."""

type Left = Problem | tuple[Unusable, ...]
"""Why no account can be had: an answer, or the pool's own reasons."""


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
    """As the client asked for it, below whatever base URL, and without a key of its own."""
    body: bytes
    """To be sent, but for a fallback model."""
    plan: AttemptPlan
    """As `upstream_attempts` made it."""
    moves: bool
    """May it go to another account?"""
    quits_on_429: bool = False
    """Its client takes any 429 for the end, and waits when it hears a 503."""
    secret: SecretStr | None = None
    """What the attempt that runs goes out with."""
    tried: int = 0
    """Accounts that it went out with."""
    refreshed: set[str] = field(default_factory=set)
    """Ids of those whose secret was asked for anew."""
    settled: bool = False
    """The pool knows how the attempt that runs went."""
    streams: bool = False
    """The client gets an event stream."""
    tail: Tail | None = None

    @property
    def model(self) -> str:
        """The model that is really asked for."""
        return self.choice.model or self.ask.model

    def wanted(self, choice: Choice) -> tuple[bytes, str] | None:
        """Body and path for this choice; None when they cannot ask for its fallback model."""
        return with_model(self.body, self.path, choice.model) if choice.model else (self.body, self.path)

    def take(self, ask: Ask, choice: Choice, secret: SecretStr) -> None:
        """The next attempt goes out with this account."""
        if choice is not self.choice or not self.tried:
            self.tried += 1
        self.ask, self.choice, self.secret, self.settled = ask, choice, secret, False

    def plan_with(self, account: Account) -> AttemptPlan:
        """The plan of an attempt with this account: an outbound proxy of its own is its way out."""
        proxy = account.outbound_proxy
        return self.plan if proxy is None else replace(self.plan, egress=way_out(proxy))

    def in_time(self, attempts: Sequence[Attempt]) -> bool:
        """May another attempt follow the last one, which failed? Where `policy.bounded` would not let it, no."""
        last = attempts[-1]
        assert last.failure is not None
        elapsed = time.monotonic() - attempts[0].began
        return isinstance(bounded(self.plan, Retry(0.0), last.failure, last.number, elapsed), Retry)


def without(ask: Ask, choice: Choice) -> Ask:
    """The same question when this choice is out of it."""
    return replace(ask, excluded=ask.excluded | {choice.tried})


def problem_of(left: Left, now: float, quits_on_429: bool) -> Problem:
    """What the client hears when no account can be had."""
    return left if isinstance(left, Problem) else pool_empty(left, now, quits_on_429)


def leads_back(account: Account) -> Problem:
    """What the client hears when the account was the last one, and its address is the proxy's own."""
    said, flag = f"The address of the account {account.name}, {account.origin},", "--base-url"
    if account.outbound_proxy is not None:
        said, flag = f"The outbound proxy of the account {account.name}", "--outbound-proxy"
    return Problem(
        400,
        "upstream_is_this_proxy",
        f"{said} {LEADS_BACK}. Until it is removed (codemie-proxy accounts remove {account.name}) and added again with "
        f"another {flag}, trying again does not help.",
    )


def conversation_key(agent: Agent, conversation_id: str | None, client: str, stored: bool = False) -> str:
    """What a conversation is known by; "" for a request that stands alone.

    An agent that names none (Gemini CLI) has one per client, so that its side calls go with its turns. So have calls
    about `stored` things, and those that `keeps_answers`: only the account knows them that made them.
    """
    if conversation_id:
        return f"{agent.name}:{conversation_id}"
    return "" if agent.name in _SDKS and not stored else f"{agent.name}@{client}"


def keeps_answers(path: str, body: bytes) -> bool:
    """Will the API keep its answer, for a later request to name as `previous_response_id`? OpenAI's Responses do."""
    return path.partition("?")[0].endswith("/responses") and not _NOT_STORED.search(body)


def quits_on_429(agent: Agent, header: Header) -> bool:
    """Is this Claude Code with a subscription? It takes every 429 for the end of its session."""
    return agent.name == CLAUDE.name and "oauth-" in (header("anthropic-beta") or "")


def base_paths(accounts: Iterable[Account]) -> Mapping[str, Sequence[str]]:
    """The paths of the accounts' base URLs by origin, longest first."""
    found: dict[str, set[str]] = {}
    for target in {account.target for account in accounts}:
        if target.path:
            found.setdefault(target.origin, set()).add(target.path)
    return {origin: sorted(paths, key=len, reverse=True) for origin, paths in found.items()}


def path_below(path: str, prefix: str, bases: Sequence[str] = ()) -> str:
    """`path` without the target's own `prefix`, but with the API's version where the prefix ends in one.

    Where there is no prefix the client itself may have asked below the base URL of an account: one of `bases`.
    """
    prefix = prefix or next((base for base in bases if path.startswith(f"{base}/")), "")
    return path.removeprefix(without_version(prefix))


def without_keys(path: str) -> str:
    """`path` without the client's own key in its query; all other bytes stay."""
    place, mark, query = path.partition("?")
    if not mark:
        return path
    pairs = query.split("&")
    kept = [pair for pair in pairs if unquote_plus(pair.partition("=")[0]).lower() not in _KEYS]
    if len(kept) == len(pairs):
        return path
    return f"{place}?{'&'.join(kept)}" if kept else place


def is_nobodys_fault(failure: Failure, decision: Decision | None) -> bool:
    """A connection kept alive that the upstream had closed: policy asks again at once, and so of the same account."""
    return failure.reused_connection and isinstance(decision, Retry)


def wait_before_next(
    failure: Failure, verdict: Verdict, decision: Decision | None, former: Account, following: Account
) -> float | None:
    """Seconds to wait before the following account is asked; None when policy's own decision shall stand.

    Another account at a place that is down is no better: there policy says how often and how soon.
    """
    if verdict.scope is not Scope.NONE or not _is_of_the_place(failure) or not _same_place(former, following):
        return 0.0
    return decision.after if isinstance(decision, Retry) else None


def _is_of_the_place(failure: Failure) -> bool:
    """Would another account at the same place meet the same failure?"""
    if failure.reason is Reason.STATUS:
        return failure.status in _OF_THE_SERVER
    return failure.reason in _OF_THE_ADDRESS


def _same_place(one: Account, other: Account) -> bool:
    return one.origin == other.origin and one.outbound_proxy == other.outbound_proxy
