"""Answers of model APIs, piece by piece, each with what a reader must know after that piece.

Written from the APIs' own documents, not from the readers: a tape is told what the model does and notes both the bytes
and the knowledge. So the expectation for an answer cut anywhere is not worked out by parsing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.usage import Usage

type Form = Literal["sse", "json", "array", "messages"]

EVERY_MS = 10.0
"""Between two pieces: the n-th one, counted from 1, arrives at n times this."""


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars for a million tokens, and for one call of a server tool, as the provider publishes them."""

    input: str
    output: str
    cache_read: str = "0"
    cache_write: str = "0"
    cache_write_1h: str = "0"
    web_search: str = "0"
    grounding: str = "0"
    """For all searches of a turn together."""
    factor: str = "1"
    """Of the tier: a half in a batch."""

    def nano_usd(self, usage: Usage) -> Decimal:
        """By hand: every count times its rate, in billionths of a dollar, not rounded."""
        short = (usage.cache_write or 0) - (usage.cache_write_1h or 0)
        counts = (usage.input, usage.output, usage.cache_read, short, usage.cache_write_1h)
        rates = (self.input, self.output, self.cache_read, self.cache_write, self.cache_write_1h)
        tokens = sum(
            (Decimal(count or 0) * Decimal(rate) for count, rate in zip(counts, rates, strict=True)), Decimal()
        )
        calls = sum(usage.server_tools.get(name, 0) for name in ("web_search", "google_search"))
        searches = calls * Decimal(self.web_search) + bool(calls) * Decimal(self.grounding)
        return tokens * Decimal(self.factor) * 1000 + searches * 10**9


@dataclass(frozen=True, slots=True)
class Shape:
    """One answer. `answers[n]` is all that is known after `n` of its `parts`; or there is only what the whole tells."""

    name: str
    api: str
    form: Form
    parts: tuple[bytes, ...]
    """Events of a stream, with their blank line; one JSON body; elements of a JSON array; or WebSocket messages."""
    answers: tuple[Answer, ...]
    provider: str = ""
    model: str = ""
    rates: Rates | None = None
    """None: the price cannot be known."""
    objects: bool = False
    """The wire carries arguments of tools as objects, so that their text is the reader's own."""

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self.parts)

    @property
    def whole(self) -> Answer:
        """What is known at the end."""
        return self.answers[-1]

    @property
    def nano_usd(self) -> int | None:
        """The price in billionths of a dollar; None when it cannot be known."""
        return self.nano_usd_of(self.whole)

    def nano_usd_of(self, answer: Answer) -> int | None:
        """The price of what one of its answers knows."""
        if self.rates is None or answer.usage.input is None or answer.usage.output is None:
            return None
        exact = self.rates.nano_usd(answer.usage)
        assert exact == exact.to_integral_value(), f"{self.name}: choose counts without a fraction of a nano-dollar"
        return int(exact)

    @property
    def content_type(self) -> str:
        """As the APIs state it."""
        return "text/event-stream; charset=utf-8" if self.form == "sse" else "application/json"

    def with_line_ends(self, ending: bytes) -> Shape:
        """The same stream with CRLF or CR instead of LF."""
        return replace(self, parts=tuple(part.replace(b"\n", ending) for part in self.parts))


class Tape:
    """Notes pieces and knowledge side by side."""

    def __init__(self, name: str, api: str, form: Form = "sse") -> None:
        self.name, self.api, self.form = name, api, form
        self.parts: list[bytes] = []
        self.answers = [Answer()]

    @property
    def now(self) -> Answer:
        """What is known so far."""
        return self.answers[-1]

    def put(self, part: bytes, *, token: bool = False, said: str = "", events: int = 1, **known: Any) -> None:
        """One piece. `token`: it carries something the model made; `said`: visible text; `known`: what it tells."""
        if token or said:
            at = (len(self.parts) + 1) * EVERY_MS
            known["first_token_ms"] = at if self.now.first_token_ms is None else self.now.first_token_ms
            known["last_token_ms"] = at
        known.setdefault("events", self.now.events + events)
        known.setdefault("text_chars", self.now.text_chars + len(said))
        self.parts.append(part)
        self.answers.append(replace(self.now, **known))

    def event(self, data: Mapping[str, Any] | str, name: str = "", **more: Any) -> None:
        """One event of the stream, or one message where there are messages."""
        text = data if isinstance(data, str) else dumps(data)
        if self.form == "messages":
            self.put(text.encode(), **more)
        else:
            named = f"event: {name}\n" if name else ""
            self.put(f"{named}data: {text}\n\n".encode(), **more)

    def comment(self) -> None:
        """What keeps a connection alive and is no event."""
        self.put(b": keep-alive\n\n", events=0)

    def body(self, value: object, **known: Any) -> None:
        """A JSON body as a whole."""
        known.setdefault("complete", True)
        self.put(json.dumps(value, ensure_ascii=False, indent=2).encode(), events=0, **known)

    def used(self, **counts: Any) -> Usage:
        """The usage so far with these counts instead."""
        return replace(self.now.usage, **counts)

    def called(self, id: str, name: str) -> tuple[ToolCall, ...]:
        """The tools so far, and one more that has no arguments yet."""
        return (*self.now.tools, ToolCall(id, name, "", len(self.now.tools), cut=True))

    def told(self, index: int, piece: str, *, last: bool = False) -> tuple[ToolCall, ...]:
        """The tools so far, with more arguments for one of them; `last`: its arguments are all there."""
        tools = list(self.now.tools)
        tools[index] = replace(tools[index], arguments=tools[index].arguments + piece, cut=not last)
        return tuple(tools)

    def shape(self, model: str = "", provider: str = "", rates: Rates | None = None, objects: bool = False) -> Shape:
        """The finished tape."""
        known = Shape(self.name, self.api, self.form, tuple(self.parts), tuple(self.answers))
        return replace(known, provider=provider, model=model, rates=rates, objects=objects)


def dumps(value: object) -> str:
    """JSON as the APIs write it, with the characters as they are."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def pieces(text: str, size: int) -> list[str]:
    """The text in pieces of so many characters."""
    return [text[start : start + size] for start in range(0, len(text), size)]
