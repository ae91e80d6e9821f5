"""Calls find their results, each of them once."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.asked import Asked, ToolResult
from codemie_core.usage.operation import FileOperation
from codemie_core.usage.record import ToolDone, ToolUse
from codemie_core.usage.toolbook import CALLS, CONVERSATIONS, SAME_PROMPT, ToolBook
from codemie_core.usage.trail import digest

WROTE = FileOperation("write", "/p/a.py", "py", "python", 3, None)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> ToolBook:
    return ToolBook(clock)


def uses(*named: tuple[str, str]) -> list[ToolUse]:
    return [ToolUse(ToolCall(id_, name, "{}", index), (WROTE,)) for index, (id_, name) in enumerate(named)]


def results(*ids: str, ok: bool | None = True) -> list[ToolResult]:
    return [ToolResult(id_, "", ok) for id_ in ids]


def test_a_result_finds_its_call_by_id(book: ToolBook) -> None:
    book.called("c", "record-1", uses(("a", "Write"), ("b", "Bash")))
    assert book.paired("c", results("b", ok=False)) == (ToolDone("b", "Bash", False, "record-1", (WROTE,)),)
    assert book.paired("c", results("a")) == (ToolDone("a", "Write", True, "record-1", (WROTE,)),)


def test_a_call_is_told_once_however_often_its_result_comes(book: ToolBook) -> None:
    book.called("c", "record-1", uses(("a", "Write")))
    assert len(book.paired("c", results("a"))) == 1
    assert book.paired("c", results("a")) == ()
    assert book.paired("c", results("a", "a")) == ()


def test_a_result_of_an_unknown_call_is_told_once_too(book: ToolBook) -> None:
    told = book.paired("c", [ToolResult("old", "Write", True)])
    assert told == (ToolDone("old", "Write", True),)
    assert book.paired("c", results("old")) == ()


def test_conversations_do_not_mix(book: ToolBook) -> None:
    book.called("one", "record-1", uses(("a", "Write")))
    assert book.paired("two", results("a")) == (ToolDone("a", "", True),)
    assert book.paired("one", results("a"))[0].record_id == "record-1"


def test_an_id_that_is_given_again_is_another_call(book: ToolBook) -> None:
    for record in ("record-1", "record-2"):
        book.called("c", record, uses(("call_0", "bash")))
        assert [done.record_id for done in book.paired("c", results("call_0"))] == [record]


def test_calls_without_ids_are_found_by_name_the_oldest_first(book: ToolBook) -> None:
    book.called("c", "record-1", uses(("", "glob"), ("", "read_file"), ("", "glob")))
    book.called("c", "record-2", uses(("", "glob")))
    named = [ToolResult("", name, True) for name in ("glob", "glob", "read_file", "glob", "glob")]
    assert [done.record_id for done in book.paired("c", named)] == ["record-1"] * 3 + ["record-2"]


def test_a_client_may_invent_ids_for_calls_without(book: ToolBook) -> None:
    book.called("c", "record-1", uses(("", "write_file")))
    told = [ToolResult("write_file_1_0", "write_file", True)]
    assert book.paired("c", told) == (ToolDone("write_file_1_0", "write_file", True, "record-1", (WROTE,)),)
    assert book.paired("c", told) == ()


def test_a_result_without_id_that_matches_nothing_is_not_told(book: ToolBook) -> None:
    assert book.paired("c", [ToolResult("", "glob", True)]) == ()


def test_what_is_open_is_bounded_by_call_and_by_conversation(book: ToolBook) -> None:
    book.called("c", "record-1", uses(*((f"call{number}", "Bash") for number in range(CALLS + 1))))
    assert book.paired("c", results("call0"))[0].record_id == ""
    assert book.paired("c", results("call1"))[0].record_id == "record-1"
    for number in range(CONVERSATIONS):
        book.called(f"other{number}", "record-2", uses(("a", "Bash")))
    assert book.paired("c", results("call2"))[0].record_id == ""


def test_a_conversation_in_use_is_not_forgotten(book: ToolBook) -> None:
    book.called("c", "record-1", uses(("a", "Bash"), ("b", "Bash")))
    for number in range(CONVERSATIONS - 1):
        book.called(f"other{number}", "record-2", uses(("a", "Bash")))
    book.paired("c", results("a"))
    book.called("one more", "record-3", uses(("a", "Bash")))
    assert book.paired("c", results("b"))[0].record_id == "record-1"


def test_a_prompt_counts_once_until_an_hour_has_passed(book: ToolBook, clock: Clock) -> None:
    assert book.new_prompt("c", "place.words")
    clock.now += SAME_PROMPT
    assert not book.new_prompt("c", "place.words")
    clock.now += SAME_PROMPT + 1
    assert book.new_prompt("c", "place.words")


def test_a_prompt_is_new_elsewhere_and_in_other_words(book: ToolBook) -> None:
    marks = [("c", "p.w"), ("c", "p.v"), ("c", "q.w"), ("d", "p.w")]
    assert all(book.new_prompt(conversation, mark) for conversation, mark in marks)


@pytest.mark.parametrize("tool, argument", [("Agent", "prompt"), ("Task", "prompt"), ("spawn_agent", "message")])
def test_what_the_model_tells_another_agent_is_nobodys_prompt(book: ToolBook, tool: str, argument: str) -> None:
    call = ToolCall("a", tool, f'{{"{argument}": " Find the tests. "}}', 0)
    book.called("parent", "record-1", [ToolUse(call)])
    assert not book.new_prompt("child", f"0.{digest('Find the tests.')}")
    assert book.new_prompt("child", f"0.{digest('Find the other tests.')}")


def test_the_folder_is_remembered_for_requests_that_do_not_say_it(book: ToolBook) -> None:
    assert book.placed("c", Asked(folder="/p", branch="main")) == Asked(folder="/p", branch="main")
    assert book.placed("c", Asked(model="m")) == Asked(model="m", folder="/p", branch="main")
    assert book.placed("d", Asked(model="m")) == Asked(model="m")
    assert book.placed("c", Asked(folder="/q")) == Asked(folder="/q")
    assert book.placed("c", Asked()).folder == "/q"


def histories(calls: Sequence[tuple[str, str]]) -> Iterator[list[ToolResult]]:
    """Requests that each repeat all results so far."""
    for number in range(1, len(calls) + 1):
        yield [ToolResult(id_, name, True) for id_, name in calls[:number]]


@given(st.lists(st.tuples(st.uuids().map(str), st.sampled_from(["Bash", "Write"])), max_size=30, unique=True))
def test_histories_that_repeat_themselves_tell_every_call_once(calls: list[tuple[str, str]]) -> None:
    book = ToolBook()
    for id_, name in calls:
        book.called("c", f"record of {id_}", uses((id_, name)))
    told = [done for each in histories(calls) for done in book.paired("c", each)]
    assert [(done.call_id, done.record_id) for done in told] == [(id_, f"record of {id_}") for id_, _ in calls]
