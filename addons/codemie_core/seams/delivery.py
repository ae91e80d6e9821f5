"""The way of a response to the client: gate, peek, commit, stream, keep-alive, cut.

The middle floor of the attempt machine (see attempts.py).
"""

from __future__ import annotations

import math
import time

from mitmproxy import flow as mflow
from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    HttpErrorHook,
    HttpResponseHeadersHook,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    SendHttp,
)

from codemie_core import policy
from codemie_core.decoding import stream_decoder
from codemie_core.exchange import Attempt, Exchange, Terminal
from codemie_core.gate import CommitGate, ErrorEvent, Gate
from codemie_core.policy import Failure, Reason
from codemie_core.seams.backpressure import backlog_of, is_held_up
from codemie_core.seams.client_stream import ClientStream
from codemie_core.seams.kept_body import KeptBody
from codemie_core.seams.responses import (
    is_event_stream,
    keepalive_frame,
    may_be_empty,
    needs_json,
    retry_after,
    takes_keepalive,
)

_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_READ = 64 * 1024
"""Bytes of an error that an addon gets to read: more than any provider says."""
_READ_PATIENCE = 5.0
"""Seconds that an error's body may take to arrive; what came until then has to do."""


class Delivery(ClientStream):
    """A response on its way."""

    attempt: Attempt

    def __init__(self, context: Context, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self.sent_on: Connection | None = None
        """The connection that carries the running attempt."""
        self.head: ResponseHeaders | None = None
        """Has arrived, and not yet gone to the client."""
        self.held: list[bytes] = []
        """Body held back with it."""
        self._ending: list[events.Event] = []
        """How a body held back whole went on: trailers, end."""
        self._gate: CommitGate | None = None
        self._keeps_body = False
        self._patience = 0.0
        self._last_byte = 0.0
        self._pings = b""
        self._tail = b""
        self._latest = self._before = b""

    def failed(self, failure: Failure) -> layer.CommandGenerator[None]:
        """The running attempt failed and nothing has reached the client."""
        raise NotImplementedError

    def abandon(self) -> layer.CommandGenerator[None]:
        """Cancel the running attempt and forget its response."""
        raise NotImplementedError

    def admit(self, head: ResponseHeaders) -> layer.CommandGenerator[None]:
        """The head is acceptable. Event streams go through the gate, errors that may be empty are peeked into."""
        response = head.response
        if needs_json(self.flow.request, response, head.end_stream):
            yield from self.answer_in_json(response.status_code)
        elif head.end_stream:
            yield from self.commit()
        elif response.status_code == 200 and is_event_stream(response):
            encoding = response.headers.get("content-encoding", "")
            self._gate = CommitGate(encoding, self.plan.gate_bytes)
            self.server_state = self.state_gate
        elif may_be_empty(self.flow.request, response):
            self.server_state = self.state_peek
        else:
            yield from self.commit()

    def release(self, head: ResponseHeaders) -> layer.CommandGenerator[None]:
        if not (self.held or self._ending):
            yield from self.admit(head)
        elif needs_json(self.flow.request, head.response, not self.held):
            yield from self.answer_in_json(head.response.status_code)
        else:
            yield from self.commit()  # an error event that opened a stream, or a body that was read

    def read_body(self, head: ResponseHeaders) -> layer.CommandGenerator[None]:
        """An addon wants to know what this response says before anybody decides about it."""
        if head.end_stream:
            yield from self.body_read()
        else:
            self.server_state = self.state_read_body
            yield from self.wait(_READ_PATIENCE)

    def state_read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, ResponseData):
            self.held.append(event.data)
            if sum(map(len, self.held)) < _READ:
                return
        else:
            self._ending.append(event)
            if not isinstance(event, ResponseEndOfMessage):
                return
            self.sent_on = None
        yield from self.body_read()

    def body_read(self) -> layer.CommandGenerator[None]:
        response = self.flow.response
        assert response is not None
        decoder = stream_decoder(response.headers.get("content-encoding", ""), _READ)
        self.attempt.body = decoder.feed(b"".join(self.held))[:_READ] if decoder else b""
        wait = retry_after(response.headers)
        yield from self.failed(Failure(Reason.STATUS, status=response.status_code, retry_after=wait))

    def state_gate(self, event: events.Event) -> layer.CommandGenerator[None]:
        if not isinstance(event, ResponseData):
            yield from self.commit()
            if self.committed:
                yield from self.server_state(event)
            return
        if not self.held:
            self.note_first_byte()
            yield from self.wait(self.plan.gate_time)
        self.held.append(event.data)
        assert self._gate is not None
        verdict = self._gate.feed(event.data)
        if isinstance(verdict, ErrorEvent):
            yield from self.failed(Failure(Reason.ERROR_EVENT, verdict.kind))
        elif verdict is Gate.OPEN:
            yield from self.commit()

    def state_peek(self, event: events.Event) -> layer.CommandGenerator[None]:
        assert self.flow.response is not None
        if isinstance(event, ResponseData):
            self.held.append(event.data)
            yield from self.commit()
        elif isinstance(event, ResponseEndOfMessage):
            self.sent_on = None
            yield from self.answer_in_json(self.flow.response.status_code)

    def commit(self) -> layer.CommandGenerator[None]:
        """From here on this response is the client's, and nothing is tried again."""
        head, held, ending = self.head, self.held, self._ending
        assert head is not None
        assert self.flow.response is not None
        assert self.exchange is not None
        self.held, self._ending, self._gate = [], [], None
        self.stop_waiting()
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.interrupted()):
            return
        self.committed = True
        self._keeps_body = self.context.options.store_streamed_bodies
        if self._keeps_body:
            self.response_body_buf = KeptBody()
        if self.flow.response.stream and not head.end_stream:
            yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response, False), self.context.client)
            self.server_state = self.state_stream_response_body
            yield from self._begin_idle_watch(self.exchange, self.flow.response)
        else:
            self.server_state = self.state_consume_response_body
        for data in held:
            yield from self.server_state(ResponseData(self.upstream_id, data))
        for event in ending:
            yield from self.server_state(event)

    def state_stream_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Pass chunks on as they come."""
        exchange = self.exchange
        if exchange is None:
            yield from super().state_stream_response_body(event)
        elif isinstance(event, ResponseData):
            if not exchange.response_bytes:
                self.note_first_byte()
            data = event.data
            exchange.response_bytes += len(data)
            exchange.chunks += 1
            if exchange.chunks == exchange.chunk_mark:
                exchange.mark()
            self._before, self._latest = self._latest, data
            self._last_byte = now = time.monotonic()
            self.due = now + self._patience
            if self._pings:
                tail = data[-4:]
                self._tail = tail if len(tail) == 4 else (self._tail + tail)[-4:]
            assert self.flow.response is not None
            if self.flow.response.stream is True and not self._keeps_body:
                yield SendHttp(ResponseData(self.stream_id, data), self.context.client)
            else:
                yield from super().state_stream_response_body(event)
        else:
            if isinstance(event, ResponseEndOfMessage):
                self.upstream_complete()
            yield from super().state_stream_response_body(event)

    def state_consume_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """An addon asked for the whole body: mitmproxy's own."""
        if self.exchange is not None and isinstance(event, ResponseEndOfMessage):
            self.upstream_complete()
        yield from super().state_consume_response_body(event)

    def _begin_idle_watch(self, exchange: Exchange, response: http.Response) -> layer.CommandGenerator[None]:
        plan = self.plan
        self._last_byte = time.monotonic()
        self._pings = keepalive_frame(exchange.api) if plan.keepalive and takes_keepalive(response) else b""
        idle = plan.idle_timeout or math.inf
        self._patience = min(plan.keepalive, idle) if self._pings else idle
        yield from self.wait(self._patience)

    def keep_alive(self) -> layer.CommandGenerator[None]:
        backlog = backlog_of(self.context.client)
        if is_held_up(self.context.client) or (backlog is not None and backlog.is_full(self.stream_id)):
            self._last_byte = time.monotonic()  # It is the client that does not read.
            yield from self.wait(self._patience)
            return
        silence = time.monotonic() - self._last_byte
        idle = self.plan.idle_timeout or math.inf
        if silence >= idle:
            yield from self.truncate(Reason.IDLE_TIMEOUT, "the upstream stopped sending")
            return
        if self._tail.endswith(_EVENT_ENDS):
            yield SendHttp(ResponseData(self.stream_id, self._pings), self.context.client)
        yield from self.wait(min(self._patience, idle - silence))

    def truncate(self, reason: Reason, message: str) -> layer.CommandGenerator[None]:
        """The response broke off after the client had part of it: pass the cut on, agents handle that best."""
        assert self.exchange is not None
        self.stop_waiting()
        if self.exchange.attempts:
            self.attempt.failure = Failure(reason)
        self.exchange.tail = self._before + self._latest
        self._keep_what_came()
        yield from self.cancel_upstream()
        self.exchange.end(Terminal.TRUNCATED, reason)
        self.client_state = self.server_state = self.state_errored
        self.flow.error = mflow.Error(message)
        yield HttpErrorHook(self.flow)
        cut = ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR)
        yield SendHttp(cut, self.context.client)
        yield from self.drop()

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> layer.CommandGenerator[None]:
        """The client's departure too: agents hang up over an error event before the upstream has ended its stream."""
        if self.exchange is not None:
            self.exchange.tail = self._before + self._latest
            self._keep_what_came()
        yield from super().handle_protocol_error(event)

    def _keep_what_came(self) -> None:
        """Of a stream that is cut, for whoever looks at it: mitmproxy keeps only those that end well."""
        if self._keeps_body and self.response_body_buf and self.flow.response is not None:
            self.flow.response.data.content = bytes(self.response_body_buf)
            self.response_body_buf.clear()

    def answer_in_json(self, status: int) -> layer.CommandGenerator[None]:
        """An error page or an empty error of the upstream, with its status, in the shape of the client's API."""
        failure = Failure(Reason.STATUS, status=status)
        self.attempt.failure = self.attempt.failure or failure
        assert self.flow.response is not None
        wait = retry_after(self.flow.response.headers)
        yield from self.abandon()
        problem = policy.problem_of(failure)
        yield from self.answer(policy.waiting(problem, wait), Terminal.UPSTREAM_ERROR)

    def note_first_byte(self) -> None:
        assert self.exchange is not None
        if self.attempt.first_byte_ms is None:
            self.attempt.first_byte_ms = self.attempt.elapsed_ms()
            self.exchange.first_byte_ms = self.exchange.elapsed_ms()

    def upstream_complete(self) -> None:
        assert self.exchange is not None
        self.sent_on = None
        self.exchange.tail = self._before + self._latest
        self.stop_waiting()
        self.attempt.ended_ms = self.attempt.elapsed_ms()
        self.exchange.last_byte_ms = self.exchange.elapsed_ms()
