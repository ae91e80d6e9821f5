"""What became of a request: the plain facts that a flow keeps of it, and the lines in which people see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codemie_core.amounts import count, money, several, span
from codemie_core.usage.answer import Answer
from codemie_core.usage.usage import Usage

if TYPE_CHECKING:
    from codemie_core.exchange import Attempt, Exchange
    from codemie_core.usage.record import Record

PREFIX = "codemie."
LET_GO = f"{PREFIX}bodies_let_go"
KEPT = f"{PREFIX}kept"
"""How much of the answer is there, in words, where it is not all."""
COMMENT = f"{PREFIX}comment"
"""The comment that is ours: one that somebody else wrote is left alone."""

type Metadata = MutableMapping[str, object]
"""Of a flow: mitmproxy saves it, so only plain values go in there."""
type Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Read back from a flow's metadata; "" and None for what is not known."""

    agent: str = ""
    session: str = ""
    conversation: str = ""
    account: str = ""
    why: str = ""
    attempts: tuple[str, ...] = ()
    ending: str = ""
    error: str = ""
    model: str = ""
    stop_reason: str = ""
    turns: int = 0
    """Metered ones: more than one on a WebSocket."""
    read: int | None = None
    written: int | None = None
    nano_usd: int | None = None
    unpriced: int = 0
    """Turns whose cost is not known."""
    first_token_ms: float | None = None
    total_ms: float | None = None


_NAMES = {name: f"{PREFIX}{name}" for name in Facts.__dataclass_fields__} | {
    "session": f"{PREFIX}session_id",
    "conversation": f"{PREFIX}conversation_id",
    "why": f"{PREFIX}account_why",
}
NOTED = frozenset(
    {_NAMES[name] for name in Facts.__dataclass_fields__ if name not in ("agent", "session", "conversation")}
    | {LET_GO, KEPT}
)
"""What belongs to one time that a request was sent."""
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("turns", "unpriced", "read", "written", "nano_usd"), int),
    **dict.fromkeys(("first_token_ms", "total_ms"), (int, float)),
}


def facts_of(metadata: Mapping[str, object]) -> Facts:
    """A file of flows may hold anything: what has the wrong type is not known."""
    found: dict[str, object] = {}
    for field, name in _NAMES.items():
        value = metadata.get(name)
        if field == "attempts":
            found[field] = tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
        elif isinstance(value, _TYPES.get(field, str)) and not isinstance(value, bool):
            found[field] = value
    return Facts(**found)  # type: ignore[arg-type]  # each was looked at just above


def note_exchange(metadata: Metadata, exchange: Exchange) -> None:
    """It has ended."""
    metadata[_NAMES["attempts"]] = [attempt_words(attempt) for attempt in exchange.attempts]
    metadata[_NAMES["ending"]] = str(exchange.terminal or "")
    metadata[_NAMES["error"]] = exchange.error or ""
    metadata[_NAMES["total_ms"]] = round(exchange.elapsed_ms(), 1)


def note_record(metadata: Metadata, record: Record) -> None:
    """A turn of it is metered. Those of one WebSocket add up."""
    before, usage = facts_of(metadata), record.usage
    metadata[_NAMES["turns"]] = before.turns + 1
    metadata[_NAMES["model"]] = record.model
    metadata[_NAMES["stop_reason"]] = record.stop_reason
    metadata[_NAMES["error"]] = record.error
    metadata[_NAMES["first_token_ms"]] = record.first_token_ms
    metadata[_NAMES["total_ms"]] = round(record.total_ms, 1)
    for field, value in (("read", usage.prompt), ("written", usage.output), ("nano_usd", record.cost.nano_usd)):
        metadata[_NAMES[field]] = _plus(getattr(before, field), value)
    metadata[_NAMES["unpriced"]] = before.unpriced + (record.cost.nano_usd is None)


def attempt_words(attempt: Attempt) -> str:
    """Like "main: 529 status" or "api.anthropic.com: 200"."""
    who = attempt.account or attempt.host
    failure = attempt.failure
    what = [str(attempt.status)] if attempt.status is not None else []
    if failure is not None:
        what.append(f"{failure.reason}{f' {failure.detail}' if failure.detail else ''}")
    return f"{who}: {' '.join(what) or 'no answer'}"


def comment_of(facts: Facts, bodies_let_go: bool = False) -> str:
    """One line for lists: who, by which account, how often tried, what it took."""
    words = [
        " ".join(filter(None, (facts.agent, f"session {facts.session[:8]}" if facts.session else ""))),
        f"account {facts.account}" if facts.account else "",
        f"{len(facts.attempts)} attempts ({'; '.join(facts.attempts)})" if len(facts.attempts) > 1 else "",
        several(facts.turns, "turn") if facts.turns > 1 else "",
        facts.model,
        f"{count(facts.read)} read, {count(facts.written)} written"
        if (facts.read, facts.written) != (None, None)
        else "",
        money(facts.nano_usd, facts.unpriced) if facts.turns else "",
        facts.stop_reason,
        facts.ending if facts.ending != "complete" else "",
        facts.error if facts.error != facts.ending else "",
        "bodies let go to save memory" if bodies_let_go else "",
    ]
    return " | ".join(filter(None, words))


def facts_rows(facts: Facts) -> Iterable[Row]:
    """What the proxy knows of a request, for the head of a page."""
    yield "agent", facts.agent
    yield "session", facts.session
    yield "conversation", facts.conversation
    yield "account", f"{facts.account}{f': {facts.why}' if facts.why else ''}" if facts.account else ""
    for number, attempt in enumerate(facts.attempts, 1):
        if len(facts.attempts) > 1:
            yield f"attempt {number}", attempt
    yield "ended", " ".join(dict.fromkeys(filter(None, (facts.ending, facts.error))))
    spans = [f"first token after {span(facts.first_token_ms)}"] if facts.first_token_ms is not None else []
    spans += [f"{span(facts.total_ms)} in all"] if facts.total_ms is not None else []
    yield "time", ", ".join(spans)


def answer_rows(answer: Answer, asked: str, nano_usd: int | None) -> Iterable[Row]:
    """What an answer says of itself."""
    served = answer.model or asked
    yield "model", f"{served} (asked for {asked})" if asked and asked != served else served
    stopped = answer.stop_reason or "not said"
    if answer.refusal:
        stopped += ", a refusal"
    if answer.error:
        stopped += f", error {answer.error}"
    yield "stopped", stopped if answer.complete or answer.error else f"{stopped}; its end is missing"
    yield "tokens", usage_words(answer.usage)
    yield "cost", money(nano_usd, int(nano_usd is None)) if answer.usage.total is not None else ""


def usage_words(usage: Usage) -> str:
    """Like "20,512 read (19,000 from cache, 512 to cache), 345 written (40 reasoning)"."""
    if usage.total is None:
        return "not said"
    cached = [f"{count(usage.cache_read)} from cache"] if usage.cache_read else []
    cached += [f"{count(usage.cache_write)} to cache"] if usage.cache_write else []
    read = f"{count(usage.prompt)} read{f' ({", ".join(cached)})' if cached else ''}"
    thought = f" ({count(usage.reasoning)} reasoning)" if usage.reasoning else ""
    tools = "".join(f", {number} {name}" for name, number in usage.server_tools.items())
    return f"{read}, {count(usage.output)} written{thought}{tools}"


def _plus(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else one + other
