"""HTTP/2 peers for a playbook whose wires are bytes; they open no window by themselves."""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.events
from mitmproxy.proxy import events

from support.playbook import Playbook


class H2Client:
    """An HTTP/2 client at the other side of the playbook."""

    def __init__(self, book: Playbook) -> None:
        self.book = book
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []
        self.exchange()

    def exchange(self) -> None:
        """Write what there is to write, read what there is to read."""
        while True:
            if data := self.h2.data_to_send():
                self.book.client_writes(data)
            answer = self.book.taken(self.book.client)
            if not answer:
                return
            self.events += self.h2.receive_data(answer)

    def ask(self, stream_id: int = 1, path: str = "/v1/messages") -> None:
        """A whole request."""
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "upstream.test"), (":path", path)]
        self.h2.send_headers(stream_id, head)
        self.h2.send_data(stream_id, b"{}", end_stream=True)
        self.exchange()

    def read(self, size: int, stream_id: int) -> None:
        """Give the window back for what was received."""
        self.h2.acknowledge_received_data(size, stream_id)
        self.exchange()

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of this kind so far."""
        self.exchange()
        return [event for event in self.events if isinstance(event, kind)]


class H2Server:
    """An HTTP/2 upstream at the other side of the playbook, for the connection that was made last."""

    def __init__(self, book: Playbook) -> None:
        self.book = book
        self.connection = book.servers[-1]
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []
        self.exchange()

    def exchange(self) -> None:
        """Read what there is to read, write what there is to write."""
        while True:
            if asked := self.book.taken(self.connection):
                self.events += self.h2.receive_data(asked)
            data = self.h2.data_to_send()
            if not data:
                return
            self.book.feed(events.DataReceived(self.connection, data))

    def respond(self, stream_id: int = 1, status: int = 200) -> None:
        """The head of an event stream."""
        self.h2.send_headers(stream_id, [(":status", str(status)), ("content-type", "text/event-stream")])
        self.exchange()

    def send(self, size: int, stream_id: int = 1) -> int:
        """As much of an event of this size as the window takes; how much that was."""
        sent = 0
        while (room := min(self.h2.local_flow_control_window(stream_id), 16384, size - sent)) > 0:
            self.h2.send_data(stream_id, b"data: " + b"x" * (room - 6) if room > 6 else b"x" * room)
            sent += room
            self.exchange()
        return sent
