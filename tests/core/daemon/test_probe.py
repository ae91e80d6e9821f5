import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from codemie_core.daemon.probe import asked_at, probe
from codemie_core.demo.absent import closed_port


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_proxy_that_says_it_is_well_is_ok() -> None:
    with answering(json.dumps({"status": "degraded", "run_id": "one"}).encode()) as address:
        answer = probe(address, run_id="one")
    assert (answer.state, answer.words) == ("ok", "degraded")
    assert answer.health == {"status": "degraded", "run_id": "one"}


def test_where_nobody_listens_the_socket_is_dead() -> None:
    answer = probe(f"127.0.0.1:{closed_port()}")
    assert answer.state == "dead-socket"
    assert "nobody listens" in answer.words


def test_another_proxy_on_the_port_is_not_the_one_that_was_meant() -> None:
    with answering(b'{"status": "ok", "run_id": "two"}') as address:
        assert probe(address, run_id="one").state == "dead-socket"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"up": true}', b"\xff\xfe"])
def test_an_answer_that_is_none_of_health_is_an_answer(body: bytes) -> None:
    with answering(body) as address:
        answer = probe(address, run_id="one")
    assert (answer.state, answer.health) == ("ok", None)
    assert "local_endpoints" in answer.words


def test_who_takes_the_connection_and_says_nothing_is_unhealthy_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = probe(f"127.0.0.1:{silent.getsockname()[1]}", seconds=0.2)
    assert answer.state == "unhealthy"
    assert answer.words == "/health does not answer within 0.2 s"


@pytest.mark.parametrize(
    "listens, asked", [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("[::1]", "::1"), ("10.0.0.1", "10.0.0.1")]
)
def test_what_listens_everywhere_is_asked_on_this_machine(listens: str, asked: str) -> None:
    assert asked_at(listens) == asked
