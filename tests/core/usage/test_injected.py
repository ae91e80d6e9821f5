"""People's words are told from those that agents put in."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.usage.injected import is_own_business, persons_words

REMINDER = "<system-reminder>\nToday's date is ...\n</system-reminder>"


@pytest.mark.parametrize(
    "text, words",
    [
        ("Fix the bug.", "Fix the bug."),
        ("  Fix the bug.\n", "Fix the bug."),
        ("", ""),
        (" \n", ""),
        (REMINDER, ""),
        (REMINDER * 2, ""),
        (f"{REMINDER}\nFix it.\n{REMINDER}", "Fix it."),
        (f"Fix <b>{REMINDER}</b>", "Fix <b></b>"),
        ("<system-reminder>never ended", "<system-reminder>never ended"),
        ("</system-reminder>", "</system-reminder>"),
        ("<html>Why is this page empty?</html>", "<html>Why is this page empty?</html>"),
        ("Is 1 < 2?", "Is 1 < 2?"),
        ("<command-name>/clear</command-name>\n<command-args></command-args>", ""),
        ("<local-command-stdout>(no content)</local-command-stdout>", ""),
        ("<environment_context>\n  <cwd>/p</cwd>\n</environment_context>", ""),
        ("<hook_context>x</hook_context>", ""),
        ('<session_context version="2">x</session_context>', ""),
        ("<skill>a <skill>b</skill>", ""),
        ("[Request interrupted by user for tool use]", ""),
        ("This session is being continued from a previous conversation.", ""),
        ("# AGENTS.md instructions for /p\n\nBe kind.", ""),
        ("I saw [Request interrupted by user]. Why?", "I saw [Request interrupted by user]. Why?"),
    ],
)
def test_what_agents_put_in_is_taken_out(text: str, words: str) -> None:
    assert persons_words(text) == words


@pytest.mark.parametrize("phrase", ["You are a title generator. You output ONLY", "a specialized Task Routing AI."])
def test_system_prompts_tell_the_agents_own_business(phrase: str) -> None:
    assert is_own_business(["Be kind.", phrase])
    assert not is_own_business(["Be kind.", "You are a coding agent."])


def test_a_text_full_of_openings_takes_no_longer_than_its_length() -> None:
    hostile = "<system-reminder><skill>" * 100_000
    began = time.perf_counter()
    assert persons_words(hostile) == hostile
    # Looking for the end from each of them takes minutes.
    assert time.perf_counter() - began < 5


@given(st.text() | st.lists(st.sampled_from([REMINDER, "<skill>", "</skill>", "a", "<", "\n"])).map("".join))
def test_no_words_are_made_up(text: str) -> None:
    words = persons_words(text)
    assert len(words) <= len(text)
    assert REMINDER not in words
