"""The token counts of OpenAI's two APIs, and of those who speak like them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codemie_core.usage.json_values import count, table, word
from codemie_core.usage.usage import Usage

_STANDARD = ("auto", "default", "standard")


@dataclass(slots=True)
class OpenAiCounts:
    """Kept as they were said, because a later report may leave out a part: only together do they make a Usage."""

    prompt: int | None = None
    """Everything read, whatever came from a cache or went into one."""
    cached: int | None = None
    written: int | None = None
    completion: int | None = None
    reasoning: int | None = None
    total: int | None = None
    tier: str = ""

    def take(self, usage: Mapping[str, object]) -> None:
        """A usage object; what it is silent about stays."""
        if not usage:
            return
        read = table(usage.get("prompt_tokens_details")) or table(usage.get("input_tokens_details"))
        wrote = table(usage.get("completion_tokens_details")) or table(usage.get("output_tokens_details"))
        self.prompt = _first(usage.get("prompt_tokens"), usage.get("input_tokens"), self.prompt)
        self.completion = _first(usage.get("completion_tokens"), usage.get("output_tokens"), self.completion)
        # DeepSeek and Moonshot have words of their own for it.
        hits = (read.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"), usage.get("cached_tokens"))
        self.cached = _first(*hits, self.cached)
        self.written = _first(read.get("cache_write_tokens"), self.written)
        self.reasoning = _first(wrote.get("reasoning_tokens"), self.reasoning)
        self.total = _first(usage.get("total_tokens"), self.total)

    def served_as(self, tier: object) -> None:
        """The service tier the answer names."""
        if name := word(tier).lower():
            self.tier = "" if name in _STANDARD else name

    def usage(self, server_tools: Mapping[str, int] | None = None) -> Usage:
        """The counts in our measure."""
        return Usage(
            input=self._read_anew(),
            cache_read=self.cached,
            cache_write=self.written,
            output=self._output(),
            reasoning=self.reasoning,
            server_tools=server_tools or {},
            tier=self.tier,
        )

    def _read_anew(self) -> int | None:
        if self.prompt is None:
            return None
        cached, written = self.cached or 0, self.written or 0
        # Who reports more from the cache than was read counts it apart, as Anthropic does.
        for within in (cached + written, cached):
            if within <= self.prompt:
                return self.prompt - within
        return self.prompt

    def _output(self) -> int | None:
        if self.completion is None or not self.reasoning or self.prompt is None:
            return self.completion
        # OpenAI's completion includes the reasoning, xAI's does not: the total tells which.
        apart = self.total == self.prompt + self.completion + self.reasoning
        return self.completion + self.reasoning if apart else self.completion


def _first(*values: object) -> int | None:
    return next((number for value in values if (number := count(value)) is not None), None)
