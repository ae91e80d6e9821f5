"""What the scripted upstream does with a request: a `Step` says all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from codemie_core.demo.gate import Gate

if TYPE_CHECKING:
    from codemie_core.demo.received import Received


class Cut(StrEnum):
    """How an answer breaks off.

    | member | HTTP/1.1                                     | HTTP/2                                      |
    |--------|----------------------------------------------|---------------------------------------------|
    | RESET  | TCP RST                                      | RST_STREAM with the step's `h2_code`        |
    | CLOSE  | FIN, without terminating chunk               | FIN, ends every stream of the connection    |
    | STALL  | nothing more until the client leaves         | the same                                    |
    | GOAWAY | FIN                                          | GOAWAY (last stream 0, `h2_code`), then FIN |
    | DROP   | TCP RST                                      | TCP RST                                     |
    """

    RESET = "reset"
    CLOSE = "close"
    STALL = "stall"
    GOAWAY = "goaway"
    DROP = "drop"


class Framing(StrEnum):
    """How HTTP/1.1 marks the end of a body; CLOSE means without length, by the end of the connection."""

    CHUNKED = "chunked"
    LENGTH = "length"
    CLOSE = "close"


@dataclass(slots=True, kw_only=True, eq=False)
class Step:
    """One answer. `Step()` is the default answer of the path; every field changes one thing about it.

    An event is one SSE frame of a stream; a JSON answer is one event. Of several requests answered by the
    same step, `sent_events` counts the events of all.

    Answer
        status: other than 200 and without `body`, the answer is a JSON error in the shape of the path's API.
        headers: added; one with the name of a default header replaces it.
        body: sent as it is instead of the default; `b""` is an empty body.
        text: what the model says in a default answer.
        events: a number of text deltas in a default stream, or exactly these SSE frames (any path).
        interval: seconds between two events.
        stamp: each delta carries `@T<time.monotonic_ns()>@`, taken when it is sent.
        opening: frames before all others, such as `(PING, COMMENT)`.
        error_event: the stream ends with an error event in the API's shape, after `error_at` normal events.
        big: stream this many bytes in SSE frames of 16 KiB, made one at a time.
        encoding: "gzip", "deflate", "br" or "zstd", flushed after each event.
        split: offsets in the encoded body at which one write ends and the next begins, a loop turn later.
    Order
        gate: one permit before every event but the first.
        hold: one permit before the head.
        early: answer once the head is there; the body is read afterwards and gets no 100 (Continue).
    Faults
        cut: how to break off: before the head, or where one of the next two says.
        after_events: that many events after the head (0: right after it); at the latest instead of the end.
        after_bytes: that many bytes of encoded body after the head; HTTP/1.1 leaves a torn chunk.
        h2_code: the HTTP/2 error code of RESET and GOAWAY.
        raw: these bytes instead of anything that is HTTP, then `cut` (CLOSE when there is none).
        head_bytes: pad the head to about this size; -1 never ends it (HTTP/1.1 only).
    HTTP/1.1 only
        framing: chunked for streams and content-length for the rest when not given.
        content_length: announced instead of the real length; the connection closes after the body.
        connection_close: say `connection: close` and do it.
        trickle: write the head byte by byte.
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | str | None = None
    text: str | None = None
    events: int | Sequence[bytes] | None = None
    interval: float = 0.0
    stamp: bool = False
    opening: Sequence[bytes] = ()
    error_event: bool = False
    error_at: int = 0
    big: int = 0
    encoding: str = ""
    split: Sequence[int] = ()
    gate: Gate | None = None
    hold: Gate | None = None
    early: bool = False
    cut: Cut | None = None
    after_events: int | None = None
    after_bytes: int | None = None
    h2_code: int = 2
    raw: bytes | None = None
    head_bytes: int = 0
    framing: Framing | None = None
    content_length: int | None = None
    connection_close: bool = False
    trickle: bool = False
    sent_events: int = field(default=0, init=False)

    @property
    def cuts_before_head(self) -> bool:
        """Whether the answer breaks off with nothing of it sent."""
        return self.cut is not None and self.after_events is None and self.after_bytes is None

    @property
    def immediate(self) -> bool:
        """Whether a body known as a whole can go out with its head in one write."""
        return not (
            self.hold
            or self.cut
            or self.split
            or self.trickle
            or self.head_bytes
            or self.raw is not None
            or self.content_length is not None
        )


type Then = Step | Callable[[Received], Step] | None
"""After the steps of a queue: always the same, or what is made for a request (of which only the head is there yet)."""


@dataclass(slots=True)
class Script:
    """Steps in the order they are dealt out, and what comes after them."""

    steps: deque[Step] = field(default_factory=deque)
    then: Then = None

    def step_for(self, received: Received) -> Step | None:
        """The step of one more request; None for the default answer."""
        if self.steps:
            return self.steps.popleft()
        return self.then(received) if callable(self.then) else self.then
