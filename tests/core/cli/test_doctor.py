"""How findings are shown; what the checks find is in core/doctor."""

import json
from pathlib import Path

import pytest

from codemie_core.cli.doctor import summary
from codemie_core.doctor import checks
from codemie_core.doctor.examine import Check
from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.surroundings import Surroundings
from support.cli import call

FINE = Check("a", "Home", lambda _: [ok("a", "all is well"), note("a", "by the way", "look at it")])
BAD = Check("b", "Network", lambda _: [warning("b", "odd \x1b[2J", "mend it"), problem("b", "broken", "run: this")])


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, codemie_home: Path) -> pytest.MonkeyPatch:
    monkeypatch.setattr(checks, "CHECKS", (FINE, BAD))
    return monkeypatch


def test_findings_stand_in_their_rooms_with_their_fixes(found: pytest.MonkeyPatch) -> None:
    outcome = call("doctor")
    assert outcome.code == 1
    lines = [line.rstrip() for line in outcome.out.splitlines()]
    assert lines == [
        "Home",
        "  ok       all is well",
        "  note     by the way",
        "           -> look at it",
        "Network",
        "  warning  odd \\x1b[2J",
        "           -> mend it",
        "  problem  broken",
        "           -> run: this",
        "",
        "1 problem, 1 warning",
    ]


def test_a_fix_stays_on_one_line_so_that_it_can_be_copied(found: pytest.MonkeyPatch) -> None:
    command = f"chmod 600 /{'long/' * 60}file"
    found.setattr(checks, "CHECKS", (Check("a", "Home", lambda _: [warning("a", "open", command)]),))
    assert f"           -> {command}\n" in call("doctor").out


def test_a_user_who_is_entered_nowhere_and_has_no_home_is_helped_too(found: pytest.MonkeyPatch) -> None:
    """As in a container that was started with the number of a user."""

    def nobody(_: object) -> None:
        raise KeyError

    found.delenv("HOME")
    found.setattr("pwd.getpwuid", nobody)
    assert call("doctor").code == 1


def test_programs_get_one_object(found: pytest.MonkeyPatch) -> None:
    outcome = call("doctor", "--json")
    assert outcome.code == 1
    report = json.loads(outcome.out)
    assert (report["problems"], report["warnings"]) == (1, 1)
    assert report["findings"][-1] == {
        "id": "b",
        "level": "problem",
        "what": "broken",
        "fix": "run: this",
        "room": "Network",
    }


def test_without_a_problem_it_ends_with_0(found: pytest.MonkeyPatch) -> None:
    found.setattr(checks, "CHECKS", (FINE,))
    outcome = call("doctor")
    assert (outcome.code, outcome.out.splitlines()[-1]) == (0, "Nothing is wrong.")


def test_arguments_reach_the_checks(found: pytest.MonkeyPatch) -> None:
    def tells(around: Surroundings) -> list[Finding]:
        return [ok("a", f"{around.target} {around.port} {around.offline}")]

    found.setattr(checks, "CHECKS", (Check("a", "Home", tells), Check("b", "Home", tells, far=True)))
    out = call("doctor", "https://a.example", "--port", "9000", "--offline").out
    assert out.count("https://a.example 9000 True") == 1


def test_a_summary_counts() -> None:
    assert summary([problem("a", "b", "c")] * 2) == "2 problems"
    assert summary([ok("a", "b")]) == "Nothing is wrong."
