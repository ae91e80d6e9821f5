"""The content view "Conversation" of mitmweb and of mitmproxy's console: a body as what was said in it.

mitmproxy asks for it in its event loop, when somebody looks: what is read is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from mitmproxy import contentviews, http, websocket

from codemie_core.inspection.bodies import MOST, decoded, shortened
from codemie_core.inspection.conversation import answering_in, answering_of, asking_of
from codemie_core.inspection.facts import KEPT, answer_rows, facts_of, facts_rows
from codemie_core.inspection.page import asking_lines, message_lines, page, results_for, turn_lines
from codemie_core.inspection.talk import Asking, Kind, Message, Part
from codemie_core.json_text import loads
from codemie_core.usage.answer import Answer
from codemie_core.usage.apis import model_api
from codemie_core.usage.json_values import table, text
from codemie_core.usage.providers import provider_of
from codemie_core.usage.responses import LAST_EVENTS, event_type
from codemie_core.usage.stream import StreamMeter
from codemie_core.usage.usage import Usage

NAME = "Conversation"
MOST_LATER = 3
"""Later requests that are read to find the results of tools."""
_OURS = 2.0
"""JSON's own view says 1."""
_NOT_OURS = -1.0
_BEGINNINGS = b"{[edir:\xef"
_EMPTY_LINE = re.compile(r"\n(?=\n)")
_SAID_BY_CLIENT = "response.create"

type Later = Callable[[http.HTTPFlow], Iterable[http.HTTPFlow]]
"""The requests of the same conversation that came after this one."""
type Price = Callable[[str, str, Usage, datetime], int | None]
"""Nano-USD, for the provider, the model, what it used, and when; None while that is not known."""


class ConversationView(contentviews.Contentview):
    """One for all flows."""

    def __init__(self, later: Later, price: Price) -> None:
        self._later, self._price = later, price
        self.at_work = True

    @property
    def name(self) -> str:
        return NAME

    @property
    def syntax_highlight(self) -> contentviews.SyntaxHighlight:
        return "none"

    def render_priority(self, data: bytes, metadata: contentviews.Metadata) -> float:
        """First for what asks a model or answers for one; never for errors, which say best themselves what is wrong."""
        flow, message = metadata.flow, metadata.http_message or metadata.websocket_message
        if not (self.at_work and data and isinstance(flow, http.HTTPFlow) and _api(flow)):
            return _NOT_OURS
        if isinstance(message, websocket.WebSocketMessage):
            kind = event_type(data.decode("utf-8", "replace"))
            return _OURS if kind == _SAID_BY_CLIENT or kind in LAST_EVENTS else _NOT_OURS
        if message is None or (isinstance(message, http.Response) and message.status_code >= 300):
            return _NOT_OURS
        readable = data.lstrip()[:1] in _BEGINNINGS or "content-encoding" in message.headers
        return _OURS if readable else _NOT_OURS

    def prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        """The page. ValueError for a body that no model asks or answers with."""
        # mitmweb shows nothing at all for an empty line.
        return _EMPTY_LINE.sub("\n ", self._prettify(data, metadata))

    def _prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        flow = metadata.flow
        if not isinstance(flow, http.HTTPFlow) or not _api(flow):
            raise ValueError("this is not a request to a model API")
        if metadata.websocket_message is not None:
            return _socket_page(flow, metadata.websocket_message, data)
        if metadata.http_message is flow.response and flow.response is not None:
            return self._answer_page(flow, flow.response, data)
        return _asking_page(flow)

    def both(self, flow: http.HTTPFlow) -> str:
        """A request and its answer on one page. ValueError where there is no conversation in them."""
        response = flow.response
        if response is None or not response.raw_content or response.status_code >= 300:
            return _asking_page(flow)
        return self._answer_page(flow, response, response.raw_content, whole=True)

    def _answer_page(self, flow: http.HTTPFlow, response: http.Response, data: bytes, whole: bool = False) -> str:
        """`whole`: with all of the request, not only what the answer answers."""
        api, facts = _api(flow), facts_of(flow.metadata)
        body = decoded(response.raw_content or b"", response.headers.get("content-encoding", ""))
        whole_body = data[:MOST] if body is None else body
        body = shortened(whole_body)
        meter = StreamMeter(api, lambda: 0.0)
        meter.begin(response.headers.get("content-type", ""))
        meter(body)
        counted, answer, asking = meter.finish(), answering_of(api, body), _asking(flow)
        if not answer and counted == Answer():
            raise ValueError("no answer of a model is in it")
        asked = asking.model if asking is not None else ""
        nano_usd = facts.nano_usd if facts.turns else self._cost(flow, api, counted, asked)
        rows = [*answer_rows(counted, asked, nano_usd), *facts_rows(facts), ("kept", text(flow.metadata.get(KEPT)))]
        if body is not whole_body:
            rows.append(("shown", f"the beginning and the end of {len(whole_body):,} bytes"))
        results = self._results(flow, answer)
        if whole and asking is not None:
            return page(rows, asking_lines(asking), turn_lines(None, answer, results))
        return page(rows, turn_lines(asking, answer, results))

    def _cost(self, flow: http.HTTPFlow, api: str, answer: Answer, asked: str) -> int | None:
        model = answer.model or asked
        at = datetime.fromtimestamp(flow.timestamp_created, UTC)
        return self._price(provider_of(flow.request.host, api, model), model, answer.usage, at)

    def _results(self, flow: http.HTTPFlow, answer: tuple[Message, ...]) -> tuple[Part, ...]:
        """What the calls of this answer brought, as the next requests tell it."""
        calls = [part for message in answer for part in message.parts if part.kind is Kind.CALL]
        found: tuple[Part, ...] = ()
        looked = 0
        for later in self._later(flow) if calls else ():
            if not _may_tell(later.request, calls):
                continue
            asking = _asking(later)
            found += results_for(answer, asking) if asking is not None else ()
            looked += 1
            if len(found) >= len(calls) or looked >= MOST_LATER:
                break
        return found


