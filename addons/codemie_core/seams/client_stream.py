"""The client's side of a request: reading it, answering it, waiting for it, ending it.

The lowest floor of the attempt machine (see attempts.py). It acts once `exchange` is set and is mitmproxy's own
`HttpStream` until then.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property

from mitmproxy import flow as mflow
from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    DropStream,
    ErrorCode,
    HttpErrorHook,
    HttpLayer,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpStream,
    RequestData,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseProtocolError,
    SendHttp,
)
from mitmproxy.proxy.mode_specs import ReverseMode

from codemie_core.errors import Problem
from codemie_core.exchange import BOOK, Exchange, Terminal
from codemie_core.policy import AttemptPlan, ReadyResponse
from codemie_core.seams.backpressure import backlog_of
from codemie_core.seams.kept_body import KeptBody
from codemie_core.seams.responses import ready_response
from codemie_core.seams.ticker import Tick, Ticker, ticker_of
from codemie_core.seams.tunnel import Gated, make_tunnel, ordered_tunnel, unreachable


class ClientStream(Gated, HttpStream):
    """One request of a client."""

    due: float = math.inf
    """When the ticker shall wake us, on the monotonic clock."""
    exchange: Exchange | None = None
    """Set once the request head has been seen and the exchange has a plan: from then on the machine drives."""

    def __init__(self, context: Context, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self.upstream_id = stream_id
        """The id under which the running attempt talks to the server."""
        self.committed = False
        """The response head has gone to the client: nothing is tried again."""

    @cached_property
    def parent(self) -> HttpLayer:
        """The HTTP layer of the client connection."""
        parent = self.context.layers[self.context.layers.index(self) - 1]
        assert isinstance(parent, HttpLayer)
        return parent

    @property
    def plan(self) -> AttemptPlan:
        """The policy of this exchange."""
        assert self.exchange is not None
        assert self.exchange.plan is not None
        return self.exchange.plan

    def begin(self, exchange: Exchange) -> layer.CommandGenerator[None]:
        """The request is complete: go to the upstream."""
        raise NotImplementedError

    def cancel_upstream(self) -> layer.CommandGenerator[None]:
        """Stop whatever runs at the upstream for this request."""
        raise NotImplementedError

    def state_wait_for_request_headers(self, event: RequestHeaders) -> layer.CommandGenerator[None]:
        """mitmproxy's own, then take over if an addon made a plan."""
        if isinstance(self.context.client.proxy_mode, ReverseMode):
            # mitmproxy is about to put the upstream's name there; a page that rebinds its own is told by this one.
            BOOK.note_asked_host(event.request, event.request.host_header or "")
        yield from super().state_wait_for_request_headers(event)
        exchange = BOOK.known(self.flow)
        reading = self.client_state == self.state_consume_request_body
        if exchange is not None and exchange.plan is not None and reading:
            self.exchange = exchange

    def handle_connect_regular(self) -> layer.CommandGenerator[None]:
        """mitmproxy's own, but for a tunnel that nobody is to look into."""
        yield from self._connect(super().handle_connect_regular)

    def handle_connect_upstream(self) -> layer.CommandGenerator[None]:
        """The same before another proxy."""
        yield from self._connect(super().handle_connect_upstream)

    def _connect(self, usual: Callable[[], layer.CommandGenerator[None]]) -> layer.CommandGenerator[None]:
        order, server = ordered_tunnel(self.flow), self.context.server
        if order is None or self.flow.response is not None or (order.opened and server.via is not None):
            yield from usual()
            return
        if order.via is None and server.via is None and (error := (yield commands.OpenConnection(server))):
            self.flow.response = unreachable(server, error)
        self.child_layer = make_tunnel(self.context, order)
        finish: Callable[[], layer.CommandGenerator[None]] = self.handle_connect_finish
        yield from finish()

    def start_request_stream(self) -> layer.CommandGenerator[None]:
        """mitmproxy's own, for what is not ours; what it keeps to look at is bounded, as everywhere."""
        exchange = BOOK.known(self.flow)
        if exchange is not None and exchange.plan is not None:
            # Whoever wants it to, it may not leave as it is: an account is chosen and keys are taken off later.
            self.client_state = self.state_consume_request_body
            return
        if self.context.options.store_streamed_bodies:
            self.request_body_buf = KeptBody()
        yield from super().start_request_stream()

    def start_response_stream(self) -> layer.CommandGenerator[None]:
        """The same for the response."""
        if self.context.options.store_streamed_bodies:
            self.response_body_buf = KeptBody()
        yield from super().start_response_stream()

    def state_consume_request_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Collect the body up to the plan's cap; beyond it only count, so that a client can finish sending."""
        if self.exchange is None:
            yield from super().state_consume_request_body(event)
        elif isinstance(event, RequestData):
            self.exchange.request_bytes += len(event.data)
            if self.exchange.request_bytes <= self.plan.max_request_bytes:
                self.request_body_buf += event.data
            else:
                self.request_body_buf.clear()
        elif isinstance(event, RequestTrailers):
            self.flow.request.trailers = event.trailers
        else:
            yield from self._request_complete(self.exchange)

    def _request_complete(self, exchange: Exchange) -> layer.CommandGenerator[None]:
        flow = self.flow
        flow.request.timestamp_end = time.time()
        flow.request.data.content = bytes(self.request_body_buf)
        self.request_body_buf.clear()
        self.client_state = self.state_done
        if flow.response is None and exchange.request_bytes > self.plan.max_request_bytes:
            yield from self.answer(_too_large(self.plan), Terminal.REFUSED)
            return
        yield HttpRequestHook(flow)
        if (yield from self.interrupted()):
            return
        if flow.response is not None:
            yield from self.deliver(flow.response)
        else:
            yield from self.begin(exchange)

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> layer.CommandGenerator[None]:
        """The client broke off, or sent something that is not HTTP: the upstream call is cancelled first."""
        if self.exchange is None:
            yield from super().handle_protocol_error(event)
            return
        over = self.client_state == self.state_errored or self.server_state == self.state_done
        self.stop_waiting()
        if not over:
            yield from self.cancel_upstream()
            malformed = event.code is ErrorCode.GENERIC_CLIENT_ERROR and self.client_state != self.state_done
            self.exchange.end(Terminal.REFUSED if malformed else Terminal.CLIENT_CANCELLED)
        self.client_state = self.server_state = self.state_errored
        if not over:
            self.flow.error = mflow.Error(event.message)
            yield HttpErrorHook(self.flow)
        yield from self.drop()

    def interrupted(self) -> layer.CommandGenerator[bool]:
        """After a hook: has the client left, or an addon killed the flow? Then stop here."""
        if any(isinstance(event, RequestProtocolError) for event in self._paused_event_queue):
            return True  # The queued event is handled next, by handle_protocol_error.
        if self.flow.error is None or self.flow.error.msg != mflow.Error.KILLED_MESSAGE:
            return False
        assert self.exchange is not None
        self.stop_waiting()
        self.exchange.end(Terminal.REFUSED, "killed")
        yield from self.cancel_upstream()
        yield from self.check_killed(True)
        yield from self.drop()
        return True

    def answer(self, answer: Problem | ReadyResponse, terminal: Terminal) -> layer.CommandGenerator[None]:
        assert self.exchange is not None
        self.exchange.end(terminal, answer.code if isinstance(answer, Problem) else None)
        response = ready_response(answer, self.exchange)
        self.flow.response = response
        yield from self.deliver(response)

    def deliver(self, response: http.Response) -> layer.CommandGenerator[None]:
        """Send a complete response, with the hooks that any other response gets."""
        self.committed = True
        self.server_state = self.state_answering
        if self.flow.request.method == "HEAD":
            response.raw_content = b""  # Its client would read a body as the next response.
        response.timestamp_start = time.time()
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.interrupted()):
            return
        yield from self.send_response()

    def wait(self, seconds: float) -> layer.CommandGenerator[None]:
        """Be woken after this many seconds; 0 means never."""
        self.due = time.monotonic() + (seconds or math.inf)
        if self.due < math.inf:
            yield from self.ticker.watch(self)

    @property
    def ticker(self) -> Ticker:
        """The timer of the client connection."""
        return ticker_of(self.parent)

    def stop_waiting(self) -> None:
        """No deadline any more."""
        self.due = math.inf
        self.ticker.forget(self)

    def flow_done(self) -> layer.CommandGenerator[None]:
        """mitmproxy's own, and no timer or alias of a finished stream stays behind."""
        if self.exchange is not None:
            self.stop_waiting()
            switching = self.flow.response is not None and self.flow.response.status_code == 101
            if self.upstream_id != self.stream_id and not switching:
                yield from self.drop_alias()
        yield from super().flow_done()

    def drop(self) -> layer.CommandGenerator[None]:
        self.flow.live = False
        yield DropStream(self.stream_id)
        if self.upstream_id != self.stream_id:
            yield from self.drop_alias()

    def drop_alias(self) -> layer.CommandGenerator[None]:
        """The attempt that went by another id is over."""
        if backlog := backlog_of(self.context.client):
            backlog.aliases.pop(self.upstream_id, None)
        yield DropStream(self.upstream_id)

    def passthrough(self, event: events.Event) -> layer.CommandGenerator[None]:
        """After an upgrade: no tick of ours may reach the child layer, and the server knows us by our alias."""
        if isinstance(event, Tick):
            return
        if self.may_pass is not None and isinstance(event, RequestData | events.DataReceived) and not self.passes():
            return
        for command in super().passthrough(event):
            if isinstance(command, SendHttp) and command.connection == self.context.server:
                command.event.stream_id = self.upstream_id
            yield command

    def state_answering(self, _: events.Event) -> layer.CommandGenerator[None]:
        """We answer by ourselves: nothing of the upstream is expected."""
        yield from ()


def _too_large(plan: AttemptPlan) -> Problem:
    megabytes = plan.max_request_bytes / 1024 / 1024
    return Problem(413, "request_too_large", f"The request body is larger than the {megabytes:g} MiB this proxy takes.")
