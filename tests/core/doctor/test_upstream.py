import json
import shutil
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import Message
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from codemie_core.daemon.order import Order
from codemie_core.daemon.state import DaemonState, write_state
from codemie_core.demo.absent import closed_port
from codemie_core.doctor import upstream
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.launch.nesting import RUN
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry
from support.certificates import Authority
from support.patient import levels, surroundings, told

NOW = 1_800_000_000.0


class Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A handshake that fails is what some tests want."""


@contextmanager
def answering(
    context: ssl.SSLContext | None = None, date: float = NOW, seen: list[tuple[str, Message]] | None = None
) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            if seen is not None:
                seen.append((self.requestline, self.headers))
            self.send_response_only(404)
            self.send_header("date", formatdate(date, usegmt=True))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with Quiet(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers is waited for."""
    monkeypatch.setattr(upstream, "SECONDS", 60.0)


def at(home: Path, target: str, **environ: str) -> Surroundings:
    """With a clock that stands."""
    return replace(surroundings(home, target, **environ), now=lambda: NOW)


def test_without_a_target_there_is_nobody_to_ask(codemie_home: Path) -> None:
    (found,) = upstream.reach(surroundings(codemie_home))
    assert (found.level, found.fix.startswith("codemie-proxy doctor https://")) == ("note", True)


def test_a_target_that_answers_whatever_it_says_can_be_reached(codemie_home: Path) -> None:
    seen: list[tuple[str, Message]] = []
    with answering(seen=seen) as port:
        found = told(
            upstream.reach(at(codemie_home, f"http://127.0.0.1:{port}/code-assistant-api", ANTHROPIC_API_KEY="x"))
        )
    assert found == [
        ("ok", f"http://127.0.0.1:{port} answers (404)"),
        ("ok", f"this machine's clock agrees with http://127.0.0.1:{port}"),
    ]
    # Asked once, for nothing, and without a credential.
    [(line, headers)] = seen
    assert line == "HEAD /code-assistant-api HTTP/1.1"
    assert not {"authorization", "cookie", "x-api-key"} & {name.lower() for name in headers}


@pytest.mark.parametrize(
    "skew, level, words",
    [(119, "ok", "agrees"), (300, "warning", "5 min ahead of"), (-7200, "warning", "120 min behind")],
)
def test_clocks_may_differ_by_two_minutes(skew: float, level: str, words: str, codemie_home: Path) -> None:
    with answering(date=NOW - skew) as port:
        found = list(upstream.reach(at(codemie_home, f"http://127.0.0.1:{port}")))
    assert (found[1].level, words in found[1].what) == (level, True)


def test_where_proxies_lead_is_looked_at_and_the_profile(codemie_home: Path) -> None:
    with answering() as port:
        pid, started = this_process()
        modes = (f"reverse:http://127.0.0.1:{port}@8080", "regular")
        write_entry(Places(codemie_home), RunningProxy("one", pid, started, 1.0, (), modes, "1"))
        profile = f'{{"provider": "litellm", "baseUrl": "http://127.0.0.1:{closed_port()}"}}'
        (codemie_home / "codemie-cli.config.json").write_text(profile)
        assert levels(upstream.reach(at(codemie_home, ""))) == ["ok", "ok", "problem"]


def test_where_the_daemon_is_to_lead_is_looked_at_though_it_does_not_run(codemie_home: Path) -> None:
    with answering() as port:
        here = f"http://127.0.0.1:{port}"
        order = Order(here, retarget=(f"api.anthropic.com={here}/code-assistant-api", f"b.example={here}"))
        write_state(Places(codemie_home), DaemonState(999999, "1", 1.0, order, "", 8080))
        found = told(upstream.reach(at(codemie_home, "")))
    assert [what for _, what in found if "answers" in what] == [f"{here} answers (404)"] * 2


def test_a_file_that_came_with_a_folder_has_nobody_called(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, Message]] = []
    folder = codemie_home.parent / "their repository"
    (folder / ".codemie").mkdir(parents=True)
    monkeypatch.chdir(folder)
    with answering(seen=seen) as port:
        url = f"http://127.0.0.1:{port}"
        text = f'{{"provider": "litellm", "baseUrl": "{url}"}}'
        (folder / ".codemie" / "codemie-cli.config.json").write_text(text)
        (found,) = upstream.reach(at(codemie_home, ""))
        assert (found.level, found.fix, seen) == ("note", f"codemie-proxy doctor {url}", [])
        assert f"leads to {url}, which was not asked" in found.what
        # Whoever names it wants it.
        assert levels(upstream.reach(at(codemie_home, url))) == ["ok", "ok"]


def test_a_name_that_takes_minutes_to_be_resolved_holds_nobody_up(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "SECONDS", 0.3)
    release, ended = threading.Event(), []

    def resolve(*_: object, **__: object) -> list[object]:
        release.wait(60)
        ended.append(1)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    before = set(threading.enumerate())
    try:
        (found,) = upstream.reach(at(codemie_home, "https://slow.example"))
        assert not ended
        assert "does not answer within 0.3 s" in found.what
        # The end of the process would wait for a thread that is none of these.
        assert all(thread.daemon for thread in set(threading.enumerate()) - before)
    finally:
        release.set()


