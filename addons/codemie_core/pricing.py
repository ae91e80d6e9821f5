"""What a turn costs, by the installed price list and one's own prices. Unknown is unknown, and said once."""

from __future__ import annotations

import logging
import threading
from datetime import datetime

from codemie_core.places import Places
from codemie_core.redact import redact_text
from codemie_core.usage.cost import Cost
from codemie_core.usage.price_list import STANDARD_TIERS, PriceList
from codemie_core.usage.price_override import FILE_NAME, ModelPrices, PriceOverride, prices_file
from codemie_core.usage.providers import names_of
from codemie_core.usage.rates import Rates, cost_of, unpriced_tools
from codemie_core.usage.usage import Usage

logger = logging.getLogger(__name__)

MOST_WARNINGS = 200
"""Models and tools named in the log; beyond it nobody would read on."""
MOST_KEPT = 2_000


class PriceBook:
    """Prices for turns. Every method may take 0.3 s the first time: call them in a thread, one at a time."""

    def __init__(self, places: Places, override: PriceOverride | None = None) -> None:
        self.override = override or PriceOverride(prices_file(places))
        self._list: PriceList | None = None
        self._loaded = False
        self._loading = threading.Lock()
        self._told: set[tuple[str, ...]] = set()
        self._entries: dict[tuple[str, str], ModelPrices | None] = {}

    @property
    def ready(self) -> bool:
        """Is everything loaded?"""
        return self._loaded

    def load(self) -> None:
        """Read the list and the file. Blocks; does nothing the second time."""
        with self._loading:
            if self._loaded:
                return
            self.override.look()
            try:
                self._list = PriceList()
            except ImportError:
                logger.warning("Costs are unknown without a price list: pip install 'codemie-proxy[prices]'")
            self._loaded = True

    @property
    def version(self) -> str:
        """Which price list is in use; "" for none."""
        return self._list.version if self._list else ""

    def price(self, provider: str, model: str, usage: Usage, at: datetime) -> Cost:
        """The cost of one turn at that time (an aware one); unknown without a price. Never raises for odd input."""
        if not self._loaded:
            self.load()
        if self.override.look():
            self._entries.clear()
        tier = "" if usage.tier in STANDARD_TIERS else usage.tier
        found = self._found(provider, model, tier, at)
        if found is None:
            if usage.total:
                self._warn_of_model(provider, model, tier)
            return Cost()
        rates, version = found
        for tool in unpriced_tools(usage, rates):
            text = "The price of the tool %s of %s is not known: it is left out of costs; add it to %s"
            self._warn(("tool", provider, tool), text, tool, provider or "an unknown provider", self.override.path)
        return cost_of(usage, rates, version)

    def rates(self, provider: str, model: str, at: datetime) -> tuple[Rates, str] | None:
        """What its tokens cost at that time, and by which prices; None when nobody knows."""
        self.load()
        if self.override.look():
            self._entries.clear()
        return self._found(provider, model, "", at)

    def _found(self, provider: str, model: str, tier: str, at: datetime) -> tuple[Rates, str] | None:
        """The rates, and the version of the prices they come from."""
        entry = self._entry(provider, model) if self.override.prices.models else None
        if entry is not None and entry.same_as:
            provider, _, model = entry.same_as.lower().partition("/")
        listed = self._list.rates(provider, model, tier, at) if self._list else None
        own = entry.rates(tier) if entry is not None else _NOTHING
        if own == _NOTHING and not (entry is not None and entry.same_as):
            return (listed, self.version) if listed is not None else None
        if listed is None and own.input is None and own.output is None:
            return None
        own_version = f"{FILE_NAME} {self.override.digest}"
        return (own, own_version) if listed is None else (own.over(listed), f"{self.version} + {own_version}")

    def _entry(self, provider: str, model: str) -> ModelPrices | None:
        key = (provider, model)
        if key not in self._entries:
            if len(self._entries) >= MOST_KEPT:
                self._entries.clear()
            self._entries[key] = self.override.prices.entry(provider, tuple(names_of(model)))
        return self._entries[key]

    def _warn_of_model(self, provider: str, model: str, tier: str) -> None:
        name = f"{provider or 'an unknown provider'}'s {model or 'model without a name'}"
        at = f" at the tier {tier}" if tier else ""
        fix = f"its turns are counted without cost; add it to {self.override.path}"
        self._warn(("model", provider, model, tier), "There is no price for %s%s: %s", name, at, fix)

    def _warn(self, key: tuple[str, ...], text: str, *args: object) -> None:
        if key not in self._told and len(self._told) < MOST_WARNINGS:
            self._told.add(key)
            # The name of a model is what a client wrote there.
            logger.warning("%s", redact_text(text % args))


_NOTHING = Rates()
