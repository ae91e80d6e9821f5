"""One's own prices: what the file may say, what it is told when it is wrong, and what happens when it changes."""

import logging
import os
import re
from decimal import Decimal
from pathlib import Path

import pytest

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.usage.price_override import (
    LOOK_EVERY,
    LongPrompt,
    ModelPrices,
    PriceOverride,
    prices_file,
    read_prices,
)
from codemie_core.usage.rates import PER_MTOK, Rate

GOOD = """
models:
  anthropic/claude-opus-9:
    input: 0.1
    output: 25
    long_prompt: {above: 200000, input: 0.2}
    batch: {input: 0.05, output: 12.5}
    tools: {web_search: 10}
  my-deployment: {same_as: openai/gpt-5}
  "*-turbo": {input: 1, output: 1}
  "in-house-*-turbo": {input: 2, output: 2}
"""


class Room:
    """A file, what is read from it, and a clock."""

    def __init__(self, home: Path) -> None:
        self.path = prices_file(Places(home))
        self.path.parent.mkdir(parents=True)
        self.now = 100.0
        self.override = PriceOverride(self.path, lambda: self.now)

    def write(self, text: str) -> None:
        self.path.write_text(text)
        # A file system's clock may tick less often than a test writes.
        os.utime(self.path, ns=(0, int(self.now * 1e9)))

    def look(self, wait: float = LOOK_EVERY) -> bool:
        self.now += wait
        return self.override.look()

    def input_of(self, provider: str, *names: str) -> Decimal | None:
        entry = self.override.prices.entry(provider, names)
        return entry.input if entry else None


@pytest.fixture
def room(codemie_home: Path) -> Room:
    return Room(codemie_home)


def test_prices_are_exactly_what_is_written(room: Room) -> None:
    room.write(GOOD)
    assert room.look()
    entry = room.override.prices.entry("anthropic", ("claude-opus-9",))
    assert entry is not None
    standard, batch = entry.rates(""), entry.rates("batch")
    assert standard.input == Rate(Decimal("0.1") * PER_MTOK, ((200_000, Decimal("0.2") * PER_MTOK),))
    assert standard.output == Rate(25 * PER_MTOK)
    assert standard.cache_read is None
    assert standard.tools == {"web_search": Decimal(10_000_000)}
    assert batch.input == Rate(Decimal("0.05") * PER_MTOK)
    assert entry.rates("flex").input is None


@pytest.mark.parametrize(
    "provider, names, dollars",
    [
        ("anthropic", ["claude-opus-9"], "0.1"),
        ("aws", ["claude-opus-9"], None),
        ("", ["team/fast-turbo", "fast-turbo"], "1"),
        ("", ["in-house-7b-turbo"], "2"),
        ("", ["my-deployment"], None),
        ("", ["unheard-of"], None),
    ],
)
def test_an_entry_is_for_a_provider_a_model_or_a_pattern(
    room: Room, provider: str, names: list[str], dollars: str | None
) -> None:
    room.write(GOOD)
    room.look()
    assert room.input_of(provider, *names) == (Decimal(dollars) if dollars else None)


@pytest.mark.parametrize(
    "text, told",
    [
        ("modles: {}", "there is no key 'modles'; did you mean 'models'?"),
        ("models: {m: {inptu: 1}}", "there is no key 'models.m.inptu'; did you mean 'input'?"),
        ("models: {m: {input: cheap}}", "models.m.input must be a number of US dollars, 0 or more, like 1.25"),
        ("models: {m: {input: -1}}", "models.m.input must be a number of US dollars"),
        ("models: {m: {input: .inf}}", "models.m.input must be a number of US dollars"),
        ("models: {m: {input: true}}", "models.m.input must be a number of US dollars"),
        ("models: {m: {tools: {web_search: [1]}}}", "models.m.tools.web_search must be a number of US dollars"),
        ("models: {m: {long_prompt: {input: 1}}}", "models.m.long_prompt.above is missing"),
        ("models: {m: {input: 1, long_prompt: {above: few}}}", "models.m.long_prompt.above must be a whole number"),
        ("models: {m: {long_prompt: {above: 9, input: 1}}}", "models.m: long_prompt.input needs input beside it"),
        ("models: {m: 3}", "models.m must hold keys and values"),
        ("models: [m]", "models must hold keys and values"),
        ("models: {m: {same_as: 3}}", "models.m.same_as must be text, like openai/gpt-5"),
        ("models: {m: {same_as: gpt-5}}", "models.m.same_as must name provider and model, like openai/gpt-5"),
        ("- m", "the file must hold keys and values"),
        ("models: {m: {input: 1", "line 1"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_the_fix(room: Room, text: str, told: str) -> None:
    room.write(text)
    with pytest.raises(SettingsError) as caught:
        read_prices(room.path)
    assert str(room.path) in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_example_in_the_documents_is_a_good_file(room: Room) -> None:
    page = (Path(__file__).parents[3] / "docs" / "cost.md").read_text("utf-8")
    room.write(page.partition("```yaml\n")[2].partition("```")[0])
    assert room.look()
    assert len(room.override.prices.models) == 4
    explained = set(re.findall(r"`(\w+)`", page))
    assert explained >= {*ModelPrices.model_fields, *LongPrompt.model_fields}


def test_without_a_file_there_are_no_own_prices(room: Room) -> None:
    assert not room.look()
    assert (room.override.digest, room.override.trouble) == ("", "")


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(room: Room) -> None:
    room.write("models: {m: {input: 1, output: 1}}")
    assert room.look()
    before = room.override.digest
    assert not room.look()
    room.write("models: {m: {input: 2, output: 1}}")
    assert room.look()
    assert (room.input_of("", "m"), room.override.digest != before) == (Decimal(2), True)


def test_the_system_is_asked_at_most_once_a_second(room: Room) -> None:
    room.look()
    room.write("models: {m: {input: 1, output: 1}}")
    assert not room.look(wait=LOOK_EVERY / 2)
    assert room.look(wait=LOOK_EVERY / 2)


def test_a_file_that_is_taken_away_takes_its_prices_with_it(room: Room) -> None:
    room.write("models: {m: {input: 1, output: 1}}")
    room.look()
    room.path.unlink()
    assert room.look()
    assert (room.input_of("", "m"), room.override.digest) == (None, "")


def test_a_bad_file_leaves_the_last_good_one_in_force_and_is_told_once(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    room.write("models: {m: {input: 1, output: 1}}")
    room.look()
    for _ in range(3):
        room.now += 1
        room.write("models: {m: {input: cheap}}")
        assert not room.look()
    assert room.input_of("", "m") == Decimal(1)
    [told] = caplog.messages
    assert "models.m.input must be a number of US dollars" in told
    assert "the prices it held before stay" in told
    caplog.clear()
    room.write("models: {m: {input: 3, output: 1}}")
    assert room.look()
    assert room.input_of("", "m") == Decimal(3)
    assert caplog.messages == [f"{room.path} is in order again: its prices hold"]


def test_the_digest_depends_on_what_the_file_says_and_not_on_how(room: Room) -> None:
    room.write("models: {m: {input: 1, output: 2}}")
    room.look()
    before = room.override.digest
    room.write("# a word\nmodels:\n  m:\n    input: 1\n    output: 2\n")
    assert not room.look()
    assert room.override.digest == before
