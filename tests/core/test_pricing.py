"""The price book: the list, one's own prices over it, and a word about what has no price."""

import logging
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codemie_core.places import Places
from codemie_core.pricing import MOST_WARNINGS, PriceBook
from codemie_core.usage.cost import Cost
from codemie_core.usage.price_list import PriceList
from codemie_core.usage.price_override import PriceOverride, prices_file
from codemie_core.usage.usage import UNKNOWN, Usage
from support.proxy import ADDONS
from support.yardstick import microseconds

AT = datetime(2026, 11, 1, tzinfo=UTC)
USAGE = Usage(input=1000, output=100)
LIST = PriceList().version


class Room:
    """A book and the file of own prices."""

    def __init__(self, home: Path) -> None:
        self.path = prices_file(Places(home))
        self.path.parent.mkdir(parents=True)
        self.now = 0.0
        self.book = PriceBook(Places(home), PriceOverride(self.path, lambda: self.now))

    def price(self, provider: str, model: str, usage: Usage = USAGE) -> Cost:
        self.now += 10
        return self.book.price(provider, model, usage, AT)


@pytest.fixture
def room(codemie_home: Path) -> Room:
    return Room(codemie_home)


def test_a_turn_has_its_price_and_the_version_of_the_prices(room: Room) -> None:
    assert room.price("anthropic", "claude-opus-4-5") == Cost(7_500_000, LIST, 5_000_000, None, None, 2_500_000, 0)


def test_the_book_loads_once_and_says_when_it_is_ready(room: Room) -> None:
    assert not room.book.ready
    room.book.load()
    room.book.load()
    assert room.book.ready
    assert room.book.version == LIST


def test_what_nobody_says_the_price_of_costs_an_unknown_amount_and_is_told_once_per_model(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        assert room.price("", "llama3") == Cost()
        assert room.price("anthropic", "claude-opus-99") == Cost()
        assert room.price("anthropic", "claude-opus-4-5", Usage(input=1, output=1, tier="flex")) == Cost()
    first, second, third = caplog.messages
    assert first.startswith("There is no price for an unknown provider's llama3: its turns are counted without cost")
    assert str(room.path) in first
    assert "anthropic's claude-opus-99:" in second
    assert "anthropic's claude-opus-4-5 at the tier flex:" in third


def test_a_turn_of_which_nothing_is_known_is_no_reason_to_complain_about_prices(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    assert room.price("", "llama3", UNKNOWN) == Cost()
    assert room.price("anthropic", "claude-opus-4-5", UNKNOWN) == Cost()
    assert caplog.messages == []


def test_a_name_that_holds_a_secret_is_told_without_it(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    room.price("anthropic", "sk-ant-api03-" + "planted" * 6)
    [told] = caplog.messages
    assert "planted" not in told


def test_a_tool_without_a_price_is_told_once(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    usage = Usage(input=1000, output=100, server_tools={"code_execution": 1})
    for _ in range(2):
        cost = room.price("anthropic", "claude-opus-4-5", usage)
    assert (cost.nano_usd, cost.tools) == (7_500_000, None)
    [told] = caplog.messages
    assert told.startswith("The price of the tool code_execution of anthropic is not known: it is left out of costs")


def test_a_thousand_unknown_models_do_not_fill_the_log(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(MOST_WARNINGS + 50):
        room.price("", f"model-{number}")
    assert len(caplog.messages) == MOST_WARNINGS


def test_own_prices_stand_before_the_lists_and_are_named_in_the_version(room: Room) -> None:
    room.path.write_text("models: {anthropic/claude-opus-4-5: {input: 4}, m: {input: 1, output: 2}}")
    changed, new = room.price("anthropic", "claude-opus-4-5"), room.price("", "m")
    digest = room.book.override.digest
    assert (changed.nano_usd, changed.version) == (6_500_000, f"{LIST} + prices.yaml {digest}")
    assert (new.nano_usd, new.version) == (1_200_000, f"prices.yaml {digest}")
    assert room.price("anthropic", "claude-opus-4-1").version == LIST


def test_an_entry_may_say_that_a_model_costs_what_another_does(room: Room) -> None:
    room.path.write_text("models: {azure/my-deployment: {same_as: openai/gpt-5, output: 20}}")
    cost = room.price("azure", "my-deployment")
    assert (cost.input, cost.output) == (1_250_000, 2_000_000)


def test_prices_of_a_tier_are_ones_own_where_they_are_given(room: Room) -> None:
    room.path.write_text("models: {anthropic/claude-opus-4-5: {input: 4, priority: {input: 8, output: 40}}}")
    turn = Usage(input=1000, output=100, tier="priority")
    assert room.price("anthropic", "claude-opus-4-5", turn).nano_usd == 12_000_000
    assert room.price("anthropic", "claude-opus-4-5").nano_usd == 6_500_000


def test_prices_change_while_the_proxy_runs(room: Room) -> None:
    room.path.write_text("models: {m: {input: 1, output: 2}}")
    before = room.price("", "m")
    room.path.write_text("models: {m: {input: 10, output: 20}}")
    after = room.price("", "m")
    assert (before.nano_usd, after.nano_usd) == (1_200_000, 12_000_000)
    assert before.version != after.version


def test_without_the_library_ones_own_prices_still_hold(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    room.path.write_text("models: {m: {input: 1, output: 2}}")
    assert room.price("", "m").nano_usd == 1_200_000
    assert room.price("anthropic", "claude-opus-4-5") == Cost()
    assert "pip install 'codemie-proxy[prices]'" in caplog.messages[0]


COUNTS = st.none() | st.integers(0, 10**12)
TOOLS = st.dictionaries(st.text(max_size=20) | st.just("web_search"), st.integers(0, 10**12))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.text(max_size=40) | st.sampled_from(["anthropic", "openai", "google", "aws", "openrouter", "deepseek"]),
    st.text(max_size=400)
    | st.sampled_from(["claude-opus-4-5", "gpt-5", "gemini-2.5-pro", "deepseek-chat", "[" * 10_000]),
    st.text(max_size=20) | st.sampled_from(["batch", "flex", "priority", "fast"]),
    st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, TOOLS),
)
def test_whatever_a_server_says_of_a_turn_pricing_it_never_raises(
    room: Room, provider: str, model: str, tier: str, usage: Usage
) -> None:
    cost = room.price(provider, model, replace(usage, tier=tier))
    assert cost.nano_usd is None or cost.nano_usd >= 0


def test_importing_the_module_loads_no_price_list() -> None:
    code = "import sys, codemie_core.pricing; sys.exit('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ADDONS)}, timeout=60)
    assert done.returncode == 0


def test_a_turn_is_priced_in_far_less_than_fifty_microseconds(room: Room) -> None:
    usage = Usage(input=1000, cache_read=20_000, cache_write=3_000, cache_write_1h=1_000, output=500)
    room.price("anthropic", "claude-opus-4-5", usage)

    def price() -> None:
        for _ in range(200):
            room.book.price("anthropic", "claude-opus-4-5", usage, AT)

    assert microseconds(price, 200) < 50
