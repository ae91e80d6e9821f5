"""What a model answered, without its words."""

from __future__ import annotations

from dataclasses import dataclass

from codemie_core.usage.usage import UNKNOWN, Usage


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants the client to run."""

    id: str
    """Pairs it with its result in a later request; "" where the API gives none (Gemini)."""
    name: str
    arguments: str
    """JSON, or free text for custom tools, as sent; cut after 256 KiB."""
    index: int
    """Its place among the calls of this answer, from 0."""
    cut: bool = False
    """Not all of the arguments are here: too long, or the stream ended."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One model turn as far as it was seen. Times are milliseconds since the exchange began."""

    model: str = ""
    """What the provider says it served; "" when it did not say."""
    response_id: str = ""
    stop_reason: str = ""
    """In the provider's word: end_turn, tool_use, max_tokens, stop, length, completed, STOP, ..."""
    refusal: bool = False
    usage: Usage = UNKNOWN
    tools: tuple[ToolCall, ...] = ()
    events: int = 0
    first_token_ms: float | None = None
    """The first piece of text, reasoning or tool call; None without a stream."""
    last_token_ms: float | None = None
    complete: bool = False
    """The API's last event was seen, or the whole body."""
    error: str = ""
    """The kind of an error the stream carried: overloaded_error, server_error, ..."""
    text_chars: int = 0
    """Characters of visible text."""
