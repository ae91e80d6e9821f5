"""`codemie-proxy stats`, `sessions`, `requests` and `export` as processes, on SQLite and on PostgreSQL."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from codemie_core.demo.threaded import UpstreamThread
from codemie_core.places import Places
from codemie_core.store.database import open_database
from codemie_core.store.place import DATABASE_VARIABLE
from support import forged, turn_rows
from support.cli import COMMAND, environ, run
from support.history_cli import keep, now_ms, some_turns
from support.postgres import Postgres, running_postgres
from support.proxy import reverse
from support.turn_rows import new_turn

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=BOTH)
def history(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "postgres":
        monkeypatch.setenv(DATABASE_VARIABLE, request.getfixturevalue("postgres").new_database())
    keep(some_turns())


def test_every_command_answers(history: None, tmp_path: Path) -> None:
    commands = [
        *(
            ["stats"],
            ["stats", "--last-session"],
            ["stats", "--since", "7d", "--by", "branch"],
            ["stats", "--by", "tool"],
        ),
        *(["stats", "--bucket", "6h", "--since", "2d"], ["sessions"], ["sessions", "show", "last"], ["requests"]),
        *(["requests", "show", "last"], ["requests", "--session", "5e551071"]),
    ]
    for number, command in enumerate(commands):
        outcome = run(*command, *(["--json"] if number % 2 else []))
        assert (outcome.code, "Traceback" in outcome.err) == (0, False), (command, outcome.err)
        assert outcome.out
    assert json.loads(run("stats", "--last-session", "--json").out)["unpriced"] == 1
    assert json.loads(run("stats", "--json").out)["periods"]["30_days"]["cost_usd"] == 1.530822
    for kind in ("csv", "jsonl", "har"):
        path = tmp_path / f"all.{kind}"
        assert run("export", f"--{kind}", "--out", str(path)).err == f"5 requests written to {path}\n"
    with (tmp_path / "all.csv").open(newline="") as file:
        assert [row["cost_usd"] for row in csv.DictReader(file)] == ["0.015411", "0.015411", "1.5", "", ""]
    assert len(json.loads((tmp_path / "all.har").read_text())["log"]["entries"]) == 5


@contextmanager
def started(*arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """The command, running; gone at the end."""
    with forged.start([*COMMAND, *arguments], environ(**env)) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def complaint(process: subprocess.Popen[str]) -> str:
    """What it said to the person by its end."""
    process.wait(timeout=60)
    assert process.stderr is not None
    return process.stderr.read()


def begun(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until the export has written something."""
    deadline = time.monotonic() + 60
    while not [each for each in folder.glob(".all.jsonl.*") if each.stat().st_size]:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)


def test_a_reader_that_has_seen_enough_is_no_trouble() -> None:
    # More than a pipe takes.
    keep([new_turn(n, started_ms=now_ms() - n) for n in range(1500)])
    for command in ("export --csv", "export --har", "requests --limit 1500", "requests --limit 1500 --json"):
        with started(*command.split()) as process:
            assert first_line(process)
            assert process.stdout is not None
            process.stdout.close()
            said = complaint(process)
        assert ("Traceback" in said, "Exception ignored" in said) == (False, False), (command, said)


@pytest.fixture
def endless(tmp_path: Path) -> dict[str, str]:
    """For a process on a disk that never has all of a file: no export ends before the test has seen it begin."""
    folder = tmp_path / "endless"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import os, time\nos.fsync = lambda _: time.sleep(600)\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), environ()["PYTHONPATH"]])}


def test_a_killed_export_leaves_the_old_file_as_it_was(tmp_path: Path, endless: dict[str, str]) -> None:
    keep(some_turns())
    path = tmp_path / "all.jsonl"
    path.write_text("of yesterday")
    with started("export", "--jsonl", "--out", str(path), "--force", **endless) as process:
        begun(process, tmp_path)
        process.kill()
    assert path.read_text() == "of yesterday"


