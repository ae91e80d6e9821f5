import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from codemie_core.cli import status
from codemie_core.demo.absent import closed_port
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry
from support.cli import call

HEALTH = {"status": "ok", "addons": [{"name": "local_endpoints", "state": "active"}]}


class Health(BaseHTTPRequestHandler):
    """A proxy, as far as `status` can see."""

    def do_GET(self) -> None:
        assert self.path == "/health"
        body = json.dumps(HEALTH).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def register(home: Path, *addresses: str, pid: int | None = None) -> RunningProxy:
    own, started = this_process()
    entry = RunningProxy(
        "run-1", pid or own, started, 1_000_000_000.0, addresses, ("reverse:https://a.example",), "0.1.0"
    )
    write_entry(Places(home), entry)
    return entry


def test_no_proxy_is_a_sentence_and_an_empty_list() -> None:
    outcome = call("status")
    assert (outcome.code, outcome.out) == (0, "No proxy is running. Start one: codemie-proxy start\n")
    assert json.loads(call("status", "--json").out) == []


def test_a_running_proxy_is_shown_with_its_health(codemie_home: Path, address: str) -> None:
    entry = register(codemie_home, address)
    header, row = call("status").out.splitlines()
    assert header.split() == ["PID", "Listens", "on", "Mode", "Up", "Version", "Health"]
    assert row.split()[:3] == [str(entry.pid), address, "reverse:https://a.example"]
    assert row.split()[-2:] == ["0.1.0", "ok"]


def test_json_holds_the_entry_and_the_whole_health(codemie_home: Path, address: str) -> None:
    entry = register(codemie_home, address)
    (found,) = json.loads(call("status", "--json").out)
    assert found.pop("health") == HEALTH
    assert found.pop("uptime_seconds") > 0
    assert found == json.loads(json.dumps(dataclasses.asdict(entry)))


def test_a_proxy_of_a_run_is_told_apart(codemie_home: Path, address: str) -> None:
    write_entry(Places(codemie_home), dataclasses.replace(register(codemie_home, address), lent=True))
    assert "(ends with its agent)" in call("status").out


def test_a_proxy_that_does_not_answer_is_told_apart(codemie_home: Path) -> None:
    register(codemie_home, f"127.0.0.1:{closed_port()}")
    assert "no answer" in call("status").out
    assert json.loads(call("status", "--json").out)[0]["health"] is None


def test_the_second_address_is_asked_when_the_first_is_silent(codemie_home: Path, address: str) -> None:
    register(codemie_home, f"127.0.0.1:{closed_port()}", address)
    assert json.loads(call("status", "--json").out)[0]["health"] == HEALTH


def test_a_proxy_that_is_gone_is_not_shown(codemie_home: Path) -> None:
    register(codemie_home, "127.0.0.1:1", pid=2**22 - 1)
    assert call("status", "--json").out == "[]\n"


@pytest.mark.parametrize(
    "health, words",
    [
        (None, "no answer"),
        ({"status": "ok", "addons": [{"name": "a", "state": "active"}, {"name": "b", "state": "disabled"}]}, "ok"),
        (
            {"status": "degraded", "addons": [{"name": "a", "state": "degraded"}, {"name": "b", "state": "failed"}]},
            "degraded: a degraded, b failed",
        ),
        ({}, "unknown"),
    ],
)
def test_health_in_words_names_the_addons_in_trouble(health: dict[str, object] | None, words: str) -> None:
    assert status.in_words(health) == words


@pytest.mark.parametrize(
    "seconds, words",
    [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (3600 + 5 * 60, "1 h 05 min"), (2 * 86400 + 4 * 3600, "2 d 4 h")],
)
def test_uptime_is_as_long_as_people_say_it(seconds: float, words: str) -> None:
    assert status.uptime(seconds) == words
