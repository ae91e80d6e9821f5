"""The commands on a real Master: what they show, what they pass on, what they refuse."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mitmproxy import command, ctx, exceptions, flow
from mitmproxy.addonmanager import Loader
from mitmproxy.test import taddons, tflow
from sqlalchemy import Connection

from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.commands import STRATEGY_OPTION, AccountCommands
from codemie_core.accounts.pool import Pool
from codemie_core.errors import SettingsError
from codemie_core.exchange import exchange_of
from support.stored import StoredHome


def account(name: str, **more: object) -> Account:
    return Account(f"id-{name}", name, "anthropic", Kind.API_KEY, "https://api.anthropic.com", **more)  # type: ignore[arg-type]  # a table of any of its fields


class Acting:
    """Remembers what it was to do."""

    def __init__(self) -> None:
        self.acts: list[tuple[object, ...]] = []
        self.fails: SettingsError | None = None
        self.home: StoredHome | None = None

    async def act(self, name_or_id: str, action: str, value: object, reason: str, who: str) -> None:
        if self.fails:
            raise self.fails
        self.acts.append((name_or_id, action, value, reason, who))

    async def change(self, work: Callable[[Connection], object]) -> object:
        if self.fails:
            raise self.fails
        assert self.home is not None
        return self.home.write(work)


class Holder(AccountCommands):
    """An addon that has the pool."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.keeper: Acting = Acting()
        self.pool.set_accounts([account("spare", priority=1), account("main"), account("off", paused="holidays")])

    def load(self, loader: Loader) -> None:
        loader.add_option(STRATEGY_OPTION, str, "session", "")

    def configure(self, updated: set[str]) -> None:
        if STRATEGY_OPTION in updated:
            try:
                self.pool.configure(strategy=ctx.options.codemie_account_rotation_strategy)
            except SettingsError as problem:
                raise exceptions.OptionsError(str(problem)) from None


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def commands(holder: Holder) -> Iterator[command.CommandManager]:
    with taddons.context(holder) as context:
        yield context.master.commands


BEGUN = ("pause ", "resume ", "priority ", "set weight ", "rename ", "end limits ", "remove ")


async def settled() -> None:
    """Until what a command began has ended."""
    begun = [task for task in asyncio.all_tasks() if task.get_name().startswith(BEGUN)]
    assert begun
    await asyncio.wait_for(asyncio.gather(*begun), 60)


async def test_list_shows_who_goes_first_and_how_each_is(commands: command.CommandManager) -> None:
    assert commands.execute("codemie.accounts.list") == [
        "main (anthropic), priority 0: ready",
        "off (anthropic), priority 0: paused: holidays",
        "spare (anthropic), priority 1: ready",
    ]


async def test_show_takes_a_name_or_an_id(commands: command.CommandManager) -> None:
    shown = commands.execute("codemie.accounts.show spare")
    assert "Account: spare (id-spare)" in shown
    assert commands.execute("codemie.accounts.show id-spare") == shown


