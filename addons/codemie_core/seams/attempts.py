"""The attempt machine: several upstream attempts within one flow, streaming all the way.

mitmproxy tries an upstream once, waits for ever and answers a failure with HTML. This subclass of its `HttpStream`
(looked up by name in `HttpLayer.make_stream`, so replacing that one module attribute serves every mode) adds attempts,
deadlines, a commit gate, keep-alives and JSON errors. It acts on exchanges that have a plan and leaves all others to
mitmproxy. What happens in which state:

    connecting -> waiting for the head -> gate (event streams) or peek (errors that may be empty) -> streaming -> done
         ^                 |                 |
         +--- back-off <---+-----------------+   until the head has gone to the client

Three things to know before touching it:

- A command may be answered before `yield` returns (HttpLayer calls back at once when a connection is there), so a dial
  is always the last thing a generator does.
- During a hook the layer is paused and its events queue up: `interrupted` looks into that queue.
- Every further attempt talks to the server under an alias stream id, so that late events of the abandoned one are
  recognized and ignored.
"""

from __future__ import annotations

import itertools
import logging
import math
import time

from mitmproxy.connection import Connection, Server
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    GetHttpConnectionCompleted,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
    SendHttp,
)

from codemie_core import policy
from codemie_core.containment import Mishap
from codemie_core.errors import Problem
from codemie_core.exchange import Exchange, Terminal
from codemie_core.policy import Answer, Failure, Reason, Release, Retry
from codemie_core.seams.attempt_hooks import upstream_failed, upstream_response
from codemie_core.seams.backpressure import backlog_of
from codemie_core.seams.delivery import Delivery
from codemie_core.seams.dialing import Dial, begin_dial, forget_given_up, give_up_dial, outermost, why_not_connected
from codemie_core.seams.responses import retry_after, why_broken
from codemie_core.seams.ticker import Tick
from codemie_core.seams.wire_copy import wire_request, wire_trailers

logger = logging.getLogger(__name__)

_RESPONSE_EVENTS = frozenset(
    {ResponseHeaders, ResponseData, ResponseTrailers, ResponseEndOfMessage, ResponseProtocolError}
)

_OUR_FAULT = Problem(
    502, "proxy_failed", "The proxy itself failed over this request. Its log says how; trying again may help."
)

_HELD_BACK = Problem(
    502,
    "credential_held_back",
    "The account's credential may not go where this request is going, and without it nothing is sent. "
    "Plain http through another proxy is one such way.",
)

_alias_ids = itertools.count(2**40)
"""Far above every stream id that HTTP/1 or HTTP/2 hands out."""


