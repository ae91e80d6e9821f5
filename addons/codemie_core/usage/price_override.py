"""One's own prices: `prices.yaml` in the proxy's folder, read again whenever it changes."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from codemie_core.errors import SettingsError
from codemie_core.file_signature import file_signature
from codemie_core.places import Places
from codemie_core.settings import load_config_file, nearest
from codemie_core.usage.rates import PER_MTOK, PER_THOUSAND, Rate, Rates

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at the file."""
FILE_NAME = "prices.yaml"


_DOLLARS = "a number of US dollars, 0 or more, like 1.25"

Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Tokens(BaseModel):
    """US dollars per million tokens. What is left out keeps the price that the price list knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Dollars | None = None
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None
    cache_write_1h: Dollars | None = None
    output: Dollars | None = None


class LongPrompt(Tokens):
    """The prices of a whole turn whose prompt is longer than `above` tokens."""

    above: int = Field(ge=1)


class ModelPrices(Tokens):
    """One entry of `models`."""

    same_as: str = ""
    """provider/model of the price list that this one is priced like."""
    long_prompt: LongPrompt | None = None
    batch: Tokens | None = None
    flex: Tokens | None = None
    priority: Tokens | None = None
    tools: dict[str, Dollars] = {}
    """US dollars per thousand calls, by the tool's name."""

    @field_validator("same_as")
    @classmethod
    def _names_provider_and_model(cls, name: str) -> str:
        if name and not all(name.partition("/")):
            raise ValueError("must name provider and model, like openai/gpt-5")
        return name

    @model_validator(mode="after")
    def _long_prompts_are_short_once(self) -> ModelPrices:
        for name in Tokens.model_fields:
            if self.long_prompt and getattr(self.long_prompt, name) is not None and getattr(self, name) is None:
                raise ValueError(f"long_prompt.{name} needs {name} beside it, for shorter prompts")
        return self

    def rates(self, tier: str) -> Rates:
        """What this entry says for a tier; all None where it says nothing."""
        if tier:
            own = getattr(self, tier, None) if tier in ("batch", "flex", "priority") else None
            return _rates(own, None) if own else Rates()
        tools = {name: dollars * PER_THOUSAND for name, dollars in self.tools.items()}
        return replace(_rates(self, self.long_prompt), tools=tools)


class PriceFile(BaseModel):
    """All of prices.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: dict[str, ModelPrices] = {}
    """By provider/model or model alone; * stands for any characters."""

    def entry(self, provider: str, names: tuple[str, ...]) -> ModelPrices | None:
        """What is said of the model under one of its names: exact words before patterns, the longest pattern first."""
        wanted = [f"{provider}/{name}" for name in names] + list(names)
        lowered = {key.lower(): entry for key, entry in self.models.items()}
        exact = next((lowered[name] for name in wanted if name in lowered), None)
        if exact is not None:
            return exact
        patterns = sorted((key for key in lowered if "*" in key), key=len, reverse=True)
        return next((lowered[p] for p in patterns if any(fnmatchcase(name, p) for name in wanted)), None)


class PriceOverride:
    """The file as it was when it was last in order. `look` as often as you like, in a thread."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self._clock = path, clock
        self.prices = PriceFile()
        self.digest = ""
        """Of the file that is in use; "" for none."""
        self.trouble = ""
        """Why the newest file is not in use; "" when it is."""
        self._next_look = 0.0
        self._seen: object = None

    def look(self) -> bool:
        """Notice a change; asks the system at most once a second. True when other prices hold now."""
        now = self._clock()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_EVERY
        try:
            signature = file_signature(self.path)
            if signature == self._seen:
                return False
            # Noted before reading: a change while we read shows at the next look.
            self._seen = signature
            prices, digest = read_prices(self.path)
        except SettingsError as problem:
            self._keep(str(problem))
            return False
        if self.trouble:
            logger.warning("%s is in order again: its prices hold", self.path)
        changed = digest != self.digest
        self.prices, self.digest, self.trouble = prices, digest, ""
        return changed

    def _keep(self, trouble: str) -> None:
        if trouble != self.trouble:
            kept = "the prices it held before stay" if self.digest else "it is not used"
            logger.warning("%s; until then %s", trouble, kept)
        self.trouble = trouble


def prices_file(places: Places) -> Path:
    """Where one's own prices are kept."""
    return places.proxy / FILE_NAME


def read_prices(path: Path) -> tuple[PriceFile, str]:
    """The file and its digest; empty ones when it is missing. SettingsError names file, key and fix."""
    raw = load_config_file(path, required=False)
    if not raw:
        return PriceFile(), ""
    digest = hashlib.sha256(repr(raw).encode()).hexdigest()[:8]
    try:
        return PriceFile.model_validate(raw), digest
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        # A misspelt key says more than what is missing for it.
        problem = min(problems, key=lambda one: one["type"] != "extra_forbidden")
        raise SettingsError(f"{path}: {_told(problem)}") from None


def _told(problem: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        folder, _, key = place.rpartition(".")
        known = [*ModelPrices.model_fields, *LongPrompt.model_fields] if folder else list(PriceFile.model_fields)
        found = nearest(key, known)
        hint = f"; did you mean {found!r}?" if found else f"; there are: {', '.join(dict.fromkeys(known))}"
        return f"there is no key {place!r}{hint}"
    if problem["type"] == "value_error":
        words = problem["msg"].removeprefix("Value error, ")
        return f"{place} {words}" if words.startswith("must ") else f"{place}: {words}"
    if problem["type"] == "missing":
        return f"{place} is missing; add it"
    if problem["type"] in ("model_type", "dict_type"):
        return f"{place} must hold keys and values, like {{input: 3, output: 15}}"
    if problem["type"] == "string_type":
        return f"{place} must be text, like openai/gpt-5"
    if problem["loc"][-1] == "above":
        return f"{place} must be a whole number of tokens, like 200000"
    return f"{place} must be {_DOLLARS}"


def _rates(tokens: Tokens, long: LongPrompt | None) -> Rates:
    def rate(name: str) -> Rate | None:
        base: Decimal | None = getattr(tokens, name)
        beyond: Decimal | None = getattr(long, name) if long else None
        if base is None:
            return None
        return Rate(base * PER_MTOK, ((long.above, beyond * PER_MTOK),) if long and beyond is not None else ())

    return Rates(rate("input"), rate("cache_read"), rate("cache_write"), rate("cache_write_1h"), rate("output"))
