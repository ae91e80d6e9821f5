"""The Exchange: everything the bundle knows about one model turn.

One HTTP request with all its upstream attempts is one Exchange. Addons speak to each other through it. It never refers
back to its flow (a cycle through the WeakKeyDictionary would keep every flow alive), and only plain `codemie.*` values
go into `flow.metadata`, because mitmproxy saves that.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from weakref import WeakKeyDictionary

from mitmproxy import hooks, http

from codemie_core.agents import (
    Agent,
    conversation_from_body,
    conversation_from_headers,
    detect_agent,
    needs_body_for_conversation,
    session_uuid,
)
from codemie_core.credential import Credential
from codemie_core.decoding import decode_bounded
from codemie_core.errors import Api, api_of
from codemie_core.json_text import loads
from codemie_core.policy import Answer, AttemptPlan, Decision, Failure
from codemie_core.tap import Observer
from codemie_core.usage.record import NO_LABELS, Labels

logger = logging.getLogger(__name__)

MAX_PARSED_BODY = 64 * 1024 * 1024
SURELY_PARSED = 1024 * 1024
MOST_INFLATED = 20
"""What agents send is text: compressed it becomes some three to eight times smaller."""
PARSE_OFF_LOOP = 256 * 1024
"""Bytes from which a body is decoded and parsed in a thread: parsing takes a good part of a millisecond."""

RUN_ID = str(uuid.uuid4())
"""This proxy process."""


class Terminal(StrEnum):
    """How an exchange ended."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    UPSTREAM_ERROR = "upstream_error"
    CLIENT_CANCELLED = "client_cancelled"
    ANSWERED_LOCALLY = "answered_locally"
    REFUSED = "refused"
    PROXY_STOPPED = "proxy_stopped"


@dataclass(slots=True)
class Attempt:
    """One try at an upstream. Times are milliseconds since the attempt began, None when it did not come to that."""

    number: int
    host: str
    port: int
    began: float = field(default_factory=time.monotonic, repr=False)
    connected_ms: float | None = None
    head_ms: float | None = None
    first_byte_ms: float | None = None
    ended_ms: float | None = None
    status: int | None = None
    failure: Failure | None = None
    decision: Decision | None = None
    """After a failure: what happens next. Preset from policy, later addons overrule."""
    final: Answer | None = None
    """Set by an addon that fails closed: nobody may overrule it."""
    rejected: str | None = None
    reused_connection: bool = False
    held_back: int = 0
    """Credentials that did not belong to the address it went to."""
    account: str = ""
    """The name of the account it was made with."""
    wants_body: bool = False
    body: bytes | None = None
    """What the response said, decoded and cut at 64 KiB, for those who asked with `read_body`."""

    def read_body(self) -> None:
        """Called from `upstream_response`: hold this response back and read it, then decide in `upstream_failed`.

        The decision is preset to Release where policy would not try again: then it goes out byte for byte.
        """
        self.wants_body = True

    def reject(self, reason: str) -> None:
        """Called from `upstream_response`: this response must not reach the client. The first reason stays."""
        self.rejected = self.rejected or reason

    def elapsed_ms(self) -> float:
        """Milliseconds since this attempt began."""
        return (time.monotonic() - self.began) * 1000