class AttemptStream(Delivery):
    """One request of a client, with as many upstream attempts as it takes."""

    def __init__(self, context: Context, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self._dial: Dial | None = None
        self._client_via: ServerSpec | None = None
        """The proxy that the client's mode, or an addon, has put before the server."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        # No generator itself: every chunk of every stream comes through here.
        if self.exchange is None:
            return self._ignore() if type(event) is Tick else super()._handle_event(event)
        if type(event) is ResponseData and self.committed and event.stream_id == self.upstream_id:
            chunk: layer.CommandGenerator[None] = self.server_state(event)
            return chunk
        return self._guarded(event)

    def _guarded(self, event: events.Event) -> layer.CommandGenerator[None]:
        """An exception in here would leave the client waiting for ever: mitmproxy logs it and forgets the stream."""
        try:
            yield from self._drive(event)
        except Exception as error:
            logger.error(
                "The attempt machine failed on a %s", Mishap.of("", type(event).__name__, error, self.flow).text
            )
            yield from self._rescue()

    def _rescue(self) -> layer.CommandGenerator[None]:
        self.stop_waiting()
        yield from self.cancel_upstream()
        if self.committed or self.client_state != self.state_done:
            yield from self.truncate(Reason.RESET, "the proxy failed")
        else:
            yield from self.answer(_OUR_FAULT, Terminal.UPSTREAM_ERROR)

    def _drive(self, event: events.Event) -> layer.CommandGenerator[None]:
        kind = type(event)
        if kind in _RESPONSE_EVENTS:
            assert isinstance(event, http_layers.HttpEvent)
            if event.stream_id != self.upstream_id:
                return
            if isinstance(event, ResponseProtocolError):
                yield from self._upstream_broke(event)
            else:
                yield from self.server_state(event)
        elif isinstance(event, GetHttpConnectionCompleted):
            yield from self._dialed(event)
        elif kind is Tick:
            yield from self._on_tick()
        else:
            yield from super()._handle_event(event)

    def _ignore(self) -> layer.CommandGenerator[None]:
        yield from ()

    def begin(self, exchange: Exchange) -> layer.CommandGenerator[None]:
        request = self.flow.request
        self.attempt = exchange.begin_attempt(request.host, request.port)
        self.server_state = self.state_connecting
        known = self.flow.server_conn
        if self.attempt.number == 1:  # Later it is the former attempt's, which may have had a way of its own.
            self._client_via = known.via
        proxy = self.plan.egress.via(request.scheme, request.host, request.port)
        dial = self._dial = Dial(
            (request.host, request.port),
            request.scheme == "https",
            proxy.address if proxy else self._client_via,
            known.transport_protocol,
        )
        yield from self.wait(self.plan.connect_timeout)
        yield from begin_dial(self.parent, self, dial)

    def _dialed(self, event: GetHttpConnectionCompleted) -> layer.CommandGenerator[None]:
        dial = self._dial
        if dial is None or event.command is not dial:
            forget_given_up(self.parent)
            return
        self._dial = None
        connection, error = event.reply
        if connection is None:
            yield from self.failed(why_not_connected(self.parent, dial, error or ""))
            return
        assert isinstance(connection, Server)
        self.context.server = self.flow.server_conn = connection
        elapsed = self.attempt.elapsed_ms()
        self.attempt.connected_ms = elapsed
        opened = connection.timestamp_start or math.inf
        self.attempt.reused_connection = opened < time.time() - elapsed / 1000
        yield from self._send(connection)

    def _send(self, connection: Server) -> layer.CommandGenerator[None]:
        request = self.flow.request
        assert self.exchange is not None
        withheld = self.exchange.withheld
        wire, held_back = wire_request(request, self.exchange.credentials, connection, withheld)
        self.attempt.held_back = len(held_back)
        self.exchange.held_back += len(held_back)
        if any(credential.required for credential in held_back):
            self.attempt.final = Answer(_HELD_BACK)
            yield from self.failed(Failure(Reason.REJECTED, "its credential may not go there"))
            return
        content, number = request.raw_content, self.upstream_id
        trailers = wire_trailers(request, self.exchange.credentials, withheld)
        self.sent_on = connection
        self._watch_backlog(connection)
        self.server_state = self.state_wait_for_response_headers
        yield from self.wait(self.plan.first_byte_timeout)
        yield SendHttp(RequestHeaders(number, wire, not (content or trailers)), connection)
        if content:
            yield SendHttp(RequestData(number, content), connection)
        if trailers and connection.alpn == b"h2":  # mitmproxy cannot write them in HTTP/1; they may be dropped
            yield SendHttp(RequestTrailers(number, trailers), connection)
        yield SendHttp(RequestEndOfMessage(number), connection)

    def _watch_backlog(self, connection: Connection) -> None:
        backlog = backlog_of(self.context.client)
        if backlog is not None and connection.alpn != b"h2":
            # mitmproxy uses such a connection for one request only, so its entry goes when the connection does.
            backlog.readers[outermost(self.parent, connection)] = self.stream_id

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        """A head has arrived: may it be the one for the client?"""
        if self.exchange is None:
            yield from super().state_wait_for_response_headers(event)
            return
        self.head = event
        response = self.flow.response = event.response
        self.attempt.status = response.status_code
        self.attempt.head_ms = self.attempt.elapsed_ms()
        try:
            if self.context.options.validate_inbound_headers:
                validate_headers(response)
        except ValueError as problem:
            # After the colon mitmproxy quotes the head.
            yield from self.failed(Failure(Reason.BAD_HEAD, str(problem).partition(":")[0]))
            return
        yield from upstream_response(self.flow, self.attempt)
        if (yield from self.interrupted()):
            return
        wait = retry_after(response.headers)
        if self.attempt.rejected:
            yield from self.failed(Failure(Reason.REJECTED, self.attempt.rejected, retry_after=wait))
            return
        if self.attempt.wants_body:
            yield from self.read_body(event)
            return
        failure = Failure(Reason.STATUS, status=response.status_code, retry_after=wait)
        if policy.retried_by_default(self.plan, failure):
            yield from self.failed(failure)
        else:
            yield from self.admit(event)

    def failed(self, failure: Failure) -> layer.CommandGenerator[None]:
        """The running attempt failed and nothing has reached the client: try again, release or answer."""
        exchange, attempt = self.exchange, self.attempt
        assert exchange is not None
        self.stop_waiting()
        number, plan = attempt.number, self.plan
        failure = policy.on_connection(failure, attempt.reused_connection)
        attempt.failure, attempt.ended_ms = failure, attempt.elapsed_ms()
        elapsed = time.monotonic() - exchange.attempts[0].began
        attempt.decision = attempt.decision or policy.decide(plan, failure, number, elapsed)
        yield from upstream_failed(self.flow, attempt)
        if (yield from self.interrupted()):
            return
        decision = attempt.final or policy.bounded(plan, attempt.decision, failure, number, elapsed)
        attempt.decision = decision
        if isinstance(decision, Release) and self.head is not None:
            yield from self.release(self.head)
        elif isinstance(decision, Retry):
            yield from self.abandon()
            if decision.after > 0:
                self.server_state = self.state_backing_off
                yield from self.wait(decision.after)
            else:
                yield from self.begin(exchange)
        else:
            yield from self.abandon()
            answer = decision.response if isinstance(decision, Answer) else policy.problem_of(failure)
            yield from self.answer(answer, Terminal.UPSTREAM_ERROR)

    def abandon(self) -> layer.CommandGenerator[None]:
        """Cancel the running attempt at the upstream and forget its response."""
        yield from self.cancel_upstream()
        if self.upstream_id != self.stream_id:
            yield from self.drop_alias()
        self.upstream_id = next(_alias_ids)
        if backlog := backlog_of(self.context.client):
            backlog.aliases[self.upstream_id] = self.stream_id
        self.parent.streams[self.upstream_id] = self
        self.head, self.held, self._ending, self._gate = None, [], [], None
        self.flow.response = self.flow.error = None

    def cancel_upstream(self) -> layer.CommandGenerator[None]:
        connection, self.sent_on = self.sent_on, None
        if connection is not None:
            yield SendHttp(RequestProtocolError(self.upstream_id, "given up", ErrorCode.CANCEL), connection)
        if self._dial is not None:
            dial, self._dial = self._dial, None
            yield from give_up_dial(self.parent, dial)

    def _upstream_broke(self, event: ResponseProtocolError) -> layer.CommandGenerator[None]:
        if self.server_state in (self.state_done, self.state_errored):
            return
        self.sent_on = None
        if not self.committed:
            yield from self.failed(why_broken(event.message))
        else:
            yield from self.truncate(Reason.RESET, event.message)

    def _on_tick(self) -> layer.CommandGenerator[None]:
        if time.monotonic() < self.due:
            return  # It came late, after a hook, and whoever moved the deadline meanwhile has asked for another.
        if self.server_state == self.state_connecting:
            yield from self.cancel_upstream()
            yield from self.failed(Failure(Reason.CONNECT_TIMEOUT))
        elif self.server_state == self.state_backing_off:
            assert self.exchange is not None
            yield from self.begin(self.exchange)
        elif self.server_state == self.state_stream_response_body:
            yield from self.keep_alive()
        elif self.server_state == self.state_gate and self.held:
            yield from self.commit()
        elif self.server_state == self.state_read_body:
            yield from self.body_read()
        else:
            yield from self.failed(Failure(Reason.FIRST_BYTE_TIMEOUT))

    def state_connecting(self, _: events.Event) -> layer.CommandGenerator[None]:
        yield from ()

    def state_backing_off(self, _: events.Event) -> layer.CommandGenerator[None]:
        yield from ()
