"""Where the last turn of a conversation begins, and what is made of it."""

import pytest

from codemie_core.usage.asked import ToolResult
from codemie_core.usage.surroundings import Surroundings
from codemie_core.usage.trail import MOST_RESULTS, Trail, digest, last_turn

NOWHERE = Surroundings()


@pytest.mark.parametrize(
    "speakers, turn, before",
    [
        ("", "", 0),
        ("u", "u", 0),
        ("um", "u", 0),
        ("umu", "u", 1),
        ("umuu", "uu", 1),
        ("ummuumm", "uu", 2),
        ("m", "", 0),
        ("sus", "sus", 0),
    ],
)
def test_the_last_turn_is_what_came_since_the_model_spoke(speakers: str, turn: str, before: int) -> None:
    entries = [{"who": speaker} for speaker in speakers]
    found, earlier = last_turn(entries, lambda entry: entry["who"] == "m")
    assert ("".join(str(entry["who"]) for entry in found), earlier) == (turn, before)


def test_the_mark_names_place_and_words() -> None:
    def mark(place: str, *texts: str) -> str:
        trail = Trail()
        for text in texts:
            trail.text(text)
        return trail.asked("m", False, place, side=False, at=NOWHERE).prompt_mark

    assert mark("1", "hello") == f"{digest('1')}.{digest('hello')}"
    assert len({mark("1", "hello"), mark("2", "hello"), mark("1", "bye"), mark("1", "hello", "bye")}) == 4
    assert mark("1") == ""


def test_long_texts_are_told_apart_by_their_ends_and_their_length() -> None:
    long = "x" * 100_000
    assert digest(long) == digest("x" * 100_000)
    assert len({digest(text) for text in (long, f"{long}x", f"y{long[1:]}", f"{long[1:]}y")}) == 4


def test_a_side_request_has_no_prompt_and_keeps_its_results() -> None:
    trail = Trail()
    trail.text("summarize this")
    trail.result(ToolResult("1", "", True))
    asked = trail.asked("m", True, "0", side=True, at=NOWHERE)
    assert (asked.prompts, asked.prompt_mark, len(asked.results)) == (0, "", 1)


def test_no_request_brings_more_results_than_the_bound() -> None:
    trail = Trail()
    for number in range(MOST_RESULTS + 10):
        trail.result(ToolResult(str(number), "", True))
    assert len(trail.results) == MOST_RESULTS
