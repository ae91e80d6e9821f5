import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from codemie_core.launch import kept_proxy
from codemie_core.launch.kept_proxy import ATTEMPTS, KeptProxy
from codemie_core.launch.own_proxy import NotStarted
from codemie_core.places import Places
from codemie_core.running import RunningProxy
from support.access import until


class Stage:
    """Stands for all proxies that are started: each is up at once, until it ends, if it may come up."""

    def __init__(self) -> None:
        self.started: list[Sequence[str]] = []
        self.fails: set[int] = set()
        self.stopped: set[int] = set()
        self.current: Stage.Proxy

    class Proxy:
        def __init__(self, stage: "Stage") -> None:
            self._stage, self.over, self.number = stage, threading.Event(), len(stage.started) + 1

        async def up(self) -> RunningProxy:
            if self.number in self._stage.fails:
                self.over.set()
                raise NotStarted("no")
            return RunningProxy("r", 1, "", 1.0, ("127.0.0.1:4321",), (), "1")

        def ended(self) -> None:
            self.over.wait()

        def stop(self) -> None:
            self.over.set()
            self._stage.stopped.add(self.number)

    def __call__(
        self, places: Places, environ: Mapping[str, str], arguments: Sequence[str], log: Path, goes_on: bool
    ) -> "Stage.Proxy":
        made = self.current = self.Proxy(self)
        self.started.append(arguments)
        return made


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    monkeypatch.setattr(kept_proxy, "OwnProxy", made)
    monkeypatch.setattr(kept_proxy, "PAUSES", (0.0,))
    return made


def kept(told: list[str]) -> KeptProxy:
    return KeptProxy(Places(Path("/nowhere")), {}, ("TARGET",), Path("/its.log"), told.append, ("--set", "a=b"))


def test_one_that_ends_is_started_again_on_the_same_port(stage: Stage) -> None:
    told: list[str] = []
    proxy = kept(told)
    assert proxy.up().addresses == ("127.0.0.1:4321",)
    stage.current.over.set()
    until(lambda: proxy.restarts == 1)
    assert stage.stopped == {1}  # It held a descriptor.
    proxy.stop()
    assert stage.started == [
        ["TARGET", "--port", "0", "--", "--set", "a=b"],
        ["TARGET", "--port", "4321", "--", "--set", "a=b"],
    ]
    assert (told, proxy.lost) == ([], False)


def test_one_that_does_not_come_up_again_is_given_up_once(stage: Stage) -> None:
    told: list[str] = []
    proxy = kept(told)
    proxy.up()
    stage.fails = set(range(2, 99))
    stage.current.over.set()
    until(lambda: proxy.lost)
    assert len(stage.started) == 1 + ATTEMPTS
    assert told == ["the proxy has ended and does not come up again; what it said: /its.log"]
    proxy.stop()


def test_one_that_ends_again_and_again_is_given_up(stage: Stage) -> None:
    told: list[str] = []
    proxy = kept(told)
    proxy.up()
    for _ in range(ATTEMPTS):
        count = len(stage.started)
        stage.current.over.set()
        until(lambda count=count: len(stage.started) > count)  # type: ignore[misc] # bound to this round
    stage.current.over.set()
    until(lambda: proxy.lost)
    assert len(told) == 1
    proxy.stop()


def test_one_that_is_stopped_is_not_started_again(stage: Stage) -> None:
    proxy = kept([])
    proxy.up()
    proxy.stop()
    assert (len(stage.started), proxy.restarts) == (1, 0)


def test_one_that_never_comes_up_says_why(stage: Stage) -> None:
    stage.fails = {1}
    proxy = kept([])
    with pytest.raises(NotStarted, match="no"):
        proxy.up()
    proxy.stop()
    assert len(stage.started) == 1
