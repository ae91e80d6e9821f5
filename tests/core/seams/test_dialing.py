"""Dials that block nobody, and what remains of them when they fail or are given up."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.connection import Connection, Server
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HttpLayer

from codemie_core.access.own_address import LOOP
from codemie_core.policy import AttemptPlan, Failure, Reason
from codemie_core.seams.dialing import Dial, answer_every_dial, give_up_dial, why_not_connected
from support.playbook import Playbook

PLAN = AttemptPlan()


def waiting_dials(layer: HttpLayer) -> list[Dial]:
    return [dial for dials in layer.waiting_for_establishment.values() for dial in dials if isinstance(dial, Dial)]


def test_while_a_dial_goes_on_the_stream_hears_its_client() -> None:
    with Playbook(dials=["pending"]) as book:
        book.ask()
        assert len(waiting_dials(book.layer)) == 1
        book.leave()
        assert book.count("hook error") == 1


def test_a_connection_that_stands_is_used_at_once() -> None:
    with Playbook(alpn=b"h2") as book:
        book.ask(1)
        book.ask(3)
        assert book.count("open") == 1
        assert book.asked == [1, 3]


@pytest.mark.parametrize("others", [0, 1, 2])
def test_a_deadline_cancels_the_dial_only_when_nobody_else_waits_for_it(others: int) -> None:
    with Playbook(dials=["pending"], alpn=b"h2") as book:
        book.ask(1)
        book.advance(PLAN.connect_timeout / 2)
        for number in range(others):
            book.ask(3 + 2 * number)
        book.advance(PLAN.connect_timeout / 2 + 0.01)
        assert book.count("close") == (0 if others else 1)
        (attempt,) = book.exchange(1).attempts
        assert attempt.failure == Failure(Reason.CONNECT_TIMEOUT), "it does not wait for what becomes of the dial"
        if others:
            book.dialed()
            assert book.asked == [3 + 2 * number for number in range(others)]


def test_the_last_one_that_waits_cancels_it_for_all() -> None:
    with Playbook(AttemptPlan(max_attempts=1), dials=["pending"], alpn=b"h2") as book:
        book.ask(1)
        book.advance(1.0)
        book.ask(3)
        book.advance(PLAN.connect_timeout)
        assert book.count("close") == 1
        for number in (1, 3):
            assert book.response(number).status_code == 504
            (attempt,) = book.exchange(number).attempts
            assert attempt.failure is not None
            assert attempt.failure.reason is Reason.CONNECT_TIMEOUT


def test_a_request_given_up_does_not_keep_a_dial_alive_for_one_that_expired() -> None:
    with Playbook(dials=["pending"], alpn=b"h2") as book:
        book.ask(1)
        book.ask(3)
        book.leave(1)
        assert book.count("close") == 0
        book.leave(3)
        assert book.count("close") == 1
        assert book.layer.streams == {}


def test_a_dial_nobody_waits_for_is_not_looked_for() -> None:
    with Playbook(dials=["pending"]) as book:
        book.ask()
        stranger = Dial(("other.test", 80), False, None)
        assert list(give_up_dial(book.layer, stranger)) == []


def test_behind_an_outbound_proxy_the_connection_to_the_proxy_is_closed() -> None:
    with Playbook(dials=["pending"]) as book:
        book.ask()
        (dial,) = waiting_dials(book.layer)
        (connection,) = book.layer.waiting_for_establishment
        to_proxy = Server(address=("proxy.test", 3128))
        book.layer.connections[connection].tunnel_connection = to_proxy  # type: ignore[attr-defined] # as mitmproxy's TunnelLayer has it
        dial.abandoned = True
        (close,) = give_up_dial(book.layer, dial)
        assert isinstance(close, commands.CloseConnection)
        assert close.connection is to_proxy


DIAL = Dial(("upstream.test", 80), False, None)


def failed_connection(**changes: object) -> Server:
    server = Server(address=("upstream.test", 80))
    server.error = "Connection refused"
    for name, value in changes.items():
        setattr(server, name, value)
    return server


@pytest.mark.parametrize(
    "changes, error, reason, kept, forgiven",
    [
        ({}, "Connection refused", Reason.CONNECT_FAILED, False, True),
        ({}, "Name or service not known", Reason.DNS_FAILED, False, True),
        ({"timestamp_tcp_setup": 1.0}, "The handshake broke", Reason.TLS_FAILED, True, True),
        ({"via": ("http", ("proxy.test", 3128))}, "Connection refused", Reason.CONNECT_FAILED, True, True),
        ({"address": ("other.test", 80)}, "Connection refused", Reason.CONNECT_FAILED, True, False),
        ({"error": None}, "Connection refused", Reason.CONNECT_FAILED, True, False),
    ],
)
def test_a_failed_dial_leaves_no_error_for_the_next(
    changes: dict[str, object], error: str, reason: Reason, kept: bool, forgiven: bool
) -> None:
    with Playbook() as book:
        server = failed_connection(**changes)
        was = server.error
        dial = Dial(DIAL.address, False, server.via if "via" in changes else None)
        book.layer.connections[server] = book.layer
        assert why_not_connected(book.layer, dial, error).reason is reason
        assert (server in book.layer.connections) is kept
        assert server.error == (None if forgiven else was)


@pytest.mark.parametrize(
    "via, named",
    [
        (None, "upstream.test:80"),
        (("http", ("proxy.test", 3128)), "the outbound proxy on the way to it is proxy.test:3128"),
    ],
)
def test_a_dial_that_leads_back_names_what_was_dialed(via: ServerSpec | None, named: str) -> None:
    with Playbook() as book:
        failure = why_not_connected(book.layer, Dial(DIAL.address, False, via), f"Connection killed: {LOOP}")
    assert failure == Failure(Reason.LEADS_BACK, named)


def test_nobody_joins_those_who_wait_for_a_dial_that_was_given_up() -> None:
    """A connection that hangs may take minutes to be gone."""
    with Playbook(dials=["pending"], alpn=b"h2") as book:
        book.ask(1)
        (dial,) = waiting_dials(book.layer)
        (close,) = give_up_dial(book.layer, dial)
        assert isinstance(close, commands.CloseConnection)
        book.ask(3)
        assert book.count("open") == 2
        assert book.asked == [3]


def test_dials_that_were_given_up_leave_no_connections_behind() -> None:
    with Playbook(AttemptPlan(max_attempts=1), dials=["pending"] * 10) as book:
        for number in range(5):
            book.ask(2 * number + 1)
            book.advance(PLAN.connect_timeout + 0.01)
            book.ask(2 * number + 101)
            book.leave(2 * number + 101)
        assert book.count("close") == 10
        assert [connection for connection in book.layer.connections if connection is not book.client] == []


def test_a_connection_that_was_given_up_and_stands_after_all_may_close() -> None:
    with Playbook(dials=["hanging", "hanging"], alpn=b"h2") as book:
        for number in (1, 3):
            book.ask(number)
            book.leave(number)
        assert len(book.pending) == 2
        book.dialed("connection cancelled")
        book.dialed()
        book.feed(events.ConnectionClosed(book.servers[0]))
        assert book.layer.streams == {}


def test_many_failed_dials_leave_no_connections_behind() -> None:
    with Playbook(AttemptPlan(max_attempts=1), dials=["refused"] * 20) as book:
        for number in range(20):
            book.ask(2 * number + 1)
        left: list[Connection] = [connection for connection in book.layer.connections if connection is not book.client]
        assert left == []
        assert book.layer.streams == {}


class Handler:
    """What of mitmproxy's connection handler matters here: its dial fails like this."""

    def __init__(self, error: Exception | None, peername: tuple[str, int] | None) -> None:
        self.error, self.peername = error, peername
        self.transports: dict[Connection, Any] = {}
        self.told: list[events.Event] = []

    async def open_connection(self, command: commands.OpenConnection) -> None:
        command.connection.peername = self.peername
        if self.error:
            raise self.error

    async def server_event(self, event: events.Event) -> None:
        self.told.append(event)


