"""The price list of genai-prices, as it is installed: it is never fetched, and nothing is ever sent.

What the list does not say and the provider does is added here, each with its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from codemie_core.usage.providers import names_of
from codemie_core.usage.rates import PER_MTOK, PER_THOUSAND, Rate, Rates

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

STANDARD_TIERS = frozenset({"", "standard", "default", "auto", "on_demand"})
HALF_IN_BATCHES = frozenset({"anthropic", "openai"})
"""Message Batches API, Batch API: half the standard price for all tokens (docs.anthropic.com, platform.openai.com)."""
MOST_KEPT = 2_000

# By the list's names; its other units (audio, images, pages) are not counted in Usage.
_TOKENS = {
    "input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
}
_TOOLS = {
    "web_search": "web_searches_kcount",
    "google_search": "web_searches_kcount",
    "file_search": "storage_searches_kcount",
    "x_search": "social_searches_kcount",
}
# Multiples of the input's price: docs.anthropic.com, prompt caching, "Pricing". Clouds that resell Claude keep them.
_CLAUDE_CACHE = {"cache_read": Decimal("0.1"), "cache_write": Decimal("1.25"), "cache_write_1h": Decimal(2)}

# ai.google.dev/gemini-api/docs/pricing: before Gemini 3 a prompt with searches is billed, from then on each search.
_ONE_SEARCH = ("gemini-1", "gemini-2")

type Key = tuple[str, str, str, int]


class PriceList:
    """Rates per provider, model, tier and day. Making one takes 0.2 s: not on the event loop.

    ImportError where genai-prices is not installed.
    """

    def __init__(self) -> None:
        # Its updater is a thread that somebody would have to start; nobody does.
        import genai_prices
        from genai_prices.data_snapshot import get_snapshot

        self.version = f"genai-prices {genai_prices.__version__}"
        self._snapshot: DataSnapshot = get_snapshot()
        self._found: dict[tuple[str, str], tuple[ModelInfo, bool] | None] = {}
        self._rates: dict[Key, Rates | None] = {}

    def rates(self, provider: str, model: str, tier: str, at: datetime) -> Rates | None:
        """None when the list does not know the model, or not at this tier."""
        key = (provider, model, tier, at.astimezone(UTC).toordinal())
        if key in self._rates:
            return self._rates[key]
        found = self._model(provider, model)
        if found is None:
            return None
        info, own = found
        rates = _priced(info, provider, tier, at, own)
        if not _changes_within_a_day(info):
            if len(self._rates) >= MOST_KEPT:
                self._rates.clear()
            self._rates[key] = rates
        return rates

    def _model(self, provider: str, model: str) -> tuple[ModelInfo, bool] | None:
        """The model, and whether its tiers are this provider's own."""
        key = (provider, model)
        if key not in self._found:
            if len(self._found) >= MOST_KEPT:
                self._found.clear()
            self._found[key] = self._look_up(provider, model)
        return self._found[key]

    def _look_up(self, provider: str, model: str) -> tuple[ModelInfo, bool] | None:
        seller = next((one for one in self._snapshot.providers if one.id == provider), None)
        if seller is None:
            return None
        for name in names_of(model):
            info = seller.find_model(name, all_providers=self._snapshot.providers)
            if info is not None:
                return info, any(info is one for one in seller.models)
        return None


def _priced(info: ModelInfo, provider: str, tier: str, at: datetime, own: bool) -> Rates | None:
    if tier in STANDARD_TIERS:
        return _rates(info.get_prices(at), info.id)
    variants = info.price_variants or () if own else ()
    # One word for three dimensions of theirs: processing (batch), service_tier (flex, priority), speed (fast).
    context = {"processing": tier, "service_tier": tier, "speed": tier}
    for variant in variants:
        fits = all(context.get(name) == value for name, value in variant.when.items())
        if fits and (variant.constraint is None or variant.constraint.active(at)):
            return _rates(info.get_prices(at, context), info.id)
    if tier == "batch" and provider in HALF_IN_BATCHES:
        standard = _rates(info.get_prices(at), info.id)
        return standard.halved() if standard else None
    return None


def _rates(price: ModelPrice, model: str) -> Rates | None:
    values: Mapping[str, Any] = {name: value for name, value in vars(price).items() if value is not None}
    if not values:
        # The list writes models that cost nothing as models without prices, and some that it does not know, too.
        return Rates(input=_FREE, output=_FREE) if model.endswith(":free") else None
    tokens = {name: _rate(values[key]) for name, key in _TOKENS.items() if key in values}
    if "claude" in model and (plain := tokens.get("input")) is not None:
        tokens = {name: plain.times(factor) for name, factor in _CLAUDE_CACHE.items()} | tokens
    tools = {name: values[key] * PER_THOUSAND for name, key in _TOOLS.items() if key in values}
    request = values.get("requests_kcount", Decimal(0)) * PER_THOUSAND
    once = frozenset({"google_search"}) if model.startswith(_ONE_SEARCH) else frozenset()
    return replace(Rates(), **tokens, tools=tools, request=request, once=once)


_FREE = Rate(Decimal(0))


def _rate(value: Any) -> Rate:
    """A plain number, or one with steps for long prompts."""
    if isinstance(value, Decimal):
        return Rate(value * PER_MTOK)
    return Rate(value.base * PER_MTOK, tuple((tier.start, tier.price * PER_MTOK) for tier in value.tiers))


def _changes_within_a_day(info: ModelInfo) -> bool:
    constraints = [one.constraint for one in info.prices] if isinstance(info.prices, list) else []
    constraints += [one.constraint for one in info.price_variants or ()]
    return any(hasattr(constraint, "start_time") for constraint in constraints)
