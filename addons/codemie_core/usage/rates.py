"""What a model's tokens and tools cost, and what a turn costs at that: Decimal inside, whole nano-USD outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType

from codemie_core.usage.cost import NANO, Cost
from codemie_core.usage.usage import Usage

PER_MTOK = Decimal(NANO) / 1_000_000
"""A dollar per million tokens, in nano-USD per token."""
PER_THOUSAND = Decimal(NANO) / 1_000
"""A dollar per thousand calls, in nano-USD per call."""
FREE_TOOLS = frozenset({"web_fetch", "mcp"})
"""Billed by the tokens they bring only: docs.anthropic.com, web fetch tool; platform.openai.com, MCP and connectors."""

_WHOLE = Decimal(1)
_NO_TOOLS: Mapping[str, Decimal] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Rate:
    """Nano-USD per token. Beyond a size of the prompt another rate holds for all tokens, not only for those beyond."""

    base: Decimal
    steps: tuple[tuple[int, Decimal], ...] = ()
    """(tokens of the prompt that must be exceeded, rate), ascending."""

    def at(self, prompt: int) -> Decimal:
        """For a prompt of so many tokens, cached ones included."""
        found = self.base
        for start, rate in self.steps:
            if prompt > start:
                found = rate
        return found

    def times(self, factor: Decimal) -> Rate:
        """All of it multiplied."""
        return Rate(self.base * factor, tuple((start, rate * factor) for start, rate in self.steps))


@dataclass(frozen=True, slots=True)
class Rates:
    """One model's rates; None is unknown. What has no rate of its own is billed as what it is a part of."""

    input: Rate | None = None
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    output: Rate | None = None
    reasoning: Rate | None = None
    request: Decimal = Decimal(0)
    """Nano-USD for the request itself."""
    tools: Mapping[str, Decimal] = field(default=_NO_TOOLS)
    """Nano-USD per call, by the tool's name in `Usage.server_tools`."""
    once: frozenset[str] = frozenset()
    """Tools that are billed once per turn, however often they are called in it."""

    def over(self, other: Rates) -> Rates:
        """These rates, and those of `other` where these say nothing."""
        values = {each.name: getattr(self, each.name) or getattr(other, each.name) for each in fields(self)}
        return Rates(**{**values, "tools": {**other.tools, **self.tools}})

    def halved(self) -> Rates:
        """Tokens at half their price; tools cost what they cost."""
        tokens = {name: rate.times(Decimal("0.5")) for name in _TOKENS if (rate := getattr(self, name)) is not None}
        return replace(self, **tokens)


_TOKENS = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")


def cost_of(usage: Usage, rates: Rates, version: str) -> Cost:
    """Each part is rounded by itself, half to even, and the whole is the sum of the parts.

    Unknown when the tokens are, or when some were used that have no price. Calls of a tool without a price make `tools`
    unknown, but not the whole.
    """
    prompt = usage.prompt
    if prompt is None:
        return Cost()
    plain, output = _part(usage.input, rates.input, prompt), _output(usage, rates, prompt)
    read = _part(usage.cache_read, rates.cache_read or rates.input, prompt)
    write = _cache_write(usage, rates, prompt)
    if plain is None or output is None or (read is None and usage.cache_read) or (write is None and usage.cache_write):
        return Cost()
    tools = _tools(usage, rates)
    parts = (plain, read, write, output, tools)
    return Cost(sum(part for part in parts if part is not None), version, *parts)


def unpriced_tools(usage: Usage, rates: Rates) -> tuple[str, ...]:
    """Tools that were called and whose price is not known."""
    return tuple(
        name for name, calls in usage.server_tools.items() if calls and not (name in rates.tools or name in FREE_TOOLS)
    )


def _output(usage: Usage, rates: Rates, prompt: int) -> int | None:
    if rates.reasoning is None or not usage.reasoning or usage.output is None or rates.output is None:
        return _part(usage.output, rates.output, prompt)
    spoken = max(0, usage.output - usage.reasoning)
    return _whole(spoken * rates.output.at(prompt) + usage.reasoning * rates.reasoning.at(prompt))


def _cache_write(usage: Usage, rates: Rates, prompt: int) -> int | None:
    short, total = rates.cache_write or rates.input, usage.cache_write
    if not total or not usage.cache_write_1h or short is None:
        return _part(total, short, prompt)
    hour = min(usage.cache_write_1h, total)
    long = rates.cache_write_1h or short
    return _whole((total - hour) * short.at(prompt) + hour * long.at(prompt))


def _tools(usage: Usage, rates: Rates) -> int | None:
    if not usage.server_tools and not rates.request:
        return 0
    if unpriced_tools(usage, rates):
        return None
    calls = {name: min(count, 1) if name in rates.once else count for name, count in usage.server_tools.items()}
    return _whole(sum((count * rates.tools.get(name, Decimal(0)) for name, count in calls.items()), rates.request))


def _part(count: int | None, rate: Rate | None, prompt: int) -> int | None:
    if count is None:
        return None
    if rate is None:
        return None if count else 0
    return _whole(count * rate.at(prompt))


def _whole(nano: Decimal) -> int:
    return int(nano.quantize(_WHOLE, ROUND_HALF_EVEN))
