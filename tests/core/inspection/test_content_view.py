"""The content view: what it takes for its own, and the whole page of an answer, out of real flows."""

import gzip
import json
from collections.abc import Iterable
from datetime import datetime

import pytest
from mitmproxy import contentviews, http, websocket
from mitmproxy.test import taddons, tflow
from wsproto.frame_protocol import Opcode

from codemie_core.demo.frames import sse
from codemie_core.inspection.content_view import NAME, ConversationView
from codemie_core.usage.usage import Usage
from support import talks
from support.looked_at import talked
from support.talks import TALKS, Talk, anthropic, chat, responses

EVERY_API = pytest.mark.parametrize("talk", TALKS, ids=[talk.api for talk in TALKS])


class Around:
    """What the view asks others."""

    def __init__(self, *later: http.HTTPFlow, nano_usd: int | None = 4_000_000) -> None:
        self.flows, self.nano_usd = later, nano_usd
        self.asked: list[tuple[str, str, Usage]] = []

    def later(self, flow: http.HTTPFlow) -> Iterable[http.HTTPFlow]:
        return self.flows

    def price(self, provider: str, model: str, usage: Usage, at: datetime) -> int | None:
        assert at.tzinfo is not None
        self.asked.append((provider, model, usage))
        return self.nano_usd


def view(around: Around | None = None) -> ConversationView:
    around = around or Around()
    return ConversationView(around.later, around.price)


def shown(flow: http.HTTPFlow, around: Around | None = None, message: http.Message | None = None) -> str:
    message = message or flow.response
    assert message is not None
    return view(around).prettify(message.raw_content or b"", contentviews.Metadata(flow, http_message=message))


def priority(flow: http.HTTPFlow, message: http.Message | websocket.WebSocketMessage | None, data: bytes) -> float:
    metadata = contentviews.Metadata(flow)
    if isinstance(message, http.Message):
        metadata.http_message = message
    else:
        metadata.websocket_message = message
    return view().render_priority(data, metadata)


def test_the_whole_page_of_an_answer() -> None:
    flow = talked(anthropic())
    flow.metadata.update(
        {
            "codemie.agent": "claude",
            "codemie.session_id": "49122596-5ef2-50ce-a150-00c5aba7fc71",
            "codemie.conversation_id": talks.CONVERSATION,
            "codemie.account": "main",
            "codemie.account_why": "the conversation has been with it",
            "codemie.attempts": ["spare: 429 status", "main: 200"],
            "codemie.ending": "complete",
            "codemie.first_token_ms": 612.0,
            "codemie.total_ms": 3210.0,
        }
    )
    around = Around(talked(anthropic(), following=True))
    assert (
        shown(flow, around).replace("\n \n", "\n\n")
        == f"""\
model         claude-opus-4-5
stopped       tool_use
tokens        1,512 read (1,500 from cache), 40 written
cost          $0.0040
agent         claude
session       49122596-5ef2-50ce-a150-00c5aba7fc71
conversation  talk-1
account       main: the conversation has been with it
attempt 1     spare: 429 status
attempt 2     main: 200
ended         complete
time          first token after 612 ms, 3.2 s in all

(2 earlier messages: see the request)

== assistant ==
[call] Read toolu_1
  path: cart.py
[result] toolu_1 went well
  def total(items):
      return sum(items)

== assistant ==
[thinking]
  {talks.THOUGHT}
[text]
  {talks.SAID}
[call] Bash toolu_2
  command:
    pytest -x
    git status
[result] toolu_2 failed
  {talks.CAME_BACK}
"""
    )
    [(provider, model, usage)] = around.asked
    assert (provider, model, usage.output) == ("anthropic", "claude-opus-4-5", 40)


@EVERY_API
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_an_answer_of_every_api_compressed_or_not(talk: Talk, encoding: str) -> None:
    flow = talked(talk)
    assert flow.response is not None
    plain = shown(flow)
    if encoding:
        flow.response.raw_content = gzip.compress(flow.response.raw_content or b"")
        flow.response.headers["content-encoding"] = encoding
    assert shown(flow) == plain
    for words in (talk.stopped, talk.tokens, "$0.0040", talks.THOUGHT, talks.SAID, "[call] Bash", "    git status"):
        assert words in plain
    assert priority(flow, flow.response, flow.response.raw_content or b"") > 1


@EVERY_API
def test_a_request_of_every_api(talk: Talk) -> None:
    flow = talked(talk, answered=False)
    text = shown(flow, message=flow.request)
    for words in ("answer", "streamed", talks.ORDERS, talks.ASKED, "[call] Read", "    return sum(items)"):
        assert words in text
    assert priority(flow, flow.request, flow.request.raw_content or b"") > 1


@EVERY_API
def test_the_results_are_found_among_other_requests_of_the_conversation(talk: Talk) -> None:
    other = talked(talk)  # told before this answer
    assert talks.CAME_BACK in shown(talked(talk), Around(other, talked(talk, following=True)))
    assert talks.CAME_BACK not in shown(talked(talk), Around(other, other))


def test_compressed_requests_are_looked_into_for_results() -> None:
    later = talked(anthropic(), following=True)
    later.request.raw_content = gzip.compress(later.request.raw_content or b"")
    later.request.headers["content-encoding"] = "gzip"
    assert talks.CAME_BACK in shown(talked(anthropic()), Around(later))


