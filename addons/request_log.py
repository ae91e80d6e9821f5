"""The log: what came, what went, how it ended, in CodeMie's own file and format, without a single secret.

Stands behind whoever changes the request and watches only. Fails open: a log that cannot be written, or a disk that is
slow, never touches a stream. Hooks hand records to a queue; a thread redacts, formats and writes them. Questions for
/health, which a watcher asks all day, are not written down.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from mitmproxy import http
from pydantic import Field

from codemie_core.addon import Addon, AddonSettings
from codemie_core.core_addon import core_of
from codemie_core.durations import Size
from codemie_core.exchange import BOOK, Exchange, exchange_of
from codemie_core.health_check import is_health_check
from codemie_core.logs import log_writer
from codemie_core.logs.body_sample import BodySample, sample_for
from codemie_core.logs.log_file import LogFile
from codemie_core.logs.log_line import OMITTED, LineFormat, is_session_sync
from codemie_core.logs.log_problem import problem_level
from codemie_core.logs.log_record import Answered, Asked, Encoded, Ended, Fields, Flowing
from codemie_core.logs.log_tap import LogTap
from codemie_core.logs.log_writer import Brief, LogWriter
from codemie_core.model_name import asked_model
from codemie_core.options import FromEnv

console = logging.getLogger("codemie_core.console")

FLUSH_BOUND = 3.0
"""Seconds that the end of the proxy waits for the last lines."""
TROUBLE = "log file"

ENCODING = "contentEncoding"
_SHOWN_HEADERS = {
    b"content-type": "contentType",
    b"content-encoding": ENCODING,
    b"user-agent": "userAgent",
}
_OWN_PREFIX = b"x-codemie-"
_OWN_REQUEST_ID = b"x-codemie-request-id"


class RequestLog(Addon, priority=50):
    """Everything known about an exchange is on the Exchange; nothing is kept here from one event to the next."""

    class Settings(AddonSettings):
        """The settings."""

        level: Literal["debug", "info", "warning", "error"] = Field(
            "debug", description="The least that is logged; info is one line per request and what went wrong."
        )
        every: int = Field(10, ge=0, description="Log every so many chunks of a response; 0 logs none.")
        bodies: bool = Field(False, description="Log bodies too, redacted: they hold prompts and code.")
        body_bytes: Size = Field(
            4096, ge=0, le=1024 * 1024, description="How much of a body is logged, from its beginning and its end each."
        )
        keep_days: int = Field(5, ge=0, description="Delete log files older than this many days; 0 keeps them all.")
        max_queue: int = Field(
            10_000, ge=100, description="Records that may wait to be written; more are dropped and counted."
        )
        console: Annotated[bool, FromEnv("CODEMIE_DEBUG", frozenset({"1", "true"}))] = Field(
            False, description="Show the log on the terminal as well."
        )

    settings: Settings

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._level = logging.DEBUG
        self._writer: LogWriter | None = None
        self._file: LogFile | None = None
        self._tap: LogTap | None = None
        self._listener: Brief | None = None

    def settled(self) -> None:
        """Take new settings while at work too."""
        self._level = logging.getLevelNamesMapping()[self.settings.level.upper()]
        if self._writer is not None and self._file is not None:
            self._apply(self._writer, self._file)

    def start(self) -> None:
        """Begin to write; the file is opened with the first record."""
        loop = asyncio.get_running_loop()

        def tell(trouble: str | None) -> None:
            try:
                loop.call_soon_threadsafe(self._heard, trouble)
            except RuntimeError:
                return  # The proxy has ended; nobody asks for its health any more.

        file = self._file = LogFile(core_of(self).places, self.settings.keep_days, self._clock)
        render = LineFormat().render
        writer = self._writer = LogWriter(file, render, self.settings.max_queue, tell, self._clock)
        self._apply(writer, file)
        writer.start()
        self._tap = LogTap(writer.put, but_not=frozenset({console.name, log_writer.__name__}))
        self._tap.install()

    async def stop(self) -> None:
        """Write what is left."""
        writer, self._writer = self._writer, None
        if self._tap is not None:
            self._tap.uninstall()
        if writer is not None and not await asyncio.to_thread(writer.stop, FLUSH_BOUND):
            logging.getLogger(__name__).warning("The log could not be written to its end in %.0f s", FLUSH_BOUND)

    def health(self) -> Mapping[str, object]:
        """Counts of records since the start."""
        return self._writer.shown() if self._writer is not None else {}

    def listen(self, listener: Brief | None) -> None:
        """Have it told, in the writer's thread, of each exchange that has ended: one line, redacted."""
        self._listener = listener
        if self._writer is not None:
            self._writer.brief = listener

    def _apply(self, writer: LogWriter, file: LogFile) -> None:
        profile = core_of(self).layers.profile
        writer.render = LineFormat(self._level, profile.name, profile.provider).render
        writer.max_queue = self.settings.max_queue
        writer.echo = _to_console if self.settings.console else None
        writer.brief = self._listener
        file.keep_days = self.settings.keep_days

    def _heard(self, trouble: str | None) -> None:
        """What /health says about it."""
        if trouble is not None:
            self.status.mishaps[TROUBLE] += 1
            self.status.error = trouble
        elif self.status.mishaps.pop(TROUBLE, 0):
            self.status.error = None

    async def request(self, flow: http.HTTPFlow) -> None:
        """It is what it will be when it goes out."""
        exchange, writer = exchange_of(flow), self._writer
        if writer is None or self._level > logging.INFO or not exchange.scoped:
            return
        if is_health_check(exchange, answered=flow.response is not None):
            return
        if flow.response is None:
            await exchange.identify(flow)
        request = flow.request
        fields, raw = shown_headers(request), request.raw_content or b""
        encoding = dict(fields).get(ENCODING, "")
        model = asked_model(exchange.path, raw, encoding)
        if self._level > logging.DEBUG:
            writer.put(Asked(self._clock(), exchange, model, "", (), 0, None))
            return
        if self.settings.every:
            exchange.every(self.settings.every, self._mark)
        query = request.path.partition("?")
        url = f"{exchange.path}?{query[2]}" if query[1] else exchange.path
        body, held = self._request_body(exchange, raw, encoding) if self.settings.bodies else (None, 0)
        writer.put(Asked(self._clock(), exchange, model, url, fields, len(raw), body), held)

    def _request_body(
        self, exchange: Exchange, raw: bytes, encoding: str
    ) -> tuple[BodySample | Encoded | str | None, int]:
        """What is kept of it until its line is made, and how much that is."""
        if is_session_sync(exchange.path):
            return OMITTED, 0
        if encoding not in ("", "identity"):
            return Encoded(raw, encoding, self.settings.body_bytes), len(raw)
        sample = BodySample(self.settings.body_bytes)
        sample(raw)
        return sample, sample.held

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The head that goes to the client."""
        exchange, writer, response = exchange_of(flow), self._writer, flow.response
        if writer is None or self._level > logging.DEBUG or not exchange.scoped or response is None:
            return
        if is_health_check(exchange):
            return
        writer.put(Answered(self._clock(), exchange, response.status_code, shown_headers(response)))
        if self.settings.bodies and not is_session_sync(exchange.path):
            sample = sample_for(response.headers.get("content-type", ""), self.settings.body_bytes)
            exchange.observers.append(sample)
            if exchange.terminal is not None and "content-encoding" not in response.headers:
                sample(response.raw_content or b"")  # Answered by the proxy: nothing streams past an observer.

    def _mark(self, exchange: Exchange) -> None:
        if self._writer is not None:
            self._writer.put(Flowing(self._clock(), exchange, exchange.chunks, exchange.response_bytes))

    def exchange_done(self, exchange: Exchange) -> None:
        """How it ended."""
        writer = self._writer
        if writer is None or (self._level > logging.INFO and problem_level(exchange) is None):
            return
        if is_health_check(exchange):
            return
        body: BodySample | str | None = None
        if self.settings.bodies:
            body = next((seen for seen in exchange.observers if isinstance(seen, BodySample)), None)
            if body is None and is_session_sync(exchange.path):
                body = OMITTED
        held = body.held if isinstance(body, BodySample) else 0
        writer.put(Ended(self._clock(), exchange, exchange.elapsed_ms(), body), held)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A tunnel that was refused ends here: none of the other hooks follows."""
        if flow.response is not None and (exchange := BOOK.known(flow)) is not None:
            self.exchange_done(exchange)


def shown_headers(message: http.Message) -> Fields:
    """The few headers that are logged; values are redacted when their line is made."""
    found = []
    for name, value in message.headers.fields:
        lowered = name.lower()
        if shown := _SHOWN_HEADERS.get(lowered):
            text = value.decode("utf-8", "replace")
            # The product only: what follows it is for statistics, and may be anything.
            found.append((shown, text.split(" ", 1)[0] if lowered == b"user-agent" else text))
        elif lowered.startswith(_OWN_PREFIX) and lowered != _OWN_REQUEST_ID:
            found.append((lowered.decode("utf-8", "replace"), value.decode("utf-8", "replace")))
    return tuple(found)


def _to_console(text: str) -> None:
    # Not at its own level: the terminal would hide debug lines, and an error would end a proxy that is starting.
    console.info("%s", text)


addons = [RequestLog()]
