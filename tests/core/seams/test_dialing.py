"""Dials that block nobody, and what remains of them when they fail or are given up."""

import pytest
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy.layers.http import HttpLayer

from codemie_core.policy import AttemptPlan, Reason
from codemie_core.seams.dialing import Dial, give_up_dial, why_not_connected
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
        if others:
            assert book.exchange(1).attempts[0].failure is None, "it learns the end of the dial together with the others"
            book.dialed()
            assert len(book.asked) == 1 + others


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


def test_an_expired_dial_is_a_time_out_whatever_it_says() -> None:
    with Playbook() as book:
        dial = Dial(DIAL.address, False, None)
        dial.expired = True
        assert why_not_connected(book.layer, dial, "connection cancelled").reason is Reason.CONNECT_TIMEOUT


def test_many_failed_dials_leave_no_connections_behind() -> None:
    with Playbook(AttemptPlan(max_attempts=1), dials=["refused"] * 20) as book:
        for number in range(20):
            book.ask(2 * number + 1)
        left: list[Connection] = [connection for connection in book.layer.connections if connection is not book.client]
        assert left == []
        assert book.layer.streams == {}