@pytest.mark.parametrize(
    "system, there, fix",
    [
        ("darwin", False, "sudo sntp -sS time.apple.com"),
        ("linux", True, "sudo timedatectl set-ntp true"),
        ("linux", False, "set the clock of this machine; in a container, that of its host"),
    ],
)
def test_a_clock_is_set_as_this_system_does_it(
    system: str, there: bool, fix: str, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/timedatectl" if there else None)
    with answering(date=NOW - 3600) as port:
        assert list(upstream.reach(at(codemie_home, f"http://127.0.0.1:{port}")))[1].fix == fix


def test_who_refuses_is_told_from_who_is_not_known(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = upstream.reach(at(codemie_home, f"http://127.0.0.1:{closed_port()}"))
    assert (found.level, "cannot be reached" in found.what) == ("problem", True)

    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    # Who answers for names here may take its time, or be somebody who answers for all of them.
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    (found,) = upstream.reach(at(codemie_home, "https://no-such-host.invalid"))
    assert (found.level, found.what) == ("problem", "the name no-such-host.invalid cannot be resolved")
    (found,) = upstream.reach(at(codemie_home, "ftp://a.example"))
    assert (found.level, found.fix) == ("problem", "write https://host[:port][/path]")


def test_who_takes_the_connection_and_says_nothing_is_left(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (found,) = upstream.reach(at(codemie_home, f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert (found.level, "does not answer within 0.5 s" in found.what) == ("problem", True)


def test_a_certificate_nobody_vouches_for_is_told_and_the_users_authority_counts(
    codemie_home: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    with answering(authority.server()) as port:
        target = f"https://localhost:{port}"
        (found,) = upstream.reach(at(codemie_home, target))
        assert (found.level, "is not trusted" in found.what) == ("problem", True)
        assert "export CODEMIE_UPSTREAM_ATTEMPTS_CA_FILE=FILE" in found.fix
        mended = at(codemie_home, target, CODEMIE_UPSTREAM_ATTEMPTS_CA_FILE=str(authority.pem))
        assert levels(upstream.reach(mended)) == ["ok", "ok"]


def test_a_target_that_speaks_no_tls_is_told(codemie_home: Path) -> None:
    with answering() as port:
        (found,) = upstream.reach(at(codemie_home, f"https://127.0.0.1:{port}"))
    assert (found.level, "TLS handshake" in found.what) == ("problem", True)


def test_the_way_is_that_of_the_shell_before_an_agent_was_led_here(codemie_home: Path) -> None:
    """`run` and `env` set HTTPS_PROXY to a proxy of ours and remember what stood there."""
    before = {"HTTPS_PROXY": f"http://127.0.0.1:{closed_port()}"}
    mark = {"agent": "claude", "via": "https-proxy", "url": "http://127.0.0.1:1", "before": before, "depth": 1}
    with socket.create_server(("127.0.0.1", 0)) as ours:
        environ = {"HTTPS_PROXY": f"http://127.0.0.1:{ours.getsockname()[1]}", RUN: json.dumps(mark)}
        (found,) = upstream.reach(at(codemie_home, "https://a.invalid", **environ))
    assert before["HTTPS_PROXY"].removeprefix("http://") in found.what


def test_an_outbound_proxy_that_is_not_there_is_the_one_that_is_named(codemie_home: Path) -> None:
    proxy = f"http://ann:hunter2-planted@127.0.0.1:{closed_port()}"
    (found,) = upstream.reach(at(codemie_home, "https://a.invalid", HTTPS_PROXY=proxy))
    assert found.level == "problem"
    assert "outbound proxy" in found.what
    assert "planted" not in str(found)


@contextmanager
def refusing(answer: str) -> Iterator[int]:
    """An outbound proxy that answers every CONNECT so."""

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_response_only(int(answer[:3]), answer[4:])
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with Quiet(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(10)


@pytest.mark.parametrize(
    "answer, fix",
    [
        ("407 planted words", "the user and the password in HTTPS_PROXY"),
        ("401 Unauthorized", "the user and the password in HTTPS_PROXY"),
        ("403 Forbidden", "whether it allows that address"),
        ("503 Service Unavailable", "check the target"),
    ],
)
def test_what_an_outbound_proxy_answers_is_told_with_what_helps(answer: str, fix: str, codemie_home: Path) -> None:
    with refusing(answer) as port:
        around = at(codemie_home, "https://api.test", HTTPS_PROXY=f"http://someone:planted-pass@127.0.0.1:{port}")
        (found,) = upstream.reach(around)
    words = f"the outbound proxy 127.0.0.1:{port} answers {answer[:3]} when asked for https://api.test:443"
    assert (found.level, found.what) == ("problem", words)
    assert fix in found.fix
    assert "planted" not in str(found)


def test_behind_an_outbound_proxy_it_is_that_name_which_cannot_be_resolved(codemie_home: Path) -> None:
    around = at(codemie_home, "https://api.test", HTTPS_PROXY="http://no-such-host.invalid:3128")
    (found,) = upstream.reach(around)
    assert found.what.startswith("the name no-such-host.invalid cannot be resolved")
