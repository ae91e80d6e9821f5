"""Two thousand turns through a real proxy with its database: every row is right, and nobody waited for it."""

from soak.exact import Outcome, exact
from soak.exact_turns import is_last, tools, went_well
from soak.run import growth

TURNS, PARTS = 2_000, 6


def test_two_thousand_turns_are_kept_as_they_were_and_cost_neither_memory_nor_time() -> None:
    told: list[str] = []
    outcome: Outcome = exact(TURNS, told.append, PARTS)
    assert outcome.wrong == [], outcome.wrong[:5]
    # What is remembered of conversations fills up first; a soak of twenty thousand turns shows that it ends.
    memory = [sample.memory for sample in outcome.samples]
    assert memory[-1] - memory[0] < 30, "\n".join(told)
    assert [problem for problem in growth(outcome.samples) if not problem.startswith("memory")] == []
    # On a busy machine any call may be interrupted, and any may have to collect garbage: what it worked itself counts,
    # and of that no more than a borrowed processor explains.
    long = [call for call in outcome.slow if call["worked"] >= 0.02 and not call["collected"]]
    assert len(long) <= TURNS // 200, long


def test_the_turns_are_of_all_kinds() -> None:
    assert {len(tools(number)) for number in range(9)} == {0, 1, 2}
    assert {went_well(call) for number in range(50) for call in tools(number)} == {True, False}
    assert is_last(24, 100)
    assert is_last(99, 100)
    assert not is_last(25, 100)