def test_a_gzip_stream_that_was_cut_is_shown_as_far_as_it_goes() -> None:
    flow = talked(anthropic())
    assert flow.response is not None
    packed = gzip.compress(flow.response.raw_content or b"")
    flow.response.raw_content = packed[: len(packed) * 3 // 4]
    flow.response.headers["content-encoding"] = "gzip"
    with taddons.context() as tctx:
        assert tctx.options.protobuf_definitions is None
        text = contentviews.prettify_message(flow.response, flow, NAME, _registry()).text
    assert talks.THOUGHT in text
    assert "its end is missing" in text


def _registry() -> contentviews.ContentviewRegistry:
    registry = contentviews.ContentviewRegistry()
    registry.register(view())
    return registry


def test_what_was_metered_is_not_priced_again() -> None:
    flow, around = talked(anthropic()), Around()
    flow.metadata.update({"codemie.turns": 1, "codemie.nano_usd": 7_000_000_000, "codemie.unpriced": 0})
    assert "cost     $7.00" in shown(flow, around)
    assert around.asked == []


def test_an_unknown_price_is_unknown() -> None:
    assert "cost     ?" in shown(talked(anthropic()), Around(nano_usd=None))


@pytest.mark.parametrize(
    "path, status, content",
    [
        ("/v1/models", 200, b'{"data": []}'),
        ("/v1/messages/count_tokens", 200, b'{"input_tokens": 1}'),
        ("/v1/messages", 529, b'{"type": "error"}'),
        ("/v1/messages", 200, b"<html>"),
        ("/v1/messages", 200, b""),
    ],
)
def test_what_is_no_turn_is_left_to_others(path: str, status: int, content: bytes) -> None:
    flow = talked(anthropic())
    assert flow.response is not None
    flow.request.path, flow.response.status_code = path, status
    assert priority(flow, flow.response, content) < 0


def test_asked_for_what_it_cannot_show_it_says_so() -> None:
    flow = talked(anthropic())
    flow.request.path = "/v1/models"
    with pytest.raises(ValueError, match="not a request to a model API"):
        shown(flow)
    flow = talked(anthropic())
    flow.request.raw_content = b"<html>"
    with pytest.raises(ValueError, match="no request to a model"):
        shown(flow, message=flow.request)
    assert flow.response is not None
    flow.response.raw_content = b"<html>"
    with pytest.raises(ValueError, match="no answer of a model"):
        shown(flow)
    assert view().render_priority(b"{}", contentviews.Metadata(tflow.ttcpflow())) < 0


def test_an_answer_without_words_still_shows_what_it_cost() -> None:
    flow = talked(chat())
    assert flow.response is not None
    flow.response.raw_content = b'data: {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}}\n\n'
    assert "5 read, 0 written" in shown(flow)


def message(body: object, from_client: bool) -> tuple[http.HTTPFlow, websocket.WebSocketMessage]:
    flow = tflow.twebsocketflow()
    flow.request.method, flow.request.path = "GET", "/v1/responses"
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return flow, websocket.WebSocketMessage(Opcode.TEXT, from_client, content)


def socket_page(flow: http.HTTPFlow, told: websocket.WebSocketMessage) -> str:
    return view().prettify(told.content, contentviews.Metadata(flow, websocket_message=told))


def test_a_message_that_asks_for_a_turn_is_a_request() -> None:
    flow, told = message({"type": "response.create", **responses().request}, True)
    assert priority(flow, told, told.content) > 1
    text = socket_page(flow, told)
    assert talks.ASKED in text
    assert "[call] Read call_1" in text


def test_the_last_message_of_an_answer_is_the_answer() -> None:
    last = json.loads(responses().events[-1].partition(b"data: ")[2])
    flow, told = message(last, False)
    assert priority(flow, told, told.content) > 1
    text = socket_page(flow, told)
    for words in ("completed", responses().tokens, talks.THOUGHT, talks.SAID, "[call] Bash call_2"):
        assert words in text


@pytest.mark.parametrize(
    "body, from_client",
    [
        ({"type": "response.output_text.delta", "delta": "x"}, False),
        ({"type": "session.update"}, True),
        ({"type": "response.completed"}, True),
        (b"\xff\x00", False),
    ],
)
def test_other_messages_are_left_to_others(body: object, from_client: bool) -> None:
    flow, told = message(body, from_client)
    if body != {"type": "response.completed"}:
        assert priority(flow, told, told.content) < 0
    with pytest.raises(ValueError, match=r"asks for no turn|only the last message"):
        socket_page(flow, told)


def test_the_command_shows_request_and_answer_once() -> None:
    flow = talked(anthropic())
    text = view().both(flow)
    assert text.count(talks.ASKED) == text.count(talks.SAID) == text.count("conversation") + 1 == 1
    flow.response = None
    assert talks.ASKED in view().both(flow)


def test_no_line_is_quite_empty_because_mitmweb_shows_nothing_then() -> None:
    flow = talked(anthropic(), answered=False)
    flow.request.raw_content = json.dumps({"messages": [{"role": "user", "content": "a\n\n\n\nb"}]}).encode()
    text = shown(flow, message=flow.request)
    assert "\n\n" not in text
    assert "  a\n \n \n \n  b\n" in text


def test_an_endless_answer_is_shown_by_its_beginning_and_its_end() -> None:
    flow = talked(anthropic())
    assert flow.response is not None
    piece = {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "more "}}
    events = anthropic().events
    body = b"".join(events[:8]) + sse(json.dumps(piece)) * 15_000 + b"".join(events[8:])
    flow.response.raw_content = body
    text = shown(flow)
    assert f"the beginning and the end of {len(body):,} bytes" in text
    for words in (anthropic().tokens, anthropic().stopped, talks.THOUGHT, talks.SAID, "[call] Bash"):
        assert words in text
    assert "the beginning" not in shown(talked(anthropic()))