def _asking_page(flow: http.HTTPFlow) -> str:
    asking = _asking(flow)
    if asking is None:
        raise ValueError("no request to a model is in it")
    rows = [("model", asking.model), ("answer", "streamed" if asking.stream else "as a whole")]
    return page([*rows, *facts_rows(facts_of(flow.metadata))], asking_lines(asking))


def _socket_page(flow: http.HTTPFlow, message: websocket.WebSocketMessage, data: bytes) -> str:
    api, body = _api(flow), table(loads(data))
    kind = text(body.get("type"))
    if message.from_client:
        asking = asking_of(api, flow.request.path, body)
        if asking is None or kind != _SAID_BY_CLIENT:
            raise ValueError("this message asks for no turn")
        return page([("model", asking.model)], asking_lines(asking))
    if kind not in LAST_EVENTS:
        raise ValueError("only the last message of an answer holds all of it")
    meter = StreamMeter(api, lambda: 0.0)
    counted = meter.message(data) or Answer()
    return page(list(answer_rows(counted, "", None)), message_lines(answering_in(api, kind, body)))


def _asking(flow: http.HTTPFlow) -> Asking | None:
    request = flow.request
    body = decoded(request.raw_content or b"", request.headers.get("content-encoding", ""))
    return asking_of(_api(flow), request.path, loads(body)) if body else None


def _api(flow: http.HTTPFlow) -> str:
    return model_api(flow.request.method, flow.request.path)


def _may_tell(request: http.Request, calls: list[Part]) -> bool:
    """Reading a request takes a while; that an id is not in it is seen at once."""
    raw = request.raw_content or b""
    named = [call.id.encode() for call in calls if call.id]
    return not named or "content-encoding" in request.headers or any(id_ in raw for id_ in named)
