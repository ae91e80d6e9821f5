"""Counts what every model turn used: tokens, cost, tools, files. What was said is kept only where that is switched on.

Stands behind whoever changes the request and watches only. Fails open: a turn that cannot be counted is missing in the
numbers and harms nobody. The answer is read as it passes; everything else is done in a thread after the turn has ended:
the record of the turn is made there, put into the history, and told to telemetry and to the metrics of CodeMie.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.utils import asyncio_utils
from pydantic import Field

from codemie_core.addon import Addon, AddonSettings
from codemie_core.core_addon import core_of
from codemie_core.decoding import decode_bounded
from codemie_core.durations import Duration, Size
from codemie_core.exchange import Exchange, Terminal, exchange_of
from codemie_core.head_fields import field_value
from codemie_core.model_name import asked_model
from codemie_core.pricing import PriceBook
from codemie_core.recorded import UsageRecordedHook
from codemie_core.store.keeping import Keeping
from codemie_core.store.payloads import Payload
from codemie_core.usage.apis import model_api
from codemie_core.usage.books import Books
from codemie_core.usage.clerk import Clerk
from codemie_core.usage.history import History
from codemie_core.usage.overheard import Overheard
from codemie_core.usage.record import Record
from codemie_core.usage.socket_turns import Ended, SocketTurns
from codemie_core.usage.stream import StreamMeter
from codemie_core.usage.turn import Read, Turn

BOUND = 4.0
"""Seconds that the end of the proxy waits for what is not counted yet."""
MOST_DECODED = 64 * 1024 * 1024
UNADMITTED = frozenset({401, 403, 407})


class UsageMetering(Addon, priority=60):
    """What is under way is here until its exchange ends; what has ended is the clerk's."""

    class Settings(AddonSettings):
        """How long the history goes back, and whether it knows what was said."""

        keep: Duration = Field(90 * 86_400.0, ge=0, description="How long turns are kept; 0 is for ever.")
        keep_size: Size = Field(
            1024**3, ge=0, description="How large the database may become, oldest turns go first; 0 is without a bound."
        )
        payloads: bool = Field(
            False, description="Keep what was said too, redacted and sealed by the vault: it holds prompts and code."
        )
        payload_size: Size = Field(
            64 * 1024, ge=1024, le=1024**2, description="How much of each body is kept, half of it from its end."
        )
        payload_keep: Duration = Field(86_400.0, ge=0, description="How long what was said is kept.")

    settings: Settings

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._sockets: dict[str, SocketTurns] = {}
        self._clerk: Clerk | None = None
        self._history: History | None = None
        self._untold: deque[Record] = deque()
        self._telling: asyncio.Task[None] | None = None

    def settled(self) -> None:
        """Take new settings while at work too."""
        if self._history is not None:
            self._history.keep(self._keeping())

    def start(self) -> None:
        """Begin to count."""
        core, loop = core_of(self), asyncio.get_running_loop()
        prices = PriceBook(core.places)
        books = Books(prices)
        history = self._history = History(core.places, core.layers.environ, self._keeping())

        def keep(turn: Turn) -> Record:
            record = books.record(turn)
            if turn.payload is not None:
                turn.payload.request(decode_bounded(turn.request, turn.encoding, MOST_DECODED) or b"")
            history.put(record, turn.payload)
            return record

        def deliver(records: list[Record]) -> None:
            loop.call_soon_threadsafe(self._tell, records)

        self._clerk = Clerk(keep, deliver, begin=prices.load)
        history.begin()
        self._clerk.start()

    def _keeping(self) -> Keeping:
        own = self.settings
        return Keeping(own.keep, own.keep_size, own.payload_keep)

    async def drain(self) -> None:
        """Count what has ended, and let those who listen hear of it."""
        if self._clerk is not None:
            await asyncio.to_thread(self._clerk.drain, BOUND)
        while self._telling is not None and not self._telling.done():
            await self._telling

    def stop(self) -> Coroutine[Any, Any, None]:
        """End the threads, with all in the database."""
        # All of it at once: before these have ended, the addon may be at work again with new ones.
        clerk, self._clerk = self._clerk, None
        history, self._history = self._history, None
        # How they go on is not seen any more.
        self._turns.clear()
        self._sockets.clear()
        return _ended(clerk, history)

    def health(self) -> Mapping[str, object]:
        """Turns since the start."""
        clerk, history = self._clerk, self._history
        if clerk is None or history is None:
            return {}
        counted = {"turns": clerk.done, "uncounted": clerk.failed, "unread": clerk.unread, "queued": clerk.waiting}
        return {**counted, "history": history.shown()}

    def model_of(self, exchange: Exchange) -> str:
        """The model that a turn under way asks for; "" where that is not known."""
        turn = self._turns.get(exchange.request_id)
        return asked_model(exchange.path, turn.request, turn.encoding) if turn is not None else ""

    async def request(self, flow: http.HTTPFlow) -> None:
        """It is what it will be when it goes out."""
        exchange = exchange_of(flow)
        if self._clerk is None or not exchange.scoped or _not_admitted(exchange):
            return
        request = flow.request
        api = model_api(request.method, exchange.path)
        websocket = request.method == "GET" and field_value(request.headers.fields, b"upgrade").lower() == "websocket"
        if not api or (request.method == "GET" and not websocket):
            return
        await exchange.identify(flow)
        if websocket:
            return  # Its turns are messages.
        encoding = field_value(request.headers.fields, b"content-encoding")
        meter = StreamMeter(api, exchange.elapsed_ms)
        payload = None
        if self.settings.payloads:
            payload = Payload.of(round(exchange.started_at * 1000), self.settings.payload_size)
            payload.request_headers = request.headers.fields
        raw = request.raw_content or b""
        self._turns[exchange.request_id] = Turn(exchange, api, meter, raw, encoding, payload=payload)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The head that goes to the client: its body is the answer, unless it is an error or the proxy's own."""
        exchange, response = exchange_of(flow), flow.response
        turn = self._turns.get(exchange.request_id)
        if turn is None or response is None or exchange.terminal is not None:
            return
        if turn.payload is not None:
            turn.payload.response_headers = response.headers.fields
            exchange.observers.append(turn.payload.response)
        if isinstance(turn.meter, StreamMeter) and response.status_code < 300:
            turn.meter.begin(field_value(response.headers.fields, b"content-type"))
            exchange.observers.append(turn.meter)

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """A turn begins, goes on or ends."""
        exchange = exchange_of(flow)
        turns = self._turns_of(exchange, flow)
        if turns is None or flow.websocket is None:
            return
        message = flow.websocket.messages[-1]
        if message.from_client and message.dropped:
            return  # Nobody is asked: its key was revoked, say.
        ended = turns.from_client(message.content) if message.from_client else turns.from_server(message.content)
        if ended is not None:
            self._put(_socket_turn(exchange, turns.api, ended))

    def _turns_of(self, exchange: Exchange, flow: http.HTTPFlow) -> SocketTurns | None:
        """Also of a WebSocket that was opened before this addon was switched on: some stay open for hours."""
        turns = self._sockets.get(exchange.request_id)
        if turns is None and exchange.scoped and (api := model_api("GET", exchange.path)):
            clock, asked, answered = exchange.elapsed_ms, flow.request.headers.fields, flow.response

            def meter() -> StreamMeter | Overheard:
                read = StreamMeter(api, clock)
                if not self.settings.payloads:
                    return read
                payload = Payload.of(round(exchange.started_at * 1000 + clock()), self.settings.payload_size)
                payload.request_headers = asked
                payload.response_headers = answered.headers.fields if answered is not None else ()
                return Overheard(read, payload)

            turns = self._sockets[exchange.request_id] = SocketTurns(api, meter, clock)
        return turns

    def exchange_done(self, exchange: Exchange) -> None:
        """However it ended: what was seen counts."""
        if turns := self._sockets.pop(exchange.request_id, None):
            for ended in turns.cut():
                self._put(_socket_turn(exchange, turns.api, ended))
        turn = self._turns.pop(exchange.request_id, None)
        if turn is not None and exchange.terminal is not Terminal.ANSWERED_LOCALLY:
            turn.ended_ms = exchange.elapsed_ms()
            self._put(turn)

    def _put(self, turn: Turn) -> None:
        if self._clerk is not None:
            self._clerk.put(turn)

    def _tell(self, records: list[Record]) -> None:
        self._untold.extend(records)
        if self._telling is None or self._telling.done():
            self._telling = asyncio_utils.create_task(self._tell_all(), name="tell usage", keep_ref=True)

    async def _tell_all(self) -> None:
        while self._untold:
            await ctx.master.addons.trigger_event(UsageRecordedHook(self._untold.popleft()))


async def _ended(clerk: Clerk | None, history: History | None) -> None:
    if clerk is not None:
        await asyncio.to_thread(clerk.stop, BOUND)
    if history is not None:
        await history.end()


def _not_admitted(exchange: Exchange) -> bool:
    """Turned away at the door: it belongs to nobody, and anybody could fill the history with such."""
    return exchange.terminal is Terminal.REFUSED and exchange.status in UNADMITTED


def _socket_turn(exchange: Exchange, api: str, ended: Ended) -> Turn:
    return Turn(
        exchange,
        api,
        Read(ended.answer),
        ended.asked,
        number=ended.number,
        began_ms=ended.began_ms,
        ended_ms=exchange.elapsed_ms(),
        payload=ended.meter.payload if isinstance(ended.meter, Overheard) else None,
    )


addons = [UsageMetering()]
