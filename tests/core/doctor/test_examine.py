import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from codemie_core.doctor.examine import Check, examine
from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.surroundings import Surroundings
from support.patient import surroundings, told


def check(name: str, run: Callable[[Surroundings], Iterable[Finding]], far: bool = False, seconds: float = 5) -> Check:
    return Check(name, "Home", run, seconds, far)


def test_findings_come_in_the_order_of_the_checks_with_their_room(codemie_home: Path) -> None:
    checks = [
        check("a", lambda _: [ok("a", "one"), note("a", "two")]),
        check("b", lambda _: [warning("b", "three", "mend")], far=True),
        check("c", lambda _: [problem("c", "four", "mend")]),
    ]
    found = examine(checks, surroundings(codemie_home))
    assert told(found) == [("ok", "one"), ("note", "two"), ("warning", "three"), ("problem", "four")]
    assert {one.room for one in found} == {"Home"}
    assert [one.fix for one in found] == ["", "", "mend", "mend"]


def test_a_check_that_raises_is_a_finding_and_takes_nobody_down(codemie_home: Path) -> None:
    def broken(_: Surroundings) -> Iterator[Finding]:
        yield ok("a", "so far")
        raise RuntimeError("password=hunter2-planted")

    def worse(_: Surroundings) -> Iterator[Finding]:
        raise SystemExit(3)

    found = examine(
        [check("a", broken), check("b", worse), check("c", lambda _: [ok("c", "fine")])], surroundings(codemie_home)
    )
    assert [one.level for one in found] == ["warning", "warning", "ok"]
    assert "RuntimeError" in found[0].what
    assert "planted" not in found[0].what


def test_a_check_that_hangs_is_left_behind(codemie_home: Path) -> None:
    never = threading.Event()

    def hangs(_: Surroundings) -> list[Finding]:
        never.wait(30)
        return []

    began = time.monotonic()
    try:
        found = examine(
            [check("a", hangs, seconds=0.2), check("b", lambda _: [ok("b", "fine")])], surroundings(codemie_home)
        )
    finally:
        never.set()
    assert time.monotonic() - began < 5
    assert told(found) == [("warning", "could not be looked at within 0.2 s"), ("ok", "fine")]


def test_who_asks_others_goes_on_beside_the_rest(codemie_home: Path) -> None:
    seen = threading.Event()

    def waits(_: Surroundings) -> list[Finding]:
        return [ok("far", str(seen.wait(5)))]

    def sees(_: Surroundings) -> list[Finding]:
        seen.set()
        return []

    assert told(examine([check("near", sees), check("far", waits, far=True)], surroundings(codemie_home))) == [
        ("ok", "True")
    ]


def test_offline_nobody_is_asked(codemie_home: Path) -> None:
    around = replace(surroundings(codemie_home), offline=True)
    found = examine(
        [check("far", lambda _: [ok("far", "asked")], far=True), check("near", lambda _: [ok("near", "seen")])], around
    )
    assert told(found) == [("ok", "seen")]
