"""`codemie-proxy logs`: the newest records, chosen by level and words, and those that come."""

import signal
import subprocess
from pathlib import Path

import pytest

from support.cli import COMMAND, call, environ

HEAD = "[2026-01-31T09:30:00.{number:03}Z] [{level}] [claude] record {number}"


@pytest.fixture
def log(codemie_home: Path) -> Path:
    folder = codemie_home / "logs"
    folder.mkdir(parents=True)
    path = folder / "debug-2026-01-31.log"
    path.write_text("")
    for number, level in enumerate(("DEBUG", "INFO", "WARN", "ERROR")):
        write(path, number, level)
    return path


def write(path: Path, number: int, level: str = "INFO", more: str = "") -> None:
    with path.open("a") as file:
        file.write(f"{HEAD.format(number=number, level=level)} {{\n  said: {more}\n}}\n")


def shown(*arguments: str) -> list[int]:
    outcome = call("logs", *arguments)
    assert outcome.code == 0
    return [int(line.split("record ")[1].split()[0]) for line in outcome.out.splitlines() if "record" in line]


@pytest.mark.parametrize(
    "arguments, numbers",
    [
        ((), [1, 2, 3]),
        (("--level", "debug"), [0, 1, 2, 3]),
        (("-l", "WARN"), [2, 3]),
        (("-n", "1"), [3]),
        (("-n", "0"), []),
        (("--level", "debug", "--grep", "RECORD [02]"), [0, 2]),
        (("-n", "1", "-g", "record 1"), [1]),
        (("--grep", "nowhere"), []),
    ],
)
def test_records_are_chosen_and_shown_whole_the_newest_last(
    arguments: tuple[str, ...], numbers: list[int], log: Path
) -> None:
    assert shown(*arguments) == numbers
    assert call("logs", *arguments).out.count("\n}\n") == len(numbers)


def test_without_a_log_it_says_who_writes_one(codemie_home: Path) -> None:
    outcome = call("logs")
    assert (outcome.code, outcome.out) == (0, "")
    assert f"There is no log in {codemie_home / 'logs'} yet" in outcome.err
    assert "codemie-proxy start" in outcome.err


def test_an_expression_that_is_none_is_refused_with_the_fix(log: Path) -> None:
    outcome = call("logs", "--grep", "[")
    assert outcome.code == 1
    assert "--grep [: no regular expression" in outcome.err


def test_what_a_stranger_wrote_does_not_steer_the_terminal(log: Path) -> None:
    write(log, 9, more="\x1b[2J\x07 gone")
    assert "\\x1b[2J\\x07 gone" in call("logs").out


def test_following_goes_on_with_what_comes_until_ctrl_c(log: Path) -> None:
    command = [*COMMAND, "logs", "-f", "-n", "1", "--level", "warn"]
    with subprocess.Popen(command, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(3)]
        assert "record 3" in first[0]
        write(log, 4, "INFO")
        write(log, 5, "ERROR")
        assert "record 5" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors


def test_help_teaches_with_an_example() -> None:
    outcome = call("logs", "--help")
    assert "codemie-proxy logs -f" in " ".join(outcome.out.split())
