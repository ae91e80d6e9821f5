import sys
from typing import Any

import pytest

from codemie_core.cli.run import remark
from codemie_core.launch import run as launch
from codemie_core.launch.child import NotRun
from support.cli import call


class Recorder:
    """In the place of a run: keeps what it was asked for, says a word and ends with 5."""

    wanted: list[launch.Wanted]

    def __init__(self, wanted: launch.Wanted, environ: object, say: Any) -> None:
        self.wanted.append(wanted)
        self._say = say

    def run(self) -> int:
        self._say("a remark")
        return 5


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> list[launch.Wanted]:
    Recorder.wanted = []
    monkeypatch.setattr(launch, "Run", Recorder)
    return Recorder.wanted


def test_all_that_follows_the_agent_is_the_agents(wanted: list[launch.Wanted]) -> None:
    words = ("-p", "hi", "--help", "--port", "9", "--", "--via", "x", "")
    assert call("run", "--via", "https-proxy", "claude", *words).code == 5
    assert (wanted[0].command, wanted[0].via, tuple(wanted[0].arguments)) == ("claude", "https-proxy", words)


def test_what_stands_before_it_is_ours(wanted: list[launch.Wanted]) -> None:
    options = (
        "--target",
        "https://a.example",
        "--profile",
        "work",
        "--port",
        "9",
        "--own",
        "--set",
        "a=b",
        "--set",
        "c=d",
    )
    call("run", *options, "--", "codex")
    passed_on = ["--set", "a=b", "--set", "c=d"]
    assert wanted == [launch.Wanted("codex", (), "base-url", "https://a.example", "work", 9, True, passed_on)]


def test_remarks_go_to_standard_error_or_nowhere(wanted: list[launch.Wanted]) -> None:
    loud = call("run", "claude")
    assert (loud.out, loud.err) == ("", "codemie-proxy: a remark\n")
    quiet = call("run", "--quiet", "claude")
    assert (quiet.out, quiet.err) == ("", "")


def test_a_remark_holds_nothing_that_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remark("first\nprovider.\x1b]0;title\x07")
    assert capsys.readouterr().err == "codemie-proxy: first\nprovider.\\x1b]0;title\\x07\n"
    monkeypatch.setattr(sys, "stderr", None)
    remark("nobody hears this")
    assert capsys.readouterr().out == ""


def test_a_program_that_is_not_there_has_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: object) -> int:
        raise NotRun("claude is not on the PATH", 127)

    monkeypatch.setattr(launch.Run, "run", fails)
    found = call("run", "claude")
    assert (found.code, found.out, found.err) == (127, "", "codemie-proxy: claude is not on the PATH\n")


def test_an_unknown_way_is_refused() -> None:
    assert call("run", "--via", "magic", "claude").code == 2
    assert call("run").code == 2
