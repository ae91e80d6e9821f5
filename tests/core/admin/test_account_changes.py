"""Changes through the admin plane: in the pool when they are answered, in the trail, refused as problems."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from account_rotation import AccountRotation
from codemie_core.accounts.account import Account, SecretRef, Source
from codemie_core.accounts.verdicts import Act, Scope, Verdict
from codemie_core.admin import account_changes as changes
from codemie_core.admin.account_changes import ModelRules
from codemie_core.admin.problems import AdminProblem, BadQuestion, Conflict, NotFound, Unavailable
from codemie_core.places import Places
from support.planes import Planes, now, plane_of
from support.stored import StoredHome, new_account

URL, WHO = "https://api.test", "dashboard"


@pytest.fixture
def home(places: Places) -> StoredHome:
    stored = StoredHome(places.home)
    stored.key("main", URL, "planted-main", provider="anthropic-compatible")
    stored.key("spare", URL, "planted-spare", provider="anthropic-compatible", priority=1)
    return stored


@pytest.fixture
async def room(home: StoredHome) -> AsyncIterator[Planes]:
    async with plane_of(AccountRotation(), clock=now) as planes:
        yield planes


def in_pool(room: Planes, name: str) -> Account | None:
    assert room.plane.pool is not None
    return next((account for account in room.plane.pool.accounts if account.name == name), None)


@pytest.mark.parametrize(
    "change, told, field, value, event",
    [
        (lambda p: changes.pause_account(p, "main", "holidays", WHO), "paused", "paused", "holidays", "paused"),
        (lambda p: changes.pause_account(p, "main", "", WHO), "paused", "paused", "by hand", "paused"),
        (lambda p: changes.set_priority(p, "main", 5, WHO), "has priority 5", "priority", 5, "priority"),
        (lambda p: changes.set_weight(p, "main", 5, WHO), "has weight 5", "weight", 5, "weight"),
        (
            lambda p: changes.set_models(p, "main", ModelRules(deny=["gpt-*"]), WHO),
            "other models",
            "deny",
            ("gpt-*",),
            "models",
        ),
    ],
)
async def test_a_change_is_in_the_pool_and_in_the_trail_when_it_is_answered(
    change: Callable[[Any], Any], told: str, field: str, value: object, event: str, room: Planes, home: StoredHome
) -> None:
    answer = await change(room.plane)
    assert answer.success
    assert told in answer.message
    account = in_pool(room, "main")
    assert account is not None
    assert getattr(account, field) == value
    assert (home.events()[-1].event, home.events()[-1].who) == (event, WHO)


async def test_pausing_the_last_one_tells_what_agents_meet(room: Planes) -> None:
    assert (await changes.pause_account(room.plane, "main", "", WHO)).notice == ""
    assert "agents get an error" in (await changes.pause_account(room.plane, "spare", "", WHO)).notice
    resumed = await changes.resume_account(room.plane, "spare", WHO)
    assert (resumed.message, resumed.notice) == ("spare is used again", "")
    assert (await changes.resume_account(room.plane, "spare", WHO)).message == "spare is not paused"


async def test_a_new_name_is_told_as_ccflare_tells_it(room: Planes) -> None:
    answer = await changes.rename_account(room.plane, "main", "day-job", WHO)
    assert (answer.new_name, answer.account.name if answer.account else "") == ("day-job", "day-job")
    assert in_pool(room, "main") is None


async def test_an_account_goes_only_when_its_name_is_written_once_more(room: Planes, home: StoredHome) -> None:
    with pytest.raises(BadQuestion, match="`confirm` to remove it: main"):
        await changes.remove_account(room.plane, "main", "spare", WHO)
    assert len(home.accounts()) == 2
    answer = await changes.remove_account(room.plane, "main", "main", WHO)
    assert (answer.message, answer.account) == ("main is removed", None)
    assert in_pool(room, "main") is None
    last = await changes.remove_account(room.plane, "spare", "spare", WHO)
    assert "clients' own keys pass through" in last.notice


@pytest.mark.parametrize("saved", [False, True])
async def test_limits_are_forgotten_whether_they_were_saved_or_not(room: Planes, home: StoredHome, saved: bool) -> None:
    pool, main = room.plane.pool, in_pool(room, "main")
    assert pool is not None
    assert main is not None
    for model in ("", "claude-a"):
        scope = Scope.MODEL if model else Scope.ACCOUNT
        pool.failed(main.id, model, Verdict(Act.NEXT, scope, until=time.time() + 600, verified=True, reason="full"))
    keeper = room.plane.keeper
    assert keeper is not None
    if saved:
        keeper._save()
        assert keeper.worker is not None
        await keeper.worker.call(lambda connection: None)
        while not [rest for rest in home.state(time.time()).cooldowns if not rest.over]:
            await keeper.worker.call(lambda connection: None)
    answer = await changes.reset_limits(room.plane, "main", WHO)
    assert answer.account is not None
    assert (answer.account.state, answer.account.models_out) == ("ready", [])
    assert pool.status(main.id).state == "ready"


@pytest.mark.parametrize(
    "change, kind, words",
    [
        (lambda p: changes.pause_account(p, "mian", "", WHO), NotFound, "did you mean 'main'"),
        (lambda p: changes.pause_account(p, "main", "a\nb", WHO), BadQuestion, "reason: write up to"),
        (lambda p: changes.set_priority(p, "main", 1001, WHO), BadQuestion, "from 0 to 1000"),
        (lambda p: changes.rename_account(p, "main", "spare", WHO), Conflict, "already"),
        (lambda p: changes.set_models(p, "main", ModelRules(allow=["a b"]), WHO), BadQuestion, "allow 'a b'"),
        (lambda p: changes.reload_account(p, "mian", WHO), NotFound, "no account 'mian'"),
    ],
)
async def test_what_cannot_be_changes_nothing_and_says_why(
    change: Callable[[Any], Any], kind: type[AdminProblem], words: str, room: Planes, home: StoredHome
) -> None:
    before, events = home.accounts(), home.events()
    with pytest.raises(kind, match=words):
        await change(room.plane)
    assert (home.accounts(), home.events()) == (before, events)


async def test_without_a_database_nothing_can_be_changed_and_none_is_made(places: Places) -> None:
    async with plane_of(AccountRotation(), clock=now) as room:
        with pytest.raises(NotFound, match="Add one: POST /api/accounts"):
            await changes.pause_account(room.plane, "main", "", WHO)
        with pytest.raises(NotFound, match="no accounts yet"):
            await changes.reload_account(room.plane, "main", WHO)
    assert not (places.proxy / "proxy.db").exists()


async def test_without_the_pool_secrets_cannot_be_fetched(home: StoredHome) -> None:
    async with plane_of(clock=now) as room:
        with pytest.raises(Unavailable, match="account_rotation is not at work"):
            await changes.reload_account(room.plane, "main", WHO)
        assert (await changes.pause_account(room.plane, "main", "", WHO)).account is not None


async def test_a_secret_is_fetched_anew_or_the_reason_told_without_it(
    home: StoredHome, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIN_KEY", "planted-first")
    home.add(new_account("env", URL, "anthropic-compatible", secret=SecretRef(Source.ENV, "MAIN_KEY")))
    async with plane_of(AccountRotation(), clock=now) as room:
        keeper, account = room.plane.keeper, in_pool(room, "env")
        assert keeper is not None
        assert account is not None
        assert (await changes.reload_account(room.plane, "env", WHO)).success
        keeper._shelf._environ = {}
        with pytest.raises(Conflict, match="MAIN_KEY is not set") as refused:
            await changes.reload_account(room.plane, "env", WHO)
    assert "planted" not in refused.value.detail
    assert home.events()[-1].event == "reloaded"
