"""Rejected thinking: errors as they were seen, and requests without it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.accounts.thinking import rejected_signature, without_thinking

INVALID = "messages.1.content.0: Invalid `signature` in `thinking` block"


def anthropic(message: str) -> bytes:
    error = {"type": "invalid_request_error", "message": message}
    return json.dumps({"type": "error", "error": error, "request_id": "req_011"}).encode()


@pytest.mark.parametrize(
    "body",
    [
        anthropic(INVALID),
        anthropic("messages.3.content.13: Invalid signature in thinking block"),
        anthropic("messages.3.content.0: Invalid `data` in `redacted_thinking` block"),
        anthropic(
            f"{INVALID}. The block is bound to a different conversation. Remove the block, or set "
            '`thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'
        ),
        anthropic(
            "messages.3.content.11: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be "
            "modified. These blocks must remain as they were in the original response."
        ),
        # Google wraps the whole error into a text, a gateway wraps that again.
        json.dumps({"error": {"code": 400, "message": anthropic(INVALID).decode()}}).encode(),
        json.dumps({"message": json.dumps({"error": {"message": anthropic(INVALID).decode()}})}).encode(),
        b"ValidationException: ***.***.content.0: Invalid `signature` in `thinking` block (request id: 2026)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 422, 429])
def test_a_rejected_signature_is_recognized(status: int, body: bytes) -> None:
    assert rejected_signature(status, body)


@pytest.mark.parametrize(
    "status, body",
    [
        (200, anthropic(INVALID)),
        (500, anthropic(INVALID)),
        (400, b""),
        (400, anthropic("messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`.")),
        (400, anthropic("`clear_thinking_20251015` strategy requires `thinking` to be enabled")),
        (400, anthropic("thinking: budget_tokens must be smaller than max_tokens")),
        (400, anthropic("max_tokens: Field required")),
        (400, b"\x00\xff" * 1000),
        (400, b"x" * 100_000 + anthropic(INVALID)),
        (401, anthropic("Invalid signature in token")),
    ],
)  # fmt: skip
def test_any_other_error_is_not(status: int, body: bytes) -> None:
    assert not rejected_signature(status, body)


THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "EqQB=="}
HIDDEN = {"type": "redacted_thinking", "data": "EmwK"}
SAID = {"type": "text", "text": "Hello ☃"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"type": "thinking"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}
MANUAL = {"type": "enabled", "budget_tokens": 1024}
ADAPTIVE = {"type": "adaptive"}
CLEAR = {"type": "clear_thinking_20251015", "keep": "all"}
CLEAR_TOOLS = {"type": "clear_tool_uses_20250919"}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def repaired(messages: list[Any], **others: Any) -> Any:
    """The request without thinking, parsed."""
    body = without_thinking(json.dumps({"model": "opus", "messages": messages, **others}).encode())
    return None if body is None else json.loads(body)


ASK = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    "messages, left",
    [
        ([ASK, assistant(THOUGHT, SAID), ASK], [ASK, assistant(SAID), ASK]),
        ([ASK, assistant(HIDDEN, THOUGHT, SAID, THOUGHT), ASK], [ASK, assistant(SAID), ASK]),
        ([ASK, assistant(THOUGHT, SAID, HIDDEN, CALL), user(RESULT), assistant(SAID), ASK],
         [ASK, assistant(SAID, CALL), user(RESULT), assistant(SAID), ASK]),
        # Nothing else in it: a turn may not be empty, and the API takes two turns of one side for one.
        ([ASK, assistant(THOUGHT), ASK], [ASK, ASK]),
        ([ASK, assistant(THOUGHT), ASK, assistant(HIDDEN), ASK], [ASK, ASK, ASK]),
        ([ASK, assistant(THOUGHT, SAID), assistant(THOUGHT)], [ASK, assistant(SAID)]),
        ([ASK, {"role": "system", "content": "s"}, assistant(THOUGHT, SAID), ASK],
         [ASK, {"role": "system", "content": "s"}, assistant(SAID), ASK]),
    ],
)  # fmt: skip
def test_thinking_is_left_out_and_no_turn_becomes_empty(messages: list[Any], left: list[Any]) -> None:
    assert repaired(messages, thinking=MANUAL) == {"model": "opus", "messages": left, "thinking": MANUAL}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [ASK],
        [ASK, {"role": "assistant", "content": "said"}, ASK],
        [ASK, assistant(SAID), ASK],
        [user({"type": "text", "text": json.dumps(THOUGHT)}, THOUGHT)],
        [assistant(CALL)],
        ["thinking", None, 7, {"role": "assistant"}, {"role": "assistant", "content": ["thinking", None]}],
    ],
)
def test_without_any_thinking_there_is_nothing_to_repair(messages: list[Any]) -> None:
    assert repaired(messages, thinking=MANUAL) is None


@pytest.mark.parametrize(
    "messages",
    [
        [ASK, assistant(THOUGHT, CALL), user(RESULT)],
        [ASK, assistant(THOUGHT, SAID, CALL), user(RESULT, SAID)],
        # Without interleaving only the first turn of a loop bears thinking.
        [ASK, assistant(THOUGHT, CALL), user(RESULT), assistant(CALL), user(RESULT)],
        [ASK, assistant(THOUGHT, CALL), user(RESULT), {"role": "system", "content": "s"}],
    ],
)
def test_in_a_tool_loop_manual_thinking_is_off_for_this_request(messages: list[Any]) -> None:
    left = repaired(messages, thinking=MANUAL, context_management={"edits": [CLEAR]}, max_tokens=5)
    assert set(left) == {"model", "messages", "max_tokens"}
    assert "signature" not in json.dumps(left)


def test_other_edits_of_the_context_stay() -> None:
    loop = [ASK, assistant(THOUGHT, CALL), user(RESULT)]
    left = repaired(loop, context_management={"edits": [CLEAR, CLEAR_TOOLS]}, thinking=MANUAL)
    assert left["context_management"] == {"edits": [CLEAR_TOOLS]}
    assert "thinking" not in left
    left = repaired(loop, context_management={"edits": [CLEAR_TOOLS]}, thinking=MANUAL)
    assert left["context_management"] == {"edits": [CLEAR_TOOLS]}


@pytest.mark.parametrize("thinking", [ADAPTIVE, {"type": "disabled"}, None])
def test_in_a_tool_loop_any_other_thinking_stays_as_it_is(thinking: Any) -> None:
    loop = [ASK, assistant(THOUGHT, CALL), user(RESULT)]
    edits = {"edits": [CLEAR]}
    assert repaired(loop, thinking=thinking, context_management=edits) == {
        "model": "opus",
        "messages": [ASK, assistant(CALL), user(RESULT)],
        "thinking": thinking,
        "context_management": edits,
    }


def test_a_tool_loop_that_has_lost_nothing_keeps_its_thinking() -> None:
    messages = [ASK, assistant(THOUGHT, SAID), ASK, assistant(CALL), user(RESULT)]
    assert repaired(messages, thinking=MANUAL)["thinking"] == MANUAL


def test_every_other_byte_stays() -> None:
    before = '{ "model" : "opus",\n"n":1.00, "messages":[ {"role":"user","content":"\\u00fc ü \\/"} ,\n'
    block = '{"type":"text", "text":"{\\"type\\":\\"thinking\\"}"}'
    raw = (
        f'{before}{{"content":[ {json.dumps(THOUGHT)} ,\n {block} , {json.dumps(HIDDEN)} ],"role":"assistant"}},'
        '{"role":"user","content":"x"}],"z":1E5 }\n'
    )
    left = f'{before}{{"content":[ {block} ],"role":"assistant"}},{{"role":"user","content":"x"}}],"z":1E5 }}\n'
    assert without_thinking(raw.encode()) == left.encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"messages":7}',
        b'{"messages":[',
        b'{"messages":[{"role":"assistant","content":[{"type":"thinking"}',
        b"\x28\xb5\x2f\xfd" + b"\x00" * 20,
        b"\x1f\x8b\x08",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"messages":' + b"[" * 100_000,
        # Nobody knows which of two a provider takes.
        b'{"messages":[],"messages":[{"role":"assistant","content":[{"type":"thinking"},{"type":"text"}]}]}',
    ],
)
def test_what_is_no_plain_request_is_left_alone(raw: bytes) -> None:
    assert without_thinking(raw) is None


BLOCKS = st.sampled_from([THOUGHT, HIDDEN, SAID, CALL, RESULT, None, "text", {}, {"type": ["thinking"]}])
MESSAGES = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["user", "assistant", "system", None]),
    st.lists(BLOCKS, min_size=1, max_size=4) | st.just("text"),
)


@given(
    st.lists(MESSAGES | st.none(), max_size=6),
    st.sampled_from([MANUAL, ADAPTIVE, None, "enabled"]),
    st.sampled_from([{"edits": [CLEAR]}, {"edits": [CLEAR, CLEAR_TOOLS]}, {"edits": 5}, None, []]),
)
def test_no_shape_raises_and_what_is_left_is_the_request_without_thinking(
    messages: list[Any], thinking: Any, context: Any
) -> None:
    request = {"model": "opus", "messages": messages, "context_management": context, "thinking": thinking}
    body = without_thinking(json.dumps(request).encode())
    expected = []
    for message in messages:
        if message is not None and message["role"] == "assistant" and isinstance(message["content"], list):
            kept = [block for block in message["content"] if block not in (THOUGHT, HIDDEN)]
            if kept:
                expected.append({**message, "content": kept})
        else:
            expected.append(message)
    if body is None:
        assert expected == messages
        return
    left = json.loads(body)
    assert left["messages"] == expected
    assert left.get("thinking", MANUAL) == thinking
    assert without_thinking(body) is None
