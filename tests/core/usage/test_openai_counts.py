from typing import Any

import pytest

from codemie_core.usage.openai_counts import OpenAiCounts
from codemie_core.usage.usage import Usage


def usage(*said: dict[str, Any]) -> Usage:
    counts = OpenAiCounts()
    for each in said:
        counts.take(each)
    return counts.usage()


CASES: list[tuple[str, dict[str, Any], Usage]] = [
    ("bare", {"prompt_tokens": 100, "completion_tokens": 20}, Usage(100, output=20)),
    ("nothing", {}, Usage()),
    ("unknown prompt", {"prompt_tokens_details": {"cached_tokens": 3}}, Usage(cache_read=3)),
    (
        "cached within",
        {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 80}},
        Usage(20, cache_read=80),
    ),
    (
        "written within",
        {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 15}},
        Usage(5, cache_read=80, cache_write=15),
    ),
    (
        "responses' words",
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 80},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 8},
            "total_tokens": 120,
        },
        Usage(20, cache_read=80, output=20, reasoning=8),
    ),
    (
        "deepseek",
        {"prompt_tokens": 100, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
        Usage(36, cache_read=64),
    ),
    ("moonshot", {"prompt_tokens": 100, "cached_tokens": 64}, Usage(36, cache_read=64)),
    ("cached apart", {"prompt_tokens": 10, "cached_tokens": 64}, Usage(10, cache_read=64)),
    (
        "written apart",
        {"prompt_tokens": 70, "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 30}},
        Usage(6, cache_read=64, cache_write=30),
    ),
    (
        "reasoning within",
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "completion_tokens_details": {"reasoning_tokens": 8},
        },
        Usage(100, output=20, reasoning=8),
    ),
    (
        "reasoning apart, as the total tells",
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 128,
            "completion_tokens_details": {"reasoning_tokens": 8},
        },
        Usage(100, output=28, reasoning=8),
    ),
    (
        "reasoning of an unknown whole",
        {"prompt_tokens": 100, "completion_tokens_details": {"reasoning_tokens": 8}},
        Usage(100, reasoning=8),
    ),
    ("not numbers", {"prompt_tokens": True, "completion_tokens": "20", "prompt_tokens_details": [1]}, Usage()),
]


@pytest.mark.parametrize("said, expected", [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_counts_are_put_into_our_measure(said: dict[str, Any], expected: Usage) -> None:
    assert usage(said) == expected
    assert usage(said, {}, said) == expected


@pytest.mark.parametrize("said", [row[1] for row in CASES if "apart" not in row[0]])
def test_what_was_read_and_made_is_what_the_provider_says(said: dict[str, Any]) -> None:
    found = usage(said)
    if found.prompt is not None:
        assert found.prompt == said.get("prompt_tokens", said.get("input_tokens"))
    assert found.output in (None, said.get("completion_tokens"), said.get("output_tokens"))


def test_what_a_later_report_leaves_out_stays() -> None:
    first = {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 80}}
    assert usage(first, {"prompt_tokens": 100, "completion_tokens": 9}) == Usage(20, cache_read=80, output=9)


def test_tools_that_the_provider_ran_are_passed_on() -> None:
    assert OpenAiCounts().usage({"web_search": 2}) == Usage(server_tools={"web_search": 2})


@pytest.mark.parametrize("tier, known", [("default", ""), ("AUTO", ""), ("flex", "flex"), ("Priority", "priority")])
def test_the_standard_tier_has_no_name(tier: str, known: str) -> None:
    counts = OpenAiCounts()
    counts.served_as(tier)
    assert counts.usage().tier == known
    counts.served_as(None)
    assert counts.usage().tier == known
