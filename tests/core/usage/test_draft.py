import tracemalloc

import pytest

from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.draft import LONGEST_ARGUMENTS, MOST_CALLS, CallDraft, Draft
from codemie_core.usage.usage import UNKNOWN


@pytest.mark.parametrize(
    "pieces, length, cut",
    [
        (["x" * LONGEST_ARGUMENTS], LONGEST_ARGUMENTS, False),
        (["x" * LONGEST_ARGUMENTS, ""], LONGEST_ARGUMENTS, False),
        (["x" * LONGEST_ARGUMENTS, "y"], LONGEST_ARGUMENTS, True),
        (["x" * (LONGEST_ARGUMENTS - 1), "yz", "z"], LONGEST_ARGUMENTS, True),
        (["x" * 100_000] * 100, LONGEST_ARGUMENTS, True),
    ],
)
def test_arguments_are_cut_at_their_bound(pieces: list[str], length: int, cut: bool) -> None:
    draft = CallDraft(ended=True)
    for piece in pieces:
        draft.add(piece)
    call = draft.call(0)
    assert (call.arguments, call.cut) == ("".join(pieces)[:length], cut)


def test_what_is_beyond_the_bound_is_not_kept() -> None:
    draft = CallDraft()
    piece = "x" * 100_000
    tracemalloc.start()
    try:
        for _ in range(100):
            draft.add(piece)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * LONGEST_ARGUMENTS


def test_a_call_that_has_not_ended_is_cut() -> None:
    draft = CallDraft("a", "A")
    draft.add("{}")
    assert draft.call(2) == ToolCall("a", "A", "{}", 2, cut=True)
    draft.settle("[]")
    assert draft.call(2) == ToolCall("a", "A", "[]", 2)


def test_the_first_name_stays() -> None:
    draft = Draft[int]()
    draft.named("", None)
    draft.named("claude", "msg_1")
    draft.named("other", "other")
    assert (draft.model, draft.response_id) == ("claude", "msg_1")


def test_calls_keep_their_order_up_to_their_bound() -> None:
    draft = Draft[int]()
    for key in reversed(range(MOST_CALLS)):
        assert draft.call(key) is draft.call(key) is draft.known_call(key)
    assert draft.call(MOST_CALLS) is draft.known_call(MOST_CALLS) is None
    assert [key for key, _ in draft.calls()] == list(reversed(range(MOST_CALLS)))
    assert [call.index for call in draft.answer(UNKNOWN).tools] == list(range(MOST_CALLS))


def test_the_first_and_the_last_token_have_their_time() -> None:
    draft = Draft[int]()
    assert draft.answer(UNKNOWN) == Answer()
    for at_ms in (None, 3.0, 4.0, 9.0, None):
        draft.token(at_ms)
    assert (draft.first_token_ms, draft.last_token_ms) == (3.0, 9.0)
