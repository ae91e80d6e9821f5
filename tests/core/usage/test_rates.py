"""What a turn costs at given rates: literal figures, worked out by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.usage.cost import Cost
from codemie_core.usage.rates import PER_MTOK, PER_THOUSAND, Rate, Rates, cost_of, unpriced_tools
from codemie_core.usage.usage import UNKNOWN, Usage


def dollars(base: str, *steps: tuple[int, str]) -> Rate:
    """A rate, from US dollars per million tokens."""
    return Rate(Decimal(base) * PER_MTOK, tuple((start, Decimal(price) * PER_MTOK) for start, price in steps))


CLAUDE = Rates(
    dollars("5"),
    dollars("0.5"),
    dollars("6.25"),
    dollars("10"),
    dollars("25"),
    tools={"web_search": Decimal(10) * PER_THOUSAND},
)
LONG = Rates(dollars("3", (200_000, "6")), dollars("0.3", (200_000, "0.6")), output=dollars("15", (200_000, "22.5")))
PLAIN = Rates(dollars("2"), output=dollars("8"))


@pytest.mark.parametrize(
    "usage, rates, cost",
    [
        (Usage(input=1_000_000, output=0), CLAUDE, Cost(5 * 10**9, "v", 5 * 10**9, None, None, 0, 0)),
        (Usage(input=7, output=3), CLAUDE, Cost(110_000, "v", 35_000, None, None, 75_000, 0)),
        (
            Usage(input=1, cache_read=20_000, cache_write=3_000, cache_write_1h=1_000, output=500),
            CLAUDE,
            Cost(45_005_000, "v", 5_000, 10_000_000, 22_500_000, 12_500_000, 0),
        ),
        (
            Usage(input=0, output=0, server_tools={"web_search": 3}),
            CLAUDE,
            Cost(30_000_000, "v", 0, None, None, 0, 30_000_000),
        ),
        (Usage(input=200_000, output=10), LONG, Cost(600_150_000, "v", 600_000_000, None, None, 150_000, 0)),
        (
            Usage(input=1, cache_read=200_000, output=10),
            LONG,
            Cost(120_231_000, "v", 6_000, 120_000_000, None, 225_000, 0),
        ),
        (
            Usage(input=10, cache_read=5, cache_write=5, output=1),
            PLAIN,
            Cost(48_000, "v", 20_000, 10_000, 10_000, 8_000, 0),
        ),
        (Usage(input=0, output=0), Rates(), Cost(0, "v", 0, None, None, 0, 0)),
    ],
    ids=[
        "a million",
        "few",
        "caches",
        "searches",
        "at the step",
        "beyond the step by what was cached",
        "what has no price of its own",
        "nothing",
    ],
)
def test_a_turn_costs_what_its_rates_say(usage: Usage, rates: Rates, cost: Cost) -> None:
    assert cost_of(usage, rates, "v") == cost


@pytest.mark.parametrize(
    "usage, rates",
    [
        (UNKNOWN, CLAUDE),
        (Usage(output=5), CLAUDE),
        (Usage(input=5), CLAUDE),
        (Usage(input=5, output=1), Rates(output=dollars("1"))),
        (Usage(input=5, output=1), Rates(input=dollars("1"))),
    ],
    ids=["nothing known", "no input", "no output", "input unpriced", "output unpriced"],
)
def test_unknown_is_unknown_and_not_nothing(usage: Usage, rates: Rates) -> None:
    assert cost_of(usage, rates, "v") == Cost()


def test_a_tool_without_a_price_leaves_the_tokens_their_cost() -> None:
    usage = Usage(input=1, output=1, server_tools={"code_execution": 2, "web_search": 1})
    assert cost_of(usage, CLAUDE, "v") == Cost(30_000, "v", 5_000, None, None, 25_000, None)
    assert unpriced_tools(usage, CLAUDE) == ("code_execution",)


def test_tools_billed_by_their_tokens_only_cost_nothing() -> None:
    usage = Usage(input=1, output=1, server_tools={"web_fetch": 2})
    assert (cost_of(usage, CLAUDE, "v").tools, unpriced_tools(usage, CLAUDE)) == (0, ())


def test_reasoning_with_a_price_of_its_own_is_not_billed_twice() -> None:
    rates = Rates(dollars("2"), output=dollars("8"), reasoning=dollars("3"))
    assert cost_of(Usage(input=0, output=10, reasoning=4), rates, "v").output == 6 * 8_000 + 4 * 3_000


def test_half_a_nano_dollar_goes_to_the_even_one() -> None:
    rates = Rates(Rate(Decimal("0.5")), output=Rate(Decimal("0.5")))
    assert [cost_of(Usage(input=n, output=0), rates, "v").input for n in (1, 3, 5)] == [0, 2, 2]


def test_in_a_batch_tokens_cost_half_and_tools_what_they_cost() -> None:
    usage = Usage(input=10, cache_read=10, output=10, server_tools={"web_search": 1})
    assert cost_of(usage, CLAUDE.halved(), "v") == Cost(10_152_500, "v", 25_000, 2_500, None, 125_000, 10_000_000)


def test_own_rates_stand_over_those_of_the_list() -> None:
    both = Rates(output=dollars("9"), tools={"x": Decimal(1)}).over(CLAUDE)
    assert (both.input, both.output, set(both.tools)) == (CLAUDE.input, dollars("9"), {"x", "web_search"})


@given(
    st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9)
)
def test_the_whole_is_the_sum_of_its_parts(plain: int, read: int, write: int, hour: int, output: int) -> None:
    cost = cost_of(Usage(plain, read, write, hour, output), CLAUDE, "v")
    assert cost.nano_usd == sum(
        part or 0 for part in (cost.input, cost.cache_read, cost.cache_write, cost.output, cost.tools)
    )
