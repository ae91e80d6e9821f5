"""People's words are told from those that agents put in."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.usage.injected import is_order, is_own_business, is_summary, persons_words

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
        ("<skill><bash-input></skill>Why?</bash-input>", "Why?</bash-input>"),
        ("<turn_aborted>\nThe user interrupted the turn.\n</turn_aborted>", ""),
        ("<subagent_notification>done</subagent_notification>", ""),
        ("<task-notification>done</task-notification>", ""),
        ("[Request interrupted by user for tool use]", ""),
        ("Continue from where you left off.", ""),
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


@pytest.mark.parametrize(
    "text, order",
    [
        ("CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\nYour task is ...", True),
        ("Your task is to create a detailed summary of the conversation so far", True),
        ("\nYou are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary", True),
        ("Generate a title for this conversation:\n", True),
        ("Why does it say: You are performing a CONTEXT CHECKPOINT COMPACTION?", False),
        ("Generate a title for this page", False),
    ],
)
def test_orders_of_an_agent_to_itself_are_known_by_their_beginning(text: str, order: bool) -> None:
    assert is_order(text) is order


def test_what_compacting_leaves_is_known_by_its_beginning() -> None:
    assert is_summary("This session is being continued from a previous conversation that ran out of context.")
    assert is_summary("Another language model started to solve this problem and produced a summary of its thinking")
    assert not is_summary("What is: This session is being continued from")


def test_a_text_full_of_openings_takes_no_longer_than_its_length() -> None:
    hostile = "<system-reminder><skill>" * 100_000
    began = time.process_time()
    assert persons_words(hostile) == hostile
    # Looking for the end from each of them takes minutes.
    assert time.process_time() - began < 5


@given(st.text() | st.lists(st.sampled_from([REMINDER, "<skill>", "</skill>", "a", "<", "\n"])).map("".join))
def test_no_words_are_made_up(text: str) -> None:
    words = persons_words(text)
    assert len(words) <= len(text)
    assert REMINDER not in words
