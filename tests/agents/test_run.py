"""`codemie-proxy run AGENT` with the real agents: it starts the proxy, leads the agent to it, and ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.running import running_proxies
from support.access import until
from support.agents_clients import PATIENCE, Claude, Client, Codex, CodexWebSocket, FromNpm, Gemini, OpenCode
from support.agents_room import LATE, Room, installed
from support.agents_wire import INPUT, OUTPUT
from support.proxy import ADDONS

WORD = "quetzalcoatl"
COMMAND = f"printf %s {WORD} > result.txt; cat result.txt"
CASES: list[tuple[FromNpm, str]] = [
    (Claude(), "base-url"),
    (Claude(), "https-proxy"),
    (Codex(), "base-url"),
    (CodexWebSocket(), "https-proxy"),
    (Gemini(), "base-url"),
    (Gemini(), "https-proxy"),
    (OpenCode(), "base-url"),
    (OpenCode(), "https-proxy"),
]


def environ(place: Room, client: FromNpm) -> dict[str, str]:
    """The terminal of somebody who has accounts and an installed agent, and no way to the world outside."""
    nowhere = f"http://127.0.0.1:{closed_port()}"
    programs = f"{Path(client.executable).parent}:{os.environ['PATH']}"
    return {
        **client.user(place.folder),
        "PATH": programs,
        "PYTHONPATH": str(ADDONS),
        "CODEMIE_HOME": str(place.home.places.home),
        "CODEMIE_KEYRING": "0",
        "HTTPS_PROXY": nowhere,
        "HTTP_PROXY": nowhere,
        "NO_PROXY": "localhost,127.0.0.1",
    }


def command(place: Room, client: FromNpm, via: str, prompt: str) -> list[str]:
    """What one types."""
    run = [sys.executable, "-P", "-m", "codemie_core.cli", "run", "--via", via, "--target", place.upstream_url]
    if place.authority:
        run += ["--set", f"codemie_upstream_attempts_ca_file={place.authority}"]
    _, *arguments = client.command(prompt, False)
    return [*run, client.program, *arguments]


@pytest.fixture
def prepared(client: Client, via: str, tmp_path: Path) -> Room:
    """The upstream and the pool; the proxy is for `run` to start."""
    installed(client)
    return Room(client, "base-url" if via == "base-url" else "https-proxy", tmp_path, own_proxy=False)


@pytest.mark.scenario("codemie-proxy run")
@pytest.mark.parametrize(("client", "via"), [pytest.param(*case, id=f"{case[0].name}-{case[1]}") for case in CASES])
def test_run_serves_the_agent_and_leaves_nothing_running(prepared: Room, client: FromNpm, via: str) -> None:
    with prepared as place:
        place.says(place.runs(COMMAND), place.words("It is written."))
        done = subprocess.run(
            command(place, client, via, "Write the word down"),
            cwd=place.folder,
            env=environ(place, client),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
        assert "It is written." in client.words(done.stdout)
        assert (place.folder / "result.txt").read_text() == WORD
        assert set(place.accounts) == {"main"}
        assert not list(running_proxies(place.home.places)), "the proxy has ended with the agent"
        rows = place.rows(2)
        assert {(row["input_tokens"], row["output_tokens"], row["account"]) for row in rows} == {
            (INPUT, OUTPUT, "main")
        }
        [session] = {row["session_id"] for row in rows}
        assert str(uuid.UUID(session)) == session
        assert place.leaks() == []


@pytest.mark.parametrize(("client", "via"), [pytest.param(Claude(), "base-url", id="claude-base-url")])
def test_run_passes_on_the_signal_that_ends_it(prepared: Room, client: FromNpm, via: str) -> None:
    with prepared as place:
        gate = place.upstream.call(place.upstream.upstream.gate)
        place.says(place.words("This is never said as a whole", gate=gate))
        running = subprocess.Popen(
            command(place, client, via, "Say something"),
            cwd=place.folder,
            env=environ(place, client),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until(lambda: gate.waiting > 0, LATE)
            running.send_signal(signal.SIGTERM)
            assert running.wait(LATE) == 128 + signal.SIGTERM
            until(lambda: any(turn.cancelled for turn in place.turns), LATE)
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
        assert not place.ended_as("client_cancelled")["complete"]
        assert not list(running_proxies(place.home.places))
