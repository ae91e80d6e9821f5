"""Tokens in one measure: what is unknown stays unknown."""

from __future__ import annotations

import pytest

from codemie_core.usage.usage import UNKNOWN, Usage


@pytest.mark.parametrize(
    ("usage", "prompt", "total"),
    [
        (UNKNOWN, None, None),
        (Usage(input=0), 0, 0),
        (Usage(input=5, cache_read=100, cache_write=20), 125, 125),
        (Usage(output=7), None, 7),
        (Usage(input=5, output=7, reasoning=3), 5, 12),
        (Usage(cache_read=100), None, None),
        (Usage(input=1, cache_write=10, cache_write_1h=10), 11, 11),
    ],
)
def test_the_prompt_is_all_that_was_read_and_unknown_is_not_zero(
    usage: Usage, prompt: int | None, total: int | None
) -> None:
    assert (usage.prompt, usage.total) == (prompt, total)


def test_later_words_replace_earlier_ones_and_silence_replaces_nothing() -> None:
    start = Usage(input=10, cache_read=5, output=1, server_tools={"web_search": 1}, tier="standard")
    assert start.merged(Usage(output=42)) == Usage(10, 5, output=42, server_tools={"web_search": 1}, tier="standard")
    assert start.merged(Usage(input=0)).input == 0
    assert start.merged(UNKNOWN) == start
    assert UNKNOWN.merged(start) == start
    assert start.merged(Usage(server_tools={"web_search": 2}, tier="batch")).server_tools == {"web_search": 2}
