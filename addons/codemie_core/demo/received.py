"""What the scripted upstream knows of one request: how it came and how far its answer got."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from codemie_core.demo.script import Step

CREDENTIALS = ("x-api-key", "authorization", "x-goog-api-key", "api-key")


@dataclass(slots=True, kw_only=True, eq=False)
class Received:
    """One request in the order and case it was received, and the progress of its answer.

    `target` is the request target as on the wire, `path` is it without the upstream's prefix and the query.
    `time` is the loop's, in seconds. HTTP/2 pseudo headers are fields here, not `headers`.
    """

    connection: int
    http_version: str
    method: str
    target: str
    path: str
    authority: str
    headers: list[tuple[str, str]]
    step: Step
    time: float
    body: bytes = b""
    complete: bool = False
    head_sent: bool = False
    sent_events: int = 0
    sent_bytes: int = 0
    finished: bool = False
    cancelled: bool = False
    messages: list[str] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    @property
    def keys(self) -> list[str]:
        """Every credential it bears, without the word "Bearer", in the order of `CREDENTIALS`."""
        values = [value for name in CREDENTIALS for key, value in self.headers if key.lower() == name]
        return [value.removeprefix("Bearer ") for value in values]

    def json(self) -> Any:
        """Parse the body as JSON."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        state = "finished" if self.finished else "cancelled" if self.cancelled else "open"
        return f"<Received({self.connection}: {self.method} {self.target}, HTTP/{self.http_version}, {state})>"