@dataclass(slots=True)
class Exchange:
    """One model turn. Ids are kept apart: see docs/architecture.md."""

    request_id: str
    api: Api
    agent: Agent
    scoped: bool
    method: str
    host: str
    path: str
    """Without the query: it may hold keys."""
    asked_host: str = ""
    """The Host the client named, before mitmproxy put the upstream's in its place; "" where nobody looked."""
    client_key: str = ""
    """The name of the client key it came with."""
    prefix: str = ""
    """Put before the path the client asked for: the target's own."""
    account: str = ""
    """The name of the account of the pool that serves it."""
    account_why: str = ""
    """Why that one, in a short phrase for people."""
    labels: Labels = NO_LABELS
    client_type: str = ""
    """CodeMie's name for the client, as it is told to CodeMie."""
    conversation_id: str | None = None
    fixed_session_id: str = ""
    run_id: str = RUN_ID
    started_at: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    began: float = field(default_factory=time.monotonic, repr=False)
    plan: AttemptPlan | None = None
    """Set by `upstream_attempts`: with a plan the attempt machine runs this exchange."""
    streamed: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    credentials: list[Credential] = field(default_factory=list)
    """Attached to a copy of the request on its way out, where they fit; never to the flow."""
    withheld: frozenset[bytes] = frozenset()
    """Names of the client's headers that stay here, lower-case: they are for the host it was sent away from."""
    held_back: int = 0
    """Credentials that did not belong to the address an attempt went to."""
    observers: list[Observer] = field(default_factory=list, repr=False)
    """Get decompressed copies of the response body, chunk by chunk; register before the head goes out. One that raises
    is dropped."""
    status: int | None = None
    head_ms: float | None = None
    first_byte_ms: float | None = None
    last_byte_ms: float | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    """Body bytes as sent to the client, still content-encoded, without keep-alives."""
    chunks: int = 0
    """Pieces in which they came."""
    tail: bytes = field(default=b"", repr=False)
    """The last two of them, once the response has ended: an error event that cut it short is in there."""
    chunk_mark: int = 0
    """The piece at which `mark` calls whoever asked with `every`; 0 for never."""
    terminal: Terminal | None = None
    error: str | None = None
    _every: int = 0
    _marker: Marker | None = field(default=None, repr=False)
    _request_json: object = field(default=None, repr=False)
    _request_parsed: bool = False
    _identified: bool = False

    @property
    def session_id(self) -> str:
        """CodeMie's session uuid: fixed by option, else stable for the agent's conversation, else for this run."""
        return self.fixed_session_id or session_uuid(self.agent.name, self.conversation_id or self.run_id)

    @property
    def open(self) -> bool:
        """Not yet ended."""
        return self.terminal is None

    def elapsed_ms(self) -> float:
        """Milliseconds since the request head arrived."""
        return (time.monotonic() - self.began) * 1000

    def every(self, chunks: int, marker: Marker) -> None:
        """Call `marker` at every so many chunks of the response: much cheaper than an observer, without bytes."""
        self._every, self._marker, self.chunk_mark = chunks, marker, chunks

    def mark(self) -> None:
        """The mark is reached. A marker that raises is dropped: nothing in here may harm the stream."""
        self.chunk_mark += self._every
        try:
            if self._marker is not None:
                self._marker(self)
        except Exception as error:
            self.chunk_mark = 0
            logger.error("A chunk marker failed with %s and was dropped", type(error).__name__)

    def begin_attempt(self, host: str, port: int) -> Attempt:
        """Start the next attempt's record."""
        attempt = Attempt(len(self.attempts) + 1, host, port, account=self.account)
        self.attempts.append(attempt)
        return attempt

    def end(self, terminal: Terminal, error: str | None = None) -> None:
        """Settle how it ended; the first word counts."""
        if self.terminal is None:
            self.terminal = terminal
            self.error = error
            if self.attempts and self.attempts[-1].ended_ms is None:
                self.attempts[-1].ended_ms = self.attempts[-1].elapsed_ms()

    async def request_json(self, flow: http.HTTPFlow) -> object | None:
        """The parsed request body, decoded (zstd, gzip, br) and bounded; None when it is no JSON. Parsed once."""
        if not self._request_parsed:
            raw = flow.request.raw_content or b""
            encoding = flow.request.headers.get("content-encoding", "")
            if len(raw) < PARSE_OFF_LOOP and not encoding:
                self._request_json = parse_json(raw, encoding)
            elif raw:
                self._request_json = await asyncio.to_thread(parse_json, raw, encoding)
            self._request_parsed = True
        return self._request_json

    def request_parsed(self, raw: bytes, content_encoding: str) -> object | None:
        """The same for a thread, once the exchange has ended. Nothing is kept: a view may keep exchanges long."""
        body = self._request_json if self._request_parsed else parse_json(raw, content_encoding)
        self._request_json, self._request_parsed = None, False
        return body

    async def identify(self, flow: http.HTTPFlow) -> None:
        """Settle the conversation id, from the body where the headers do not say it. Call it from `request`."""
        if self._identified:
            return
        self._identified = True
        raw = flow.request.raw_content or b""
        compressed = "content-encoding" in flow.request.headers
        if self.conversation_id is None and raw and (compressed or needs_body_for_conversation(raw)):
            body = await self.request_json(flow)
            if isinstance(body, dict):
                self.conversation_id = conversation_from_body(body)
        flow.metadata["codemie.conversation_id"] = self.conversation_id or ""
        flow.metadata["codemie.session_id"] = self.session_id


