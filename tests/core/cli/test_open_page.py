"""`open`, before something that answers as the admin API does; a process test opens a real one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from codemie_core.admin.token import admin_token
from codemie_core.demo.absent import closed_port
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry
from support.cli import call


class Door(BaseHTTPRequestHandler):
    """The admin API, as far as `open` can see."""

    answer: tuple[int, bytes] = (201, b'{"code": "c-1", "expiresIn": 60}')
    asked: list[tuple[str, str]]

    def do_POST(self) -> None:
        type(self).asked.append((self.path, self.headers["authorization"]))
        status, body = type(self).answer
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def door() -> Iterator[type[Door]]:
    class Fresh(Door):
        asked: list[tuple[str, str]] = []  # noqa: RUF012 - each test has a class of its own
        port = 0

    with HTTPServer(("127.0.0.1", 0), Fresh) as server:
        Fresh.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Fresh
        server.shutdown()
        thread.join()


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


def register(places: Places, admin_port: int | None, run: str = "run-1", port: int = 8080, at: float = 1.0) -> None:
    pid, started = this_process()
    address = (f"127.0.0.1:{port}",)
    write_entry(places, RunningProxy(run, pid, started, at, address, ("regular",), "0.1.0", admin_port))


def port_of(door: type[Door]) -> int:
    return int(vars(door)["port"])


def test_the_address_that_signs_in_is_printed_where_no_browser_is_wanted(places: Places, door: type[Door]) -> None:
    register(places, port_of(door))
    token = admin_token(places).get_secret_value()
    outcome = call("open", "--no-browser")
    assert outcome.out == f"http://127.0.0.1:{port_of(door)}/?code=c-1\n"
    assert door.asked == [("/api/session/code", f"Bearer {token}")]


def test_any_page_can_be_opened(places: Places, door: type[Door]) -> None:
    register(places, port_of(door))
    admin_token(places)
    outcome = call("open", "--no-browser", "--page", "/requests?status=error")
    assert outcome.out.endswith("/requests?status=error&code=c-1\n")
    assert call("open", "--page", "requests").err == "codemie-proxy: --page requests: write it like /accounts\n"


def test_without_a_browser_the_address_is_shown_all_the_same(
    places: Places, door: type[Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSH_CONNECTION", "somewhere")
    register(places, port_of(door))
    admin_token(places)
    outcome = call("open")
    assert "The dashboard of the proxy at 127.0.0.1:8080" in outcome.out
    assert f"http://127.0.0.1:{port_of(door)}/?code=c-1" in outcome.out


def test_the_browser_is_opened_there(
    places: Places, door: type[Door], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script, seen = tmp_path / "browser", tmp_path / "seen"
    script.write_text(f'#!/bin/sh\necho "$1" > "{seen}"\n')
    script.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(script))
    register(places, port_of(door))
    admin_token(places)
    outcome = call("open")
    assert outcome.out == "The dashboard of the proxy at 127.0.0.1:8080\n"
    assert seen.read_text() == f"http://127.0.0.1:{port_of(door)}/?code=c-1\n"


def test_of_several_proxies_the_newest_is_meant_or_the_one_that_is_named(places: Places, door: type[Door]) -> None:
    admin_token(places)
    register(places, port_of(door), "run-1", 8080, at=1.0)
    register(places, closed_port(), "run-2", 9000, at=2.0)
    assert call("open", "--no-browser").code == 1
    assert call("open", "--no-browser", "--port", "8080").code == 0


def test_where_none_runs_it_says_how_to_start_one(places: Places) -> None:
    outcome = call("open")
    assert (outcome.code, outcome.err) == (
        1,
        "codemie-proxy: no proxy is running; start one: codemie-proxy start\n",
    )
    register(places, 1)
    assert "no proxy listens on port 9999" in call("open", "--port", "9999").err


def test_a_proxy_without_the_addon_is_named_with_the_way_to_have_it(places: Places) -> None:
    register(places, None)
    assert "has no admin API" in call("open").err


def test_a_door_that_does_not_answer_is_a_sentence(places: Places) -> None:
    admin_token(places)
    register(places, port := closed_port())
    outcome = call("open")
    assert outcome.code == 1
    assert f"the admin API on port {port} does not answer (ConnectionRefusedError)" in outcome.err


@pytest.mark.parametrize(
    "answer, words",
    [
        ((429, json.dumps({"detail": "Too many wrong tokens."}).encode()), "gave no way in: Too many wrong tokens."),
        ((200, b"<html>"), "does not answer (JSONDecodeError)"),
        ((201, b"{}"), "does not answer (KeyError)"),
    ],
)
def test_whoever_else_answers_there_is_not_believed(
    places: Places, door: type[Door], answer: tuple[int, bytes], words: str
) -> None:
    door.answer = answer
    register(places, port_of(door))
    token = admin_token(places).get_secret_value()
    outcome = call("open")
    assert outcome.code == 1
    assert words in outcome.err
    assert token not in outcome.err
