import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from codemie_core.errors import SettingsError
from codemie_core.launch.own_proxy import NotStarted
from codemie_core.places import Places
from codemie_core.top import attachment
from codemie_core.top.attachment import NONE_RUNS, Attachment, Wanted
from codemie_core.top.board import Board
from support.histories import until
from support.top_admin import TopAdmin
from support.top_screen import register


class Starts:
    """Stands for the process that is started: it is in the register at once, or does not come up."""

    def __init__(self, home: Path, problem: str = "") -> None:
        self.home, self.problem = home, problem
        self.asked: list[Sequence[str]] = []
        self.pid, self.runs, self.kept = 0, True, False

    def __call__(self, places: Places, environ: object, arguments: Sequence[str]) -> "Starts":
        self.asked.append(arguments)
        return self

    async def up(self) -> None:
        if self.problem:
            raise NotStarted(self.problem)
        self.pid = register(self.home).pid

    def keep(self) -> None:
        self.kept = True


@asynccontextmanager
async def attached(
    home: Path, admin: TopAdmin, may_start: bool = True, stay: bool = False, port: int | None = None
) -> AsyncIterator[Attachment]:
    wanted = Wanted(Places(home), {}, ("https://a.example",), port, stay, may_start)
    made = Attachment(wanted, Board(), lambda: None, lambda port, _: admin.connect(port, "planted-token"))
    task = asyncio.get_running_loop().create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


def live(made: Attachment) -> Callable[[], bool]:
    return lambda: made.feed is not None and made.feed.live


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachment, "LOOK_AGAIN", 0.02)


async def test_a_proxy_that_runs_is_shown_and_none_is_started(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = Starts(codemie_home)
    monkeypatch.setattr(attachment, "OwnProxy", starts)
    register(codemie_home)
    async with attached(codemie_home, TopAdmin()) as made:
        await until(live(made))
        assert not made.is_own
    assert starts.asked == []


@pytest.mark.parametrize("stay", [True, False])
async def test_where_none_runs_one_is_started_and_kept_only_when_asked(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch, stay: bool
) -> None:
    starts = Starts(codemie_home)
    monkeypatch.setattr(attachment, "OwnProxy", starts)
    async with attached(codemie_home, TopAdmin(), stay=stay) as made:
        await until(live(made))
        assert made.is_own
    assert starts.asked == [("https://a.example",)]
    assert starts.kept is stay


async def test_one_that_does_not_come_up_ends_it_with_what_was_said(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment, "OwnProxy", Starts(codemie_home, "8080 is in use"))
    made = Attachment(Wanted(Places(codemie_home), {}), Board(), lambda: None)
    with pytest.raises(NotStarted, match="8080 is in use"):
        await made.run()


async def test_a_proxy_elsewhere_does_not_hinder_the_start_of_another_on_its_port(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(codemie_home, "other", port=9000)
    starts = Starts(codemie_home)
    monkeypatch.setattr(attachment, "OwnProxy", starts)
    async with attached(codemie_home, TopAdmin(), port=8080) as made:
        await until(live(made))
        assert made.entry is not None
        assert made.entry.addresses == ("127.0.0.1:8080",)


async def test_it_waits_for_a_proxy_where_it_may_not_start_one(codemie_home: Path) -> None:
    async with attached(codemie_home, TopAdmin(), may_start=False) as made:
        await until(lambda: made.told == NONE_RUNS)
        register(codemie_home)
        await until(live(made))


async def test_one_that_ended_can_be_started_again(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(codemie_home, "8080 is in use")
    monkeypatch.setattr(attachment, "OwnProxy", starts)
    async with attached(codemie_home, TopAdmin(), may_start=False) as made:
        await until(lambda: made.told == NONE_RUNS)
        made.start_one()
        await until(lambda: starts.asked)
        starts.problem = ""
        made.start_one()
        await until(live(made))
        made.start_one()
        await asyncio.sleep(0)
    assert len(starts.asked) == 2


async def test_a_token_that_is_missing_is_told(codemie_home: Path) -> None:
    register(codemie_home)
    (codemie_home / "proxy" / "admin.token").unlink()
    async with attached(codemie_home, TopAdmin()) as made:
        await until(lambda: "admin.token is not there" in made.told)


async def test_without_an_admin_api_there_is_nothing_to_show(codemie_home: Path) -> None:
    register(codemie_home, admin_port=None)
    with pytest.raises(SettingsError, match="has no admin API"):
        await Attachment(Wanted(Places(codemie_home), {}), Board(), lambda: None).run()