def ending_of(exchange: Exchange, message: str) -> Terminal:
    """How an exchange ended that mitmproxy reports as an error, where the attempt machine has not said so already."""
    if message.lower().startswith(("client disconnected", "stream reset by client", "peer closed")):
        return Terminal.CLIENT_CANCELLED
    # Without an attempt nobody was asked: mitmproxy itself found the request malformed.
    refused = exchange.plan is not None and not exchange.attempts
    return Terminal.REFUSED if refused else Terminal.UPSTREAM_ERROR


def parse_json(raw: bytes, content_encoding: str) -> object | None:
    """Decode and parse; None for anything that is not JSON or larger than the bound."""
    plain = not content_encoding and len(raw) <= MAX_PARSED_BODY
    # A thread is no help against a bomb: whoever parses holds the interpreter, and objects take far more than text.
    most = min(MAX_PARSED_BODY, max(SURELY_PARSED, MOST_INFLATED * len(raw)))
    body = raw if plain else decode_bounded(raw, content_encoding, most)
    return None if body is None else loads(body)


@dataclass
class ExchangeDoneHook(hooks.Hook):
    """An exchange has ended, however it ended. Fires exactly once per exchange; async handlers are awaited."""

    name = "exchange_done"
    exchange: Exchange


type Marker = Callable[[Exchange], None]
type Scope = Callable[[http.HTTPFlow], bool]


class ExchangeBook:
    """The exchanges of the flows that are alive, opened at the first question about a flow."""

    def __init__(self) -> None:
        self._by_flow: WeakKeyDictionary[http.HTTPFlow, Exchange] = WeakKeyDictionary()
        self._open: dict[int, Exchange] = {}
        self._asked: WeakKeyDictionary[http.Request, str] = WeakKeyDictionary()
        self.scope: Scope = _everything
        self.fixed_session_id = ""

    def of(self, flow: http.HTTPFlow) -> Exchange:
        """The exchange of this flow."""
        exchange = self._by_flow.get(flow)
        if exchange is None:
            exchange = self._by_flow[flow] = self._make(flow)
            self._open[id(exchange)] = exchange
        return exchange

    def known(self, flow: http.HTTPFlow) -> Exchange | None:
        """The exchange of this flow, if one was opened."""
        return self._by_flow.get(flow)

    def note_asked_host(self, request: http.Request, host: str) -> None:
        """Remember whom the client meant to ask, for the exchange that will be opened for this request."""
        self._asked[request] = host

    def close(self, exchange: Exchange) -> bool:
        """Take it off the list of open ones; False when it was closed before."""
        return self._open.pop(id(exchange), None) is not None

    def still_open(self) -> Iterator[Exchange]:
        """A snapshot of all that have not ended."""
        yield from list(self._open.values())

    def __len__(self) -> int:
        return len(self._open)

    def __repr__(self) -> str:
        return f"<ExchangeBook({len(self._open)} open)>"

    def _make(self, flow: http.HTTPFlow) -> Exchange:
        request = flow.request
        header = request.headers.get
        path = request.path.partition("?")[0]
        exchange = Exchange(
            request_id=str(uuid.uuid4()),
            api=api_of(path, header, request.host),
            agent=detect_agent(header),
            scoped=self.scope(flow),
            method=request.method,
            host=request.host,
            path=path,
            asked_host=self._asked.get(request, ""),
            conversation_id=conversation_from_headers(header),
            fixed_session_id=self.fixed_session_id,
        )
        flow.metadata["codemie.request_id"] = exchange.request_id
        flow.metadata["codemie.agent"] = exchange.agent.name
        return exchange


def _everything(_: http.HTTPFlow) -> bool:
    return True


BOOK = ExchangeBook()
"""One process runs one proxy; the core addon sets the scope and empties it at the end."""


def exchange_of(flow: http.HTTPFlow) -> Exchange:
    """The exchange this flow belongs to; opened now if nobody asked before."""
    return BOOK.of(flow)
