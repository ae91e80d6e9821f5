import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from codemie_core.launch.environment import Prepared
from codemie_core.launch.shells import Shell, as_json, exported, fish_quoted, function, without_function, wrapper
from support.programs import absent

ODD = 'it\'s $HOME `x` "q" \\ ü'
PREPARED = Prepared({"ONE": ODD, "TWO": "http://127.0.0.1:1"}, ("THREE",), ("-c", 'url="a b"'))


def shell(which: Shell) -> str:
    found = shutil.which(which.value)
    if found is None:
        absent(f"there is no {which.value}")
    return found


def executable(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("which", Shell)
def test_what_is_printed_sets_exactly_that(which: Shell, tmp_path: Path) -> None:
    executable(tmp_path / "agent", 'printf "%s|%s|%s|%s|%s|%s" "$ONE" "$TWO" "${THREE-gone}" "$1" "$2" "$3"')
    script = f"{exported(PREPARED, 'agent', which)}\nagent hello\n"
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "THREE": "3", "HOME": str(tmp_path)}
    done = subprocess.run([shell(which), "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f'{ODD}|http://127.0.0.1:1|gone|-c|url="a b"|hello', "")


@pytest.fixture
def led(tmp_path: Path) -> dict[str, str]:
    """An environment with an agent in it, which says what it is called with."""
    executable(tmp_path / "agent", 'echo "called with $*"')
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def said(which: Shell, script: str, environ: dict[str, str]) -> str:
    command = [shell(which), "-c", script]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


LED = Prepared({}, (), ("-c", "model_provider=codemie-proxy"))


def test_bash_scripts_know_the_function_of_the_bash_that_starts_them(led: dict[str, str]) -> None:
    lines = exported(LED, "agent", Shell.BASH)
    assert said(Shell.BASH, f"{lines}\nbash -c 'agent x'\n", led) == "called with -c model_provider=codemie-proxy x\n"
    # By $SHELL, or without one, zsh may get the lines of bash.
    assert said(Shell.ZSH, f"{lines}\nagent x\n", led) == "called with -c model_provider=codemie-proxy x\n"


@pytest.mark.parametrize("which", Shell)
def test_what_the_printed_comment_says_of_other_ways_to_start_it_is_so(which: Shell, led: dict[str, str]) -> None:
    lines = exported(LED, "agent", which)
    assert lines.startswith("# agent is led by arguments")
    for how in ("command agent x", "echo x | xargs agent", "sh -c 'agent x'", "env agent x"):
        assert said(which, f"{lines}\n{how}\n", led) == "called with x\n"


@pytest.mark.parametrize("which", Shell)
def test_a_function_of_ours_is_taken_away_and_nobody_elses(which: Shell, led: dict[str, str]) -> None:
    away = without_function("agent", which)
    assert said(which, f"{away}\nagent x\n", led) == "called with x\n"
    assert said(which, f"{exported(LED, 'agent', which)}\n{away}\nagent x\n", led) == "called with x\n"
    users = function("agent", ("command", "agent", "mine"), which)
    assert said(which, f"{users}\n{away}\nagent x\n", led) == "called with mine x\n"


def test_programs_get_json() -> None:
    assert json.loads(as_json(PREPARED)) == {
        "set": {"ONE": ODD, "TWO": "http://127.0.0.1:1"},
        "unset": ["THREE"],
        "arguments": ["-c", 'url="a b"'],
    }


@pytest.mark.parametrize("which", Shell)
@pytest.mark.parametrize("there", [True, False])
def test_a_wrapper_starts_the_agent_through_us_or_as_it_is_without_us(
    which: Shell, there: bool, tmp_path: Path
) -> None:
    executable(tmp_path / "claude", 'echo "bare: $*"')
    ours = tmp_path / "a folder" / "codemie-proxy"
    ours.parent.mkdir()
    if there:
        executable(ours, 'echo "ours: $*"')
    script = f"{wrapper('claude', str(ours), which)}\nclaude -p 'two words' --\n"
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run([shell(which), "-c", script], env=environ, capture_output=True, text=True, check=False)
    expected = "ours: run claude -p two words --\n" if there else "bare: -p two words --\n"
    assert (done.stdout, done.stderr) == (expected, "")


def test_an_alias_of_the_users_stays_in_front_of_it(tmp_path: Path) -> None:
    executable(tmp_path / "codemie-proxy", 'echo "$*"')
    lines = ["shopt -s expand_aliases", "alias claude='claude --mine'"]
    script = "\n".join([*lines, wrapper("claude", str(tmp_path / "codemie-proxy"), Shell.BASH), "claude -p x"])
    done = subprocess.run([shell(Shell.BASH), "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("run claude --mine -p x\n", "")


@pytest.mark.parametrize(
    "text, quoted", [("plain-1.2", "plain-1.2"), ("", "''"), ("-x", "'-x'"), ("a'b\\", "'a\\'b\\\\'")]
)
def test_fish_reads_what_was_meant(text: str, quoted: str) -> None:
    assert fish_quoted(text) == quoted