def test_an_interrupted_export_takes_its_half_away(tmp_path: Path, endless: dict[str, str]) -> None:
    keep(some_turns())
    with started("export", "--jsonl", "--out", str(tmp_path / "all.jsonl"), **endless) as process:
        begun(process, tmp_path)
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in complaint(process)
        assert process.returncode != 0
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_requests_are_followed_until_ctrl_c() -> None:
    keep(some_turns())
    with started("requests", "--follow", "--json", "--limit", "1") as process:
        assert json.loads(first_line(process))["id"].endswith("05")
        keep([new_turn(6, started_ms=now_ms())])
        assert json.loads(first_line(process))["id"].endswith("06")
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in complaint(process)
        assert process.returncode in (1, 130)


def test_an_export_takes_no_more_memory_for_more_turns(tmp_path: Path) -> None:
    def peak() -> int:
        """Kilobytes."""
        code = (
            "import re, sys\nfrom codemie_core.cli.app import main\n"
            "try: main(['export', '--jsonl', '--out', sys.argv[1]])\nexcept SystemExit: pass\n"
            "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
        )
        path = tmp_path / "all.jsonl"
        command = [COMMAND[0], "-c", code, str(path)]
        done = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=120, check=True)
        path.unlink()
        return int(done.stdout)

    turns = [new_turn(n, started_ms=now_ms() - n) for n in range(16_000)]
    keep(turns[:2_000])
    few = peak()
    keep(turns[2_000:])
    assert peak() - few < 6_000  # of rows that are some kilobytes each


def test_a_person_in_a_zone_of_their_own_gets_their_days(monkeypatch: pytest.MonkeyPatch) -> None:
    keep([new_turn(1, started_ms=turn_rows.NOW)])
    for zone, day in {
        "Asia/Kolkata": "2026-11-04 00:00",
        "Pacific/Auckland": "2026-11-05 00:00",
        "UTC": "2026-11-04",
    }.items():
        monkeypatch.setenv("TZ", zone)
        lines = run("stats", "--bucket", "1d", "--since", "2026-11-01", "--until", "2026-11-08").out.splitlines()
        [busy] = [line for line in lines[1:] if line.split()[2] == "1"]
        assert busy.startswith(day), zone


def test_a_database_in_trouble_is_an_error_in_one_line(codemie_home: Path) -> None:
    keep(some_turns())
    Places(codemie_home).proxy.joinpath("proxy.db").write_bytes(b"no database at all" * 100)
    for command in ("stats", "sessions", "requests"):
        outcome = run(command)
        assert (outcome.code, outcome.err.count("\n")) == (1, 1), outcome.err
        assert outcome.err.startswith("codemie-proxy: the database ")


def test_a_look_while_another_process_writes_does_not_wait(codemie_home: Path) -> None:
    keep(some_turns())
    database = open_database(Places(codemie_home), os.environ)
    try:
        with database.writing():
            # Whoever waits for the other process gives up some time, with an error.
            assert run("requests").code == 0
    finally:
        database.close()


def test_what_a_session_through_the_proxy_cost_is_one_command_away() -> None:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    with (
        UpstreamThread() as upstream,
        reverse(upstream.url) as proxy,
        httpx.Client(trust_env=False, timeout=60) as client,
    ):
        for _ in range(3):
            answer = client.post(f"{proxy.url}/v1/messages", json=body, headers={"x-api-key": "planted-key"})
            assert answer.status_code == 200
        deadline = time.monotonic() + 60
        while (told := json.loads(run("stats", "--last-session", "--json").out)).get("requests") != 3:
            assert time.monotonic() < deadline, told
    assert told["output_tokens"] == 3 * answer.json()["usage"]["output_tokens"]
    assert told["cost_usd"] > 0
    outcome = run("stats", "--last-session")
    assert "Cost         $" in outcome.out
    assert "planted" not in outcome.out + outcome.err
