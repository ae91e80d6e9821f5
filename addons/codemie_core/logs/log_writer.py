"""Takes records from whoever has them, and makes lines of them and writes them in a thread of its own.

Nobody who has something to say ever waits: beyond the bound records are dropped and counted. A disk that is full or a
folder that cannot be written costs the records of that time and nothing else: one warning, a new try every 30 seconds,
and a line in the log about what is missing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from codemie_core.errors import SettingsError
from codemie_core.logs.log_brief import SOURCE, in_brief
from codemie_core.logs.log_file import DAY, LogFile
from codemie_core.logs.log_record import Ended, Record, Said

logger = logging.getLogger(__name__)

PAUSE = 0.2
"""Seconds in which records gather: one wake-up for all of them."""
BATCH = 512
"""Records per write, as long as they are small. Each write hands the interpreter to the event loop and back, which
costs more than the millisecond that so many lines take."""
HEAVY = 16 * 1024
"""Bytes of bodies per write: they take longer to redact."""
RETRY = 30.0
"""Seconds until a file that could not be written is tried again."""
MOST_HELD = 32 * 1024 * 1024
"""Bytes of bodies in the queue."""

type Tell = Callable[[str | None], None]
type Brief = Callable[[float, int, str, str], None]
"""When, in seconds since the epoch; how serious, as logging numbers it; who says it; what."""


class LogWriter:
    """`put` records between `start` and `stop`. `tell` hears, in the thread, what is wrong and None after it."""

    def __init__(
        self,
        file: LogFile,
        render: Callable[[Record], str],
        max_queue: int,
        tell: Tell,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.render = render
        self.max_queue = max_queue
        self.echo: Callable[[str], None] | None = None
        """Gets the lines as well."""
        self.brief: Brief | None = None
        """Gets one line for each exchange that has ended."""
        self.written = self.dropped = self.lost = 0
        """Records: in the file; without room in the queue; without room on the disk."""
        self._file, self._tell, self._clock, self._monotonic = file, tell, clock, monotonic
        self._queue: deque[tuple[Record, int]] = deque()
        self._came = self._went = 0
        self._dropped_told = self._lost_told = 0
        self._trouble: str | None = None
        self._retry_at = 0.0
        self._idle = False
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="codemie log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, record: Record, held: int = 0) -> None:
        """Take this record, which keeps `held` bytes of a body alive. Never waits, never raises."""
        if len(self._queue) >= self.max_queue or self._came - self._went + held > MOST_HELD:
            self.dropped += 1
            return
        # Two counters, each with one owner: adding and subtracting in two threads would lose counts.
        self._came += held
        self._queue.append((record, held))
        if self._idle:
            self._idle = False
            self._wake.set()

    def stop(self, within: float) -> bool:
        """Write what is there and end, waiting `within` seconds for it at most; False when that was too short."""
        self._closing.set()
        self._wake.set()
        self._thread.join(within)
        return not self._thread.is_alive()

    def shown(self) -> Mapping[str, object]:
        """As /health shows it."""
        return {
            "written": self.written,
            "dropped": self.dropped,
            "lost": self.lost,
            "queued": len(self._queue),
            "problem": self._trouble,
        }

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._idle = True
                if not self._queue:
                    self._wake.wait()
                self._idle = False
                self._wake.clear()
                self._closing.wait(PAUSE)
                self._drain()
            self._drain()
            self._file.close()
        except BaseException as error:
            # Nobody else would notice that the log has ended.
            self._trouble = f"the thread that writes the log ended with {type(error).__name__}"
            logger.warning("request_log: %s. Nothing is logged until the proxy is restarted.", self._trouble)
            self._tell(self._trouble)

    def _drain(self) -> None:
        while self._queue:
            for day, records in groupby(self._batch(), key=_day_of):
                self._write(day, list(records))

    def _batch(self) -> Sequence[Record]:
        records: list[Record] = []
        heavy = 0
        while self._queue and len(records) < BATCH and heavy < HEAVY:
            record, held = self._queue.popleft()
            heavy += held
            records.append(record)
        self._went += heavy
        return records

    def _write(self, day: int, records: Sequence[Record]) -> None:
        waiting = self._trouble is not None and self._monotonic() < self._retry_at
        if waiting and self.echo is None:
            self.lost += len(records)
            return
        dropped, lost = self.dropped, self.lost
        text = "".join([*self._notes(dropped, lost), *map(self._rendered, records)])
        if waiting:
            self.lost += len(records)
        elif text:
            self._append(day, text, len(records), dropped, lost)

    def _append(self, day: int, text: str, records: int, dropped: int, lost: int) -> None:
        try:
            self._file.append(day, text.encode("utf-8", "backslashreplace"))
        except (OSError, SettingsError) as error:
            self.lost += records
            self._failed(error)
            return
        self.written += records
        self._dropped_told, self._lost_told = dropped, lost
        if self._trouble is not None:
            self._trouble = None
            self._tell(None)

    def _failed(self, error: OSError | SettingsError) -> None:
        self._file.close()
        self._retry_at = self._monotonic() + RETRY
        if self._trouble is None:
            self._trouble = str(error)
            if isinstance(error, OSError):
                self._trouble = f"{self._file.folder} cannot be written ({error.strerror or error})"
            rest = "Requests go on without a log until there is room or it is writable"
            logger.warning("request_log: %s. %s; it is tried every %.0f seconds.", self._trouble, rest, RETRY)
            self._tell(self._trouble)

    def _notes(self, dropped: int, lost: int) -> Iterator[str]:
        """What is missing before these records."""
        now = self._clock()
        if dropped > self._dropped_told:
            text = f"{dropped - self._dropped_told} records are missing here: more came than could be written"
            yield self.render(Said(now, logging.WARNING, "request_log", text))
        if lost > self._lost_told:
            text = f"{lost - self._lost_told} records are missing here: {self._trouble}"
            yield self.render(Said(now, logging.WARNING, "request_log", text))

    def _rendered(self, record: Record) -> str:
        try:
            text = self.render(record)
        except Exception as error:
            words = f"a record could not be written: {type(error).__name__}"
            text = self.render(Said(record.at, logging.ERROR, "request_log", words))
        if self.echo is not None and text and not isinstance(record, Said):
            self.echo(text.rstrip("\n"))
        brief = self.brief  # Whoever gets them may leave at any moment.
        if brief is not None and isinstance(record, Ended) and (told := in_brief(text)):
            brief(record.at, told[0], SOURCE, told[1])
        return text


def _day_of(record: Record) -> int:
    return int(record.at // DAY)
