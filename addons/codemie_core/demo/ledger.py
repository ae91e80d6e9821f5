"""What happens at the scripted upstream: requests in, steps dealt out, progress counted, waiters woken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from codemie_core.demo.presets import preset
from codemie_core.demo.received import Received
from codemie_core.demo.script import Script, Step, Then

FAULT_HEADER = "x-demo-fault"


class Ledger:
    """The state that all connections of one upstream share, with its public counters.

    `bytes_sent` counts encoded body bytes that the transport took; it honors back-pressure, so a slow client
    holds it back. `cancelled` lists the requests whose client left before their answer was finished.
    """

    def __init__(self, prefix: str = "", fault_header: bool = False, keep: int | None = None) -> None:
        self.requests: list[Received] = []
        self.cancelled: list[Received] = []
        self.request_count = self.finished = self.events_sent = self.bytes_sent = 0
        self.connections = self.open_connections = 0
        self._received_whole = self._cancelled_count = self._serial = 0
        self._prefix, self._fault_header, self._keep = prefix.rstrip("/"), fault_header, keep
        self._script, self._default = Script(), Step()
        self._special: dict[str | Callable[[Received], bool], Script] = {}
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def script(self, *steps: Step, then: Then = None) -> None:
        """Replace the queue: one step per request in order of arrival, then `then` for all others."""
        self._script = Script(deque(steps), then)

    def script_for(self, whom: str | Callable[[Received], bool], *steps: Step, then: Then = None) -> None:
        """A queue of their own for requests that bear this key, or of which `whom` says yes (it sees their heads).

        The key is what `Received.keys` has. Asked in the order they were first given; a second call for the same
        `whom` replaces its queue. All other requests take the ordinary one.
        """
        self._special[whom] = Script(deque(steps), then)

    async def wait_until(self, predicate: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait until `predicate()` holds, looked at whenever something happens here.

        Raises TimeoutError with the state of the upstream after `timeout` seconds.
        """
        if predicate():
            return
        waiter = (predicate, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await asyncio.wait_for(waiter[1], timeout)
        except TimeoutError:
            raise TimeoutError(f"not within {timeout} s; {self!r}, {self.requests[-5:]}") from None
        finally:
            self._waiters.remove(waiter)

    async def wait_requests(self, n: int, timeout: float = 60.0) -> None:
        """Wait until `n` requests have been received with their bodies."""
        await self.wait_until(lambda: self._received_whole >= n, timeout)

    async def wait_finished(self, n: int, timeout: float = 60.0) -> None:
        """Wait until `n` answers were sent to their proper end."""
        await self.wait_until(lambda: self.finished >= n, timeout)

    async def wait_cancelled(self, n: int, timeout: float = 60.0) -> None:
        """Wait until `n` requests have lost their client before their answer was finished."""
        await self.wait_until(lambda: self._cancelled_count >= n, timeout)

    async def wait_connections_closed(self, timeout: float = 60.0) -> None:
        """Wait until no connection is open."""
        await self.wait_until(lambda: self.open_connections == 0, timeout)

    def next_serial(self) -> int:
        """Number an answer."""
        self._serial += 1
        return self._serial

    def connected(self) -> int:
        """Count a new connection and return its number."""
        self.connections += 1
        self.open_connections += 1
        self.changed()
        return self.connections

    def disconnected(self) -> None:
        """Count a connection out."""
        self.open_connections -= 1
        self.changed()

    def begin(
        self,
        connection: int,
        http_version: str,
        method: str,
        target: str,
        authority: str,
        headers: list[tuple[str, str]],
    ) -> Received:
        """Record the head of a request and deal its step out."""
        received = Received(
            connection=connection,
            http_version=http_version,
            method=method,
            target=target,
            path=self._path(target),
            authority=authority,
            headers=headers,
            step=self._default,
            time=asyncio.get_running_loop().time(),
        )
        received.step = self._step_for(received)
        self.request_count += 1
        if self._keep != 0:
            self.requests.append(received)
            if self._keep is not None:
                del self.requests[: -self._keep]
        self.changed()
        return received

    def complete(self, received: Received) -> None:
        """The body has been received as a whole."""
        received.complete = True
        self._received_whole += 1
        self.changed()

    def progress(self, received: Received, events: int, size: int) -> None:
        """Count what was sent of an answer."""
        received.sent_events += events
        received.sent_bytes += size
        self.events_sent += events
        self.bytes_sent += size
        self.changed()

    def finish(self, received: Received) -> None:
        """The answer came to its proper end."""
        received.finished = True
        self.finished += 1
        self.changed()

    def cancel(self, received: Received) -> None:
        """The client has left before the answer was finished."""
        if received.finished or received.cancelled:
            return
        received.cancelled = True
        self._cancelled_count += 1
        if self._keep is None:
            self.cancelled.append(received)
        self.changed()

    def changed(self) -> None:
        """Look at what is waited for."""
        for predicate, future in self._waiters:
            if not future.done() and predicate():
                future.set_result(None)

    def _path(self, target: str) -> str:
        path = target.partition("?")[0]
        if not self._prefix:
            return path
        inside = path == self._prefix or path.startswith(self._prefix + "/")
        return path[len(self._prefix) :] or "/" if inside else "/outside-of-prefix"

    def _step_for(self, received: Received) -> Step:
        if self._fault_header and (name := received.header(FAULT_HEADER)):
            try:
                return preset(name)
            except ValueError as error:
                return Step(status=400, body=str(error), headers=[("content-type", "text/plain")])
        keys = received.keys if self._special else []
        for whom, script in self._special.items():
            if whom in keys if isinstance(whom, str) else whom(received):
                return script.step_for(received) or self._default
        return self._script.step_for(received) or self._default

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}({self.request_count} requests, {self.finished} finished, "
            f"{self._cancelled_count} cancelled, {self.open_connections} connections)>"
        )
