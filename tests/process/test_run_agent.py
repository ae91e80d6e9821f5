"""`codemie-proxy run` with an agent that does what real ones do: it asks its model, as its environment says."""

import collections
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from codemie_core.demo.script import Step
from codemie_core.places import Places
from codemie_core.running import running_proxies
from support import forged
from support.access import until
from support.cli import COMMAND, Outcome, call, environ
from support.scripted import Scripted
from support.stored import StoredHome
from support.terminal import Terminal

pytestmark = pytest.mark.slow

PATIENCE = 90.0
AGENT = f"""#!{sys.executable}
import json, os, select, signal, sys, time
import httpx

URL = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
KEY = os.environ.get("ANTHROPIC_API_KEY") or os.environ.get("ANTHROPIC_AUTH_TOKEN", "")
MESSAGES = [{{"role": "user", "content": "hi"}}]
BODY = {{"model": "claude-opus-4-5", "stream": True, "max_tokens": 9, "messages": MESSAGES}}

def ask():
    headers = {{"x-api-key": KEY, "user-agent": "claude-cli/2.1.0 (external, cli)"}}
    with httpx.stream("POST", URL + "/v1/messages", json=BODY, headers=headers, timeout=60) as answer:
        text = answer.read().decode()
    print("answer", answer.status_code, "Hello" in text, flush=True)

for word in sys.argv[1:]:
    if word == "ask":
        ask()
    elif word == "environment":
        print(json.dumps(dict(os.environ)), flush=True)
    elif word == "wait":
        # By a descriptor: a signal that comes just before a blocking read would be heard of after it.
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
        print("waits", sys.stdin.isatty(), sys.stdout.isatty(), flush=True)
        while sys.stdin not in select.select([sys.stdin, woken], [], [])[0]:
            os.read(woken, 64)
        print("typed", input(), flush=True)
    else:
        sys.exit(int(word))
"""


