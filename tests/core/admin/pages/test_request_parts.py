import json

from codemie_core.admin.pages.request_parts import pretty, read_conversation
from codemie_core.admin.payload import Answered, RequestPayload, Spoken

ASKED = {"model": "opus", "messages": [{"role": "user", "content": "Hello"}], "tools": [{"name": "Read"}]}
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
STREAM = (
    'event: content_block_start\ndata: {"type": "content_block_start", "index": 0, "content_block": '
    '{"type": "text"}}\n\n'
    f"event: content_block_delta\ndata: {json.dumps(TEXT)}\n\n"
)


def kept(request: str, response: str) -> RequestPayload:
    return RequestPayload(
        id="one",
        request=Spoken(headers={}, body=request, bytes=len(request)),
        response=Answered(headers={}, body=response, bytes=len(response), status=200),
    )


def test_what_was_kept_is_read_as_the_conversation_it_is() -> None:
    asking, answer = read_conversation("POST", "/v1/messages", kept(json.dumps(ASKED), STREAM))
    assert asking is not None
    assert asking.tools == ("Read",)
    assert [part.text for message in (*asking.messages, *answer) for part in message.parts] == ["Hello", "Hi"]


def test_a_request_without_its_middle_leaves_the_answer_readable() -> None:
    asking, answer = read_conversation("POST", "/v1/messages", kept('{"model": "op ... "}]}', STREAM))
    assert asking is None
    assert answer


def test_what_is_no_turn_of_a_model_is_no_conversation() -> None:
    assert read_conversation("GET", "/v1/models", kept("", "{}")) == (None, ())


def test_json_is_shown_with_a_line_for_each_member_and_anything_else_as_it_is() -> None:
    assert pretty('{"a":{"b":"ü"}}') == '{\n  "a": {\n    "b": "ü"\n  }\n}'
    assert pretty("event: ping") == "event: ping"