@pytest.mark.parametrize(
    "typed, acted, logged",
    [
        (
            "codemie.accounts.pause main 'kept for the release'",
            ("id-main", "pause", None, "kept for the release", "mitmproxy command"),
            "account main is paused: kept for the release",
        ),
        (
            "codemie.accounts.resume off",
            ("id-off", "resume", None, "", "mitmproxy command"),
            "account off is used again",
        ),
        (
            "codemie.accounts.priority id-main 7",
            ("id-main", "priority", 7, "", "mitmproxy command"),
            "account main has priority 7",
        ),
    ],
)
async def test_a_change_goes_to_the_keeper_and_the_log_says_so(
    typed: str,
    acted: tuple[object, ...],
    logged: str,
    holder: Holder,
    commands: command.CommandManager,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert commands.execute(typed) is None
    await settled()
    assert holder.keeper.acts == [acted]
    assert logged in caplog.messages


@pytest.mark.parametrize(
    "typed, column, value, logged",
    [
        ("codemie.accounts.weight main 3", "weight", 3, "account main has weight 3"),
        ("codemie.accounts.rename main office", "name", "office", "account main is office now"),
        ("codemie.accounts.reset main", "name", "main", "account main is asked again"),
        ("codemie.accounts.remove main yes", "name", None, "account main is removed"),
    ],
)
async def test_what_else_operators_do_is_written_and_in_the_audit_trail(
    typed: str,
    column: str,
    value: object,
    logged: str,
    holder: Holder,
    commands: command.CommandManager,
    codemie_home: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    holder.keeper.home = home = StoredHome(codemie_home)
    holder.pool.set_accounts([home.key("main", "https://api.anthropic.com", "planted")])
    assert commands.execute(typed) is None
    await settled()
    found = home.accounts()
    assert (getattr(found[0], column) if found else None) == value
    assert logged in caplog.messages
    assert home.events()[-1].who == "mitmproxy command"


async def test_a_number_that_cannot_be_is_told_in_the_log(
    holder: Holder, commands: command.CommandManager, codemie_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    holder.keeper.home = home = StoredHome(codemie_home)
    holder.pool.set_accounts([home.key("main", "https://api.anthropic.com", "planted")])
    commands.execute("codemie.accounts.weight main 0")
    await settled()
    assert caplog.messages[-1].startswith("account main: set weight failed: ")


async def test_a_change_that_fails_is_told_in_the_log(
    holder: Holder, commands: command.CommandManager, caplog: pytest.LogCaptureFixture
) -> None:
    holder.keeper.fails = SettingsError("the database is read only")
    commands.execute("codemie.accounts.pause main now")
    await settled()
    assert caplog.messages == ["account main: pause failed: the database is read only"]


@pytest.mark.parametrize(
    "typed, words",
    [
        ("codemie.accounts.show mian", "there is no account 'mian'; did you mean 'main'?"),
        ("codemie.accounts.pause nobody x", "there is no account 'nobody'; codemie.accounts.list shows all"),
        ("codemie.accounts.resume main", "main is not paused"),
        ("codemie.accounts.priority main -1", "a priority is a number from 0 to 1000"),
        ("codemie.accounts.priority main 1001", "a priority is a number from 0 to 1000"),
        ("codemie.accounts.priority main first", "first"),
        ("codemie.accounts.remove main maybe", "main and its secret would go for good: say yes to it"),
        ("codemie.accounts.rename nobody x", "there is no account 'nobody'"),
        ("codemie.accounts.weight main much", "much"),
        ("codemie.accounts.strategy fastest", "there is no strategy 'fastest'; there are: session, global-session"),
        ("codemie.accounts.pause main", "argument mismatch"),
    ],
)
async def test_what_cannot_be_done_is_refused_at_once(
    typed: str, words: str, holder: Holder, commands: command.CommandManager
) -> None:
    with pytest.raises(exceptions.CommandError, match=words.replace("?", r"\?")):
        commands.execute(typed)
    assert holder.keeper.acts == []


async def test_strategy_shows_and_sets_the_one_of_this_proxy(holder: Holder, commands: command.CommandManager) -> None:
    assert commands.execute("codemie.accounts.strategy") == "session"
    assert commands.execute("codemie.accounts.strategy least-used") == "least-used"
    assert holder.pool.strategy == "least-used"
    assert commands.execute("codemie.accounts.strategy") == "least-used"


async def test_why_says_which_account_a_request_went_out_with(commands: command.CommandManager) -> None:
    request = tflow.tflow()
    assert commands.call("codemie.accounts.why", request).startswith("no account of the pool")
    exchange = exchange_of(request)
    exchange.account, exchange.account_why = "spare", "moved: main is limited until 12:03 (upstream said so)"
    assert commands.call("codemie.accounts.why", request) == (
        "spare: moved: main is limited until 12:03 (upstream said so)"
    )


@pytest.mark.parametrize("other", [tflow.ttcpflow, tflow.tdnsflow])
async def test_why_of_anything_else_than_http_is_no_account(
    other: Callable[[], flow.Flow], commands: command.CommandManager
) -> None:
    assert commands.call("codemie.accounts.why", other()).startswith("no account of the pool")


async def test_each_command_explains_itself(commands: command.CommandManager) -> None:
    ours = {name: found for name, found in commands.commands.items() if name.startswith("codemie.accounts.")}
    assert len(ours) == 11
    assert all(found.help for found in ours.values())
