"""The record of one model turn: all that is kept of it. No prompt, no answer, no credential."""

from __future__ import annotations

from dataclasses import dataclass

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.cost import Cost
from codemie_core.usage.operation import FileOperation
from codemie_core.usage.usage import Usage


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try at an upstream. Times are milliseconds since it began."""

    number: int
    account: str
    """The account's name; "" without a pool."""
    host: str
    status: int | None
    reason: str
    """Why it did not count; "" for the one that did."""
    head_ms: float | None
    ended_ms: float | None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool the model called in this turn, and what it does to files."""

    call: ToolCall
    files: tuple[FileOperation, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolDone:
    """How a call of an earlier turn of this conversation went, told by this turn's request."""

    call_id: str
    name: str
    ok: bool | None
    record_id: str = ""
    """The turn that called it, where this process saw it; else ""."""
    files: tuple[FileOperation, ...] = ()
    """What the call did to files, where this process saw it."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Where the work is done: the proxy's settings, or what it found out about the working folder; "" for unknown."""

    project: str = ""
    repository: str = ""
    branch: str = ""
    working_directory: str = ""


NO_LABELS = Labels()


@dataclass(frozen=True, slots=True)
class Record:
    """One model turn. Times of the day are milliseconds since the epoch, durations milliseconds."""

    id: str
    """The request id; turns of one WebSocket append ".1", ".2", ..."""
    conversation_id: str
    """The agent's own; "" for unknown."""
    session_id: str
    """CodeMie's uuid."""
    run_id: str
    started_ms: int
    agent: str
    client_type: str
    api: str
    """anthropic, openai-chat, openai-responses, gemini, codemie, or "" for none of them."""
    provider: str
    """Who served it, for the price: anthropic, openai, google, ...; "" for unknown."""
    method: str
    host: str
    path: str
    model_asked: str
    model_served: str
    account: str
    client_key: str
    """Names; "" for none."""
    labels: Labels
    status: int | None
    terminal: str
    error: str
    streamed: bool
    request_bytes: int
    response_bytes: int
    head_ms: float | None
    first_byte_ms: float | None
    first_token_ms: float | None
    last_token_ms: float | None
    total_ms: float
    usage: Usage
    cost: Cost
    stop_reason: str
    refusal: bool
    complete: bool
    """The model's last word was seen: what is counted is all there was."""
    prompts: int
    tools: tuple[ToolUse, ...] = ()
    done: tuple[ToolDone, ...] = ()
    attempts: tuple[AttemptRecord, ...] = ()

    @property
    def model(self) -> str:
        """What it is counted under: the model that served, else the one asked for."""
        return self.model_served or self.model_asked

    @property
    def ok(self) -> bool:
        """Did the client get a whole, good answer?"""
        return self.terminal == "complete" and not self.error and self.status is not None and self.status < 400

    @property
    def tokens_per_second(self) -> float | None:
        """Output tokens by the time between the first and the last of them; None where that is not known."""
        if self.usage.output is None or self.first_token_ms is None or self.last_token_ms is None:
            return None
        seconds = (self.last_token_ms - self.first_token_ms) / 1000
        return self.usage.output / seconds if seconds > 0 else None