class Room:
    """A folder with the agent on the PATH, and a home."""

    def __init__(self, root: Path, home: Path, upstream: Scripted) -> None:
        self.home, self.places, self.upstream = home, Places(home), upstream
        bin_folder = root / "bin"
        bin_folder.mkdir()
        self.agent = bin_folder / "claude"
        self.agent.write_text(AGENT)
        self.agent.chmod(0o755)
        self.path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"

    def command(self, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        return [*COMMAND, "run", "--target", self.upstream.url, *options, "claude", *words]

    def environ(self, **more: str) -> dict[str, str]:
        return environ(PATH=self.path, ANTHROPIC_API_KEY="planted-own", **more)

    def run(self, *words: str, options: tuple[str, ...] = (), env: Mapping[str, str] | None = None) -> Outcome:
        done = forged.run(self.command(*words, options=options), env or self.environ(), timeout=PATIENCE)
        return Outcome(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[tuple["subprocess.Popen[str]", int]]:
        """An agent that waits for a line, and the process of its proxy."""
        process = forged.start(self.command("ask", "wait", "ask", "5"), self.environ(), stdin=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "answer 200 True\n"
            assert process.stdout.readline() == "waits False False\n"
            [entry] = running_proxies(self.places)
            yield process, entry.pid
        finally:
            process.kill()
            process.communicate()

    def nothing_is_left(self) -> bool:
        return not list(running_proxies(self.places)) and not list(self.places.run.iterdir())


def sessions() -> dict[str, int]:
    """How many requests each session had."""
    return collections.Counter(row["session_id"] for row in json.loads(call("requests", "--json").out))


@pytest.fixture
def room(tmp_path: Path, codemie_home: Path) -> Iterator[Room]:
    with Scripted() as upstream:
        upstream.script(then=Step(text="Hello"))
        yield Room(tmp_path, codemie_home, upstream)


def test_the_agent_is_led_to_its_model_and_everything_ends_with_it(room: Room) -> None:
    # A company's proxy that nobody can reach: what goes to this machine does not go there.
    env = room.environ(HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    assert room.run("ask", "ask", "7", env=env) == Outcome(7, "answer 200 True\nanswer 200 True\n", "")
    assert [request.keys for request in room.upstream.requests] == [["planted-own"]] * 2
    assert room.nothing_is_left()
    assert len(sessions()) == 1


def test_by_https_proxy_the_agent_believes_it_talks_to_its_vendor(room: Room) -> None:
    found = room.run("ask", "environment", options=("--via", "https-proxy"))
    assert (found.code, found.err) == (0, "")
    said, variables = found.out.splitlines()
    seen: dict[str, str] = json.loads(variables)
    assert said == "answer 200 True"
    # It was sent away from its vendor, with the vendor's key left behind.
    assert [request.keys for request in room.upstream.requests] == [[]]
    assert seen["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert "ANTHROPIC_BASE_URL" not in seen
    assert stat.S_IMODE(Path(seen["SSL_CERT_FILE"]).parent.stat().st_mode) == 0o700
    assert room.nothing_is_left()


def test_the_agent_sees_no_secret_of_ours(room: Room) -> None:
    StoredHome(room.home).key("main", room.upstream.url, "planted-account")
    added = call("accounts", "add", "work", "--provider", "anthropic", "--env", "ANTHROPIC_API_KEY")
    assert added.code == 0, added.err
    planted = {
        name: f"planted-{name}"
        for name in ("CODEMIE_JWT_TOKEN", "CODEMIE_VAULT_KEY", "CODEMIE_ADMIN_TOKEN", "CODEMIE_TEAM_TOKEN")
    }
    found = room.run("environment", "ask", options=("--own",), env=room.environ(**planted))
    assert found.code == 0, found.err
    variables, said = found.out.splitlines()
    seen: dict[str, Any] = json.loads(variables)
    assert "planted" not in variables
    assert (room.places.proxy / "admin.token").read_text() not in variables
    # A key that is an account's stays with the proxy; the agent gets a word in its place.
    assert seen["ANTHROPIC_AUTH_TOKEN"] == "proxy-handled"
    assert said == "answer 200 True"
    assert [request.keys for request in room.upstream.requests] == [["planted-account"]]


@pytest.mark.parametrize("via", ["base-url", "https-proxy"])
def test_where_client_keys_are_asked_for_the_agent_shows_its_users(room: Room, via: str) -> None:
    key = json.loads(call("keys", "add", "me", "--json").out)["key"]
    env = {**room.environ(CODEMIE_CLIENT_KEY=key), "ANTHROPIC_API_KEY": ""}
    found = room.run("ask", options=("--via", via), env=env)
    assert (found.code, found.out, found.err) == (0, "answer 200 True\n", "")


def test_who_has_no_client_key_is_told_how_to_get_one(room: Room) -> None:
    assert call("keys", "add", "somebody else").code == 0
    assert "codemie-proxy keys add NAME" in room.run("environment").err


def test_a_proxy_that_cannot_start_says_why_and_the_agent_is_not_started(room: Room) -> None:
    found = room.run("ask", options=("--set", "codemie_no_such_option=1"))
    assert (found.code, found.out) == (1, "")
    assert "codemie_no_such_option" in found.err
    assert "Traceback" not in found.err
    assert room.upstream.requests == []


def test_an_agent_that_is_not_there_starts_nothing(room: Room) -> None:
    found = room.run("ask", env=environ(PATH=str(Path(sys.executable).parent)))
    assert (found.code, found.out) == (127, "")
    assert "npm install -g @anthropic-ai/claude-code" in found.err
    assert not room.places.run.exists()


def test_closed_standard_input_is_no_hindrance(room: Room) -> None:
    closed = ["bash", "-c", 'exec "$@" <&-', "bash", *room.command("ask")]
    done = subprocess.run(closed, env=room.environ(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "answer 200 True\n", "")


def test_a_killed_proxy_comes_back_and_others_beside_it_notice_nothing(room: Room) -> None:
    with room.waiting() as (process, pid):
        os.kill(pid, signal.SIGKILL)
        beside = room.run("ask")
        assert (beside.code, beside.err) == (0, "")
        until(lambda: any(one.pid != pid for one in running_proxies(room.places)), timeout=PATIENCE)
        out, err = process.communicate("go on\n", timeout=PATIENCE)
    assert (process.returncode, out) == (5, "typed go on\nanswer 200 True\n")
    assert "started again (1)" in err
    assert not list(running_proxies(room.places))
    # What a killed proxy had not written down yet is lost, but its successor goes on with its session.
    assert len(sessions()) == 2


def test_on_a_terminal_the_agent_has_it_and_ctrl_c_is_the_agents(room: Room) -> None:
    with Terminal(room.command("ask", "wait", "3"), room.environ()) as terminal:
        terminal.wait_for("waits True True\n", PATIENCE)
        terminal.type("\x03")
        terminal.wait_for("interrupted\n", PATIENCE)
        terminal.type("and on\n")
        terminal.wait_for("typed and on\n", PATIENCE)
        assert terminal.wait(PATIENCE) == 3
        assert terminal.screen.count("interrupted") == 1
    assert room.nothing_is_left()
