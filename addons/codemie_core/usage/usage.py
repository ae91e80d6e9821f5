"""Tokens, in one measure for every provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model turn. None is unknown, which is not 0.

    Anthropic counts cached tokens beside its input, OpenAI and Gemini within theirs: here they are always apart, so
    that `prompt` is what the model read, whoever served it.
    """

    input: int | None = None
    """Read anew: neither from a cache nor written to one."""
    cache_read: int | None = None
    cache_write: int | None = None
    """Written to a cache, for five minutes or for an hour."""
    cache_write_1h: int | None = None
    """The part of `cache_write` that is kept for an hour."""
    output: int | None = None
    """All that was generated, reasoning included."""
    reasoning: int | None = None
    """The part of `output` that was reasoning, where the provider says."""
    server_tools: Mapping[str, int] = field(default=_NONE)
    """Calls of tools that the provider runs itself and bills apart, by its name for them: web_search."""
    tier: str = ""
    """What the provider says it was served as: batch, priority, flex, ...; "" for standard or unknown."""

    @property
    def prompt(self) -> int | None:
        """All that the model read; None when even the part read anew is unknown."""
        return None if self.input is None else self.input + (self.cache_read or 0) + (self.cache_write or 0)

    @property
    def total(self) -> int | None:
        """All tokens of the turn; None when nothing is known."""
        prompt = self.prompt
        return None if prompt is None and self.output is None else (prompt or 0) + (self.output or 0)

    def merged(self, newer: Usage) -> Usage:
        """What a stream says later replaces what it said before: counts are cumulative. Silence replaces nothing."""
        return Usage(
            self.input if newer.input is None else newer.input,
            self.cache_read if newer.cache_read is None else newer.cache_read,
            self.cache_write if newer.cache_write is None else newer.cache_write,
            self.cache_write_1h if newer.cache_write_1h is None else newer.cache_write_1h,
            self.output if newer.output is None else newer.output,
            self.reasoning if newer.reasoning is None else newer.reasoning,
            newer.server_tools or self.server_tools,
            newer.tier or self.tier,
        )


UNKNOWN = Usage()
"""Nothing is known."""