@pytest.mark.parametrize("writer", [None, "open", "no transport"])
async def test_a_dial_whose_peer_resets_at_once_fails_instead_of_being_forgotten(writer: str | None) -> None:
    handler, closed = Handler(AssertionError(), None), []
    answer_every_dial(handler)  # type: ignore[arg-type] # has what is needed of one
    command = commands.OpenConnection(Server(address=("upstream.test", 80)))
    if writer != "no transport":
        open_writer = SimpleNamespace(close=lambda: closed.append(True))
        handler.transports[command.connection] = SimpleNamespace(writer=open_writer if writer else None)
    await handler.open_connection(command)
    (event,) = handler.told
    assert isinstance(event, events.OpenConnectionCompleted)
    assert (event.command, event.reply) == (command, "connection reset by peer")
    assert (command.connection.error, command.connection.connected) == (event.reply, False)
    assert handler.transports == {}
    assert len(closed) == (1 if writer == "open" else 0)


async def test_a_dial_that_goes_well_is_left_alone() -> None:
    handler = Handler(None, ("127.0.0.1", 1))
    answer_every_dial(handler)  # type: ignore[arg-type] # has what is needed of one
    await handler.open_connection(commands.OpenConnection(Server(address=("upstream.test", 80))))
    assert handler.told == []


@pytest.mark.parametrize(
    "error, peername", [(AssertionError(), ("127.0.0.1", 1)), (OSError(), None), (asyncio.CancelledError(), None)]
)
async def test_other_failures_of_mitmproxys_dial_stay_its_own(
    error: Exception, peername: tuple[str, int] | None
) -> None:
    handler = Handler(error, peername)
    answer_every_dial(handler)  # type: ignore[arg-type] # has what is needed of one
    with pytest.raises(type(error)):
        await handler.open_connection(commands.OpenConnection(Server(address=("upstream.test", 80))))
    assert handler.told == []
