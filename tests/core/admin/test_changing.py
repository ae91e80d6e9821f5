from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from account_rotation import AccountRotation
from codemie_core.accounts.roster import NoSuchAccount
from codemie_core.admin.changing import changing, has_store, looking, sentence, told
from codemie_core.admin.problems import AdminProblem, BadQuestion, Conflict, NotFound, Unavailable
from codemie_core.errors import SettingsError
from codemie_core.oauth.login import LoginFailed
from codemie_core.places import Places
from codemie_core.store.accounts import NameTaken
from codemie_core.store.place import DatabaseTrouble
from codemie_core.store.settings import load_settings, put_setting
from support.planes import now, plane_of
from support.stored import StoredHome

SETTING = "account_rotation.strategy"


def chosen(name: str) -> Callable[[Connection], None]:
    return lambda connection: put_setting(connection, SETTING, name)


@pytest.mark.parametrize(
    "problem, kind",
    [
        (NoSuchAccount("there is none"), NotFound),
        (NameTaken("there is one"), Conflict),
        (SettingsError("a number"), BadQuestion),
        (LoginFailed("it is over"), BadQuestion),
    ],
)
def test_what_our_rooms_complain_about_is_a_problem_that_fits(problem: Exception, kind: type[AdminProblem]) -> None:
    with pytest.raises(kind) as found, told():
        raise problem
    assert found.value.detail == sentence(problem)


def test_trouble_with_the_database_is_nobodys_fault() -> None:
    with pytest.raises(DatabaseTrouble), told():
        raise DatabaseTrouble("locked")


async def test_looking_for_a_database_makes_none(places: Places) -> None:
    async with plane_of() as room:
        assert not has_store(room.plane)
        assert not (places.proxy / "proxy.db").exists()


async def test_a_change_is_in_the_pool_when_it_returns_and_a_refused_one_nowhere(places: Places) -> None:
    StoredHome(places.home).key("main", "https://api.test", "planted", provider="anthropic-compatible")
    async with plane_of(AccountRotation(), clock=now) as room:
        keeper = room.plane.keeper
        assert keeper is not None
        for name in ("least-used", "session", "drain-soonest"):
            await changing(room.plane, chosen(name))
            assert keeper.settings == {SETTING: name}
            assert room.plane.pool is not None
            assert room.plane.pool.strategy == name

        def half(connection: Connection) -> None:
            put_setting(connection, SETTING, "session")
            raise SettingsError("no")

        with pytest.raises(BadQuestion):
            await changing(room.plane, half)
        assert (await looking(room.plane, load_settings)) == {SETTING: "drain-soonest"}


async def test_a_database_that_is_away_is_told_as_such(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    StoredHome(places.home).key("main", "https://api.test", "planted", provider="anthropic-compatible")

    def locked(connection: Connection) -> None:
        raise DatabaseTrouble("locked")

    async with plane_of(AccountRotation(), clock=now) as room:
        with pytest.raises(Unavailable, match="locked"):
            await changing(room.plane, locked)
