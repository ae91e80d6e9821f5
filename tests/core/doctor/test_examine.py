import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from codemie_core.doctor import proxies
from codemie_core.doctor.examine import Check, examine
from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.places import Places
from codemie_core.running import RunningProxy, running_proxies, write_entry
from support.patient import surroundings, told


def check(name: str, run: Callable[[Surroundings], Iterable[Finding]], far: bool = False, seconds: float = 60) -> Check:
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
    # What it had found by then is told.
    assert [one.level for one in found] == ["ok", "warning", "warning", "ok"]
    assert "RuntimeError" in found[1].what
    assert "planted" not in found[1].what


def test_a_check_that_hangs_is_left_behind(codemie_home: Path) -> None:
    never, ended = threading.Event(), []

    def hangs(_: Surroundings) -> list[Finding]:
        never.wait(60)
        ended.append(1)
        return []

    try:
        found = examine(
            [check("a", hangs, seconds=0.2), check("b", lambda _: [ok("b", "fine")])], surroundings(codemie_home)
        )
        assert not ended
    finally:
        never.set()
    assert told(found) == [("warning", "could not be looked at within 0.2 s"), ("ok", "fine")]


def test_a_check_that_comes_to_a_halt_tells_what_it_has_found_so_far(codemie_home: Path) -> None:
    never = threading.Event()

    def halts(_: Surroundings) -> Iterator[Finding]:
        yield problem("a", "the first is down", "mend it")
        never.wait(60)

    try:
        for seconds in (0.3, 3.0, 20.0):  # longer where this machine needs it only to come to the first
            found = examine([check("a", halts, seconds=seconds)], surroundings(codemie_home))
            if len(found) == 2:
                break
    finally:
        never.set()
    assert told(found) == [
        ("problem", "the first is down"),
        ("warning", f"could not be looked at any further within {seconds:g} s"),
    ]


def test_checks_that_all_hang_take_no_longer_together_than_all_may(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that has gone: each would take as long as it may, one after the other."""
    never = threading.Event()

    def hangs(_: Surroundings) -> list[Finding]:
        never.wait(60)
        return []

    checks = [check("far", lambda _: [ok("far", "fine")], far=True)]
    checks += [check(str(number), hangs, seconds=20) for number in range(3)]
    try:
        for seconds in (0.5, 5.0, 15.0):  # longer where this machine needs it only to come to the second
            monkeypatch.setattr("codemie_core.doctor.examine.ALL_SECONDS", seconds)
            found = examine(checks, surroundings(codemie_home))
            if found[0].what == "fine" and found[1].what.startswith("could not"):
                break
    finally:
        never.set()
    assert found[0].what == "fine"
    assert found[1].what.startswith("could not be looked at within ")
    assert {one.what for one in found[2:]} == {f"was not looked at: the checks before took all of the {seconds:g} s"}


def test_no_finding_shows_a_secret_whatever_it_quotes(codemie_home: Path) -> None:
    url = "https://ann:hunter2-planted@h.example/x"
    found = examine([check("a", lambda _: [problem("a", f"{url} is odd", f"open {url}")])], surroundings(codemie_home))
    assert ("h.example/x is odd" in found[0].what, "planted" in str(found)) == (True, False)


def test_what_is_taken_out_of_the_register_is_told_whoever_reads_it_first(codemie_home: Path) -> None:
    write_entry(Places(codemie_home), RunningProxy("gone", 999999, "1", 1.0, ("127.0.0.1:1",), ("regular",), "1"))

    def reads(around: Surroundings) -> Iterator[Finding]:
        yield ok("far", str(len(list(running_proxies(around.places)))))

    def tells(around: Surroundings) -> Iterator[Finding]:
        yield from proxies.register(around)

    found = examine([check("far", reads, far=True), check("near", tells)], surroundings(codemie_home))
    assert told(found)[-1] == ("note", "1 entry of a proxy that was killed has been removed")


def test_a_register_that_hangs_holds_nobody_up(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network disk that has gone."""
    never, ended = threading.Event(), []

    def hangs(_: Places) -> list[RunningProxy]:
        never.wait(60)
        ended.append(1)
        return []

    monkeypatch.setattr("codemie_core.doctor.surroundings.running_proxies", hangs)
    monkeypatch.setattr("codemie_core.doctor.examine.SECONDS", 0.2)
    try:
        found = examine([check("a", lambda _: [ok("a", "fine")])], surroundings(codemie_home))
        assert (told(found), ended) == ([("ok", "fine")], [])
    finally:
        never.set()


def test_who_asks_others_goes_on_beside_the_rest(codemie_home: Path) -> None:
    seen = threading.Event()

    def waits(_: Surroundings) -> list[Finding]:
        return [ok("far", str(seen.wait(50)))]

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
