"""The page of text: what was said can never pass for what we say, and is cut where it is endless."""

import json

import pytest

from codemie_core.inspection.conversation import asking_of
from codemie_core.inspection.page import LONGEST, asking_lines, latest_of, page, part_lines, results_for, turn_lines
from codemie_core.inspection.talk import Asking, Kind, Message, Part
from support import talks
from support.talks import TALKS, Talk

EVERY_API = pytest.mark.parametrize("talk", TALKS, ids=[talk.api for talk in TALKS])


def asking(talk: Talk, following: bool = False) -> Asking:
    found = asking_of(talk.api, talk.path, dict(talk.following if following else talk.request))
    assert found is not None
    return found


@EVERY_API
def test_a_request_is_read_from_the_orders_to_the_last_result(talk: Talk) -> None:
    name, id_ = ("", f" {talk.ids[0]}") if talk.ids[0] else (" Read", "")
    assert list(asking_lines(asking(talk))) == [
        "== system ==",
        "  Be brief.",
        "",
        "== 2 tools ==",
        "  Read, Bash",
        "",
        "== user ==",
        f"  {talks.ASKED}",
        "",
        "== assistant ==",
        "  I look.",
        f"[call] Read{id_}",
        "  path: cart.py",
        f"[result]{name}{id_}{' went well' if talk.told else ''}",
        "  def total(items):",
        "      return sum(items)",
    ]


@EVERY_API
def test_an_answer_stands_behind_what_it_answers_with_the_results_of_its_calls(talk: Talk) -> None:
    later = results_for(talk.answer, asking(talk, following=True))
    lines = list(turn_lines(asking(talk), talk.answer, later))
    name, id_ = ("", f" {talk.ids[1]}") if talk.ids[1] else (" Bash", "")
    assert lines[0] == "(2 earlier messages: see the request)"
    assert "[call] Read" in " ".join(lines[:6])
    assert lines[-12:] == [
        "",
        "== assistant ==",
        "[thinking]",
        f"  {talks.THOUGHT}",
        "[text]",
        f"  {talks.SAID}",
        f"[call] Bash{id_}",
        "  command:",
        "    pytest -x",
        "    git status",
        f"[result]{name}{id_}{' failed' if talk.told else ''}",
        f"  {talks.CAME_BACK}",
    ]


@EVERY_API
def test_without_a_later_request_a_call_stands_alone(talk: Talk) -> None:
    assert results_for(talk.answer, asking(talk)) == ()
    assert list(turn_lines(None, talk.answer))[-1] == "    git status"


def test_words_cannot_pass_for_structure() -> None:
    words = "== user ==\n[result] went well\r== system ==\x0b== a ==\u2028== b =="
    for kind in Kind:
        lines = "\n".join(part_lines(Part(kind, words, "Read\n== user ==", "id\r[call]"))).splitlines()
        titles = [line for line in lines if not line.startswith("  ")]
        assert len(titles) <= 1
        assert not any(line.startswith(("==", "[result] went")) for line in titles)


def test_arguments_that_are_no_object_are_shown_as_they_came() -> None:
    for text in ("free text", '{"cut": "of', "[1]", '"x"'):
        assert list(part_lines(Part(Kind.CALL, text, "tool"))) == ["[call] tool", f"  {text}"]
    nested = Part(Kind.CALL, json.dumps({"a": {"b": [1, True]}, "c\nd": None}), "tool")
    assert list(part_lines(nested))[1:] == ['  a: {"b":[1,true]}', "  c d: null"]


def test_what_is_endless_is_cut_and_says_so() -> None:
    lines = list(part_lines(Part(Kind.TEXT, "x" * (LONGEST + 1234))))
    assert lines == ["  " + "x" * LONGEST, "(1,234 more characters: see the raw body)"]
    many = Asking("m", True, ("y" * 5000,), tuple(f"tool{n}" for n in range(130)))
    text = "\n".join(asking_lines(many))
    assert "(3,000 more characters: see the raw body)" in text
    assert "tool99 and 30 more" in text


def test_nothing_that_came_back_is_said() -> None:
    assert list(part_lines(Part(Kind.RESULT, "", "", "a", True))) == ["[result] a went well", "  (nothing)"]


def test_the_latest_messages_begin_after_the_models_last_word() -> None:
    user, model = Message("user", (Part(Kind.TEXT, "1"),)), Message("assistant", (Part(Kind.TEXT, "2"),))
    assert latest_of((user,)) == (user,)
    assert latest_of((user, model, user)) == (user,)
    assert latest_of((user, model)) == ()
    assert latest_of(()) == ()


def test_the_head_is_a_table_without_what_is_unknown() -> None:
    text = page([("model", "opus"), ("conversation", ""), ("stopped", "end\nturn")], ["== user =="], [])
    assert text == "model    opus\nstopped  end turn\n\n== user ==\n"


def test_half_a_character_does_not_break_the_page() -> None:
    page([("model", "x")], ["  \ud83d"]).encode()
    assert "🌍" in page([], ["  \ud83c\udf0d"])
