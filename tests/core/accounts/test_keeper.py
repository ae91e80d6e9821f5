"""Pool and database together: loaded before the proxy runs, in step with others, nothing lost at the end."""

import asyncio
import dataclasses
import threading
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Connection, text, update

from codemie_core.accounts import keeper as module
from codemie_core.accounts.account import Kind, SecretRef, Source
from codemie_core.accounts.changes import rename
from codemie_core.accounts.loaded import open_store
from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.accounts.state import Change, Cooldown
from codemie_core.errors import SettingsError
from codemie_core.store import tables
from codemie_core.store.database import Database, accounts_revision
from codemie_core.store.place import DatabaseTrouble
from codemie_core.store.pool import save_changes
from codemie_core.store.settings import put_setting
from codemie_core.store.shared import SharedStore
from support.elsewhere import elsewhere, outcomes
from support.keeping import ENVIRON, URL, Home, quickly, until, warnings
from support.pools import verified
from support.postgres import Postgres

FAR = 4_000_000_000.0


@pytest.fixture
def home(codemie_home: Path) -> Home:
    return Home(codemie_home)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)


async def test_before_the_proxy_runs_all_that_is_stored_is_in_the_pool(home: Home) -> None:
    main, spare = (home.stored.key(name, URL, f"planted-{name}") for name in ("main", "spare"))
    rest = Cooldown(main.id, "", FAR, "limited", True, 0, 1.0)
    home.stored.write(lambda connection: save_changes(connection, [rest]))
    home.stored.write(lambda connection: put_setting(connection, "account_rotation.strategy", "least-used"))
    home.keeper.open()
    assert home.names == ["main", "spare"]
    assert home.pool.status(main.id).until == FAR
    assert home.pool.status(spare.id).state == "ready"
    assert home.keeper.settings == {"account_rotation.strategy": "least-used"}
    assert home.keeper.vault is not None
    await home.keeper.end()


async def test_what_others_change_is_here_soon(home: Home) -> None:
    main = home.stored.key("main", URL, "planted-main")
    home.begin()
    home.stored.key("spare", URL, "planted-spare")
    await until(lambda: home.names == ["main", "spare"])
    rest = Cooldown(main.id, "", FAR, "limited", True, 0, 1.0)
    home.stored.write(lambda connection: save_changes(connection, [rest]))
    await until(lambda: home.pool.status(main.id).until == FAR)
    home.stored.change("main", "paused", paused="holidays")
    await until(lambda: home.account("main").paused == "holidays")
    home.stored.write(lambda connection: put_setting(connection, "account_rotation.strategy", "drain-soonest"))
    await until(lambda: home.keeper.settings == {"account_rotation.strategy": "drain-soonest"})
    assert home.changes >= 3  # Of cooldowns only the pool has to know.
    await home.keeper.end()


async def test_a_secret_is_fetched_once_and_anew_when_it_was_replaced(home: Home) -> None:
    main = home.stored.key("main", URL, "planted-old")
    home.begin()
    assert home.keeper.secret_at_hand(main) is None
    assert await home.secret("main") == "planted-old"
    assert home.keeper.secret_at_hand(main) is not None
    home.replace_secret(main, "planted-new")
    await until(lambda: home.keeper.secret_at_hand(main) is None)
    assert await home.secret("main") == "planted-new"
    await home.keeper.end()


async def test_a_secret_that_is_to_come_from_elsewhere_now_is_fetched_from_there(home: Home) -> None:
    home = Home(home.stored.places.home, MY_KEY="planted-of-the-environment")
    home.stored.key("main", URL, "planted-old")
    home.begin()
    assert await home.secret("main") == "planted-old"
    home.stored.change("main", "key", secret=SecretRef(Source.ENV, "MY_KEY"))
    await until(lambda: home.account("main").secret.source is Source.ENV)
    assert await home.secret("main") == "planted-of-the-environment"
    await home.keeper.end()


async def test_secrets_that_cannot_be_had_are_told_by_account(home: Home) -> None:
    home.stored.key("main", URL, "planted-main")
    home.begin()
    [stranger, login] = (
        dataclasses.replace(home.account("main"), id=name, name=name, kind=kind)
        for name, kind in (("stranger", Kind.API_KEY), ("login", Kind.OAUTH))
    )
    with pytest.raises(SecretTrouble, match="account stranger: the vault holds nothing for it"):
        await home.keeper.secret(stranger)
    with pytest.raises(SecretTrouble, match="account login: "):
        await home.keeper.secret(login)
    await home.keeper.end()
    with pytest.raises(SecretTrouble, match=r"account stranger: .*database is closed"):
        await home.keeper.secret(stranger)


async def test_what_the_pool_learns_is_stored_soon_and_at_the_end_all_of_it(home: Home) -> None:
    main, spare = (home.stored.key(name, URL, "planted") for name in ("main", "spare"))
    home.begin()
    home.pool.failed(main.id, "", verified(FAR))
    home.keeper.note()
    await until(lambda: home.rests() == {main.id: FAR})
    home.pool.failed(spare.id, "", verified(FAR))
    await home.keeper.end()
    assert home.rests() == {main.id: FAR, spare.id: FAR}
    assert [event.who for event in home.stored.events("spare") if event.event == "rests"] == ["proxy 01234567"]


async def test_while_the_database_is_in_trouble_the_pool_collects_and_no_queue_grows(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    main = home.stored.key("main", URL, "planted-main")
    home.begin()
    worker = home.keeper.worker
    assert worker is not None
    with home.stored.database() as other:
        with other.writing() as locking:
            locking.execute(text("select 1"))
            home.pool.failed(main.id, "", verified(FAR))
            home.keeper.note()
            await until(lambda: bool(worker.trouble))
            for later in range(1, 100):
                home.pool.failed(main.id, "", verified(FAR + later))
                home.keeper.note()
                await asyncio.sleep(0.015)
            assert worker.waiting <= 2
        await until(lambda: not worker.trouble and home.rests() == {main.id: FAR + 99})
    assert len([line for line in warnings(caplog) if "Not stored for now" in line]) == 1
    await home.keeper.end()


async def test_without_a_database_nothing_is_opened_and_the_first_account_is_noticed(home: Home) -> None:
    home.begin()
    assert home.keeper.worker is None
    assert not home.stored.places.proxy.exists()
    home.keeper.note()
    home.stored.key("main", URL, "planted-main")
    await until(lambda: home.names == ["main"])
    assert home.changes == 1
    assert await home.secret("main") == "planted-main"
    home.stored.change("main", "paused", paused="holidays")
    await until(lambda: home.account("main").paused == "holidays")
    await home.keeper.end()


def test_a_proxy_without_accounts_loads_no_database_library(codemie_home: Path) -> None:
    program = """
        for name in [name for name in sys.modules if name.startswith(("sqlalchemy", "alembic", "codemie_core"))]:
            del sys.modules[name]
        import asyncio
        from codemie_core.accounts.keeper import PoolKeeper
        from codemie_core.accounts.pool import Pool
        from codemie_core.places import Places
        async def main():
            keeper = PoolKeeper(Places.from_env(os.environ), os.environ, Pool(), "run")
            keeper.open()
            keeper.begin(lambda: None)
            await asyncio.sleep(0.1)
            await keeper.end()
        asyncio.run(main())
        print(*sorted({name.partition(".")[0] for name in sys.modules} & {"sqlalchemy", "alembic", "authlib"}))
    """
    assert outcomes([elsewhere(program, {**ENVIRON, "CODEMIE_HOME": str(codemie_home)}, fresh=True)]) == [""]


async def test_the_same_noticed_while_it_runs_is_trouble_until_it_is_mended(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.begin()
    home.stored.places.ensure_private(home.stored.places.proxy)
    (home.stored.places.proxy / "proxy.db").write_bytes(b"no database" * 500)
    await until(lambda: home.changes == 1)
    assert "cannot be used" in home.keeper.trouble
    (home.stored.places.proxy / "proxy.db").unlink()
    home.stored.key("main", URL, "planted-main")
    await until(lambda: home.names == ["main"])
    assert home.keeper.trouble == ""
    assert len([line for line in warnings(caplog) if "The accounts cannot be used" in line]) == 1
    await home.keeper.end()


async def test_whatever_keeps_accounts_from_being_read_is_trouble(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def surprising(*_: object) -> SharedStore:
        raise ZeroDivisionError("planted-detail")

    home.begin()
    monkeypatch.setattr(module, "open_store", surprising)
    home.stored.key("main", URL, "planted-main")
    await until(lambda: home.changes == 1)
    assert home.keeper.trouble == "ZeroDivisionError"
    monkeypatch.undo()
    await until(lambda: home.names == ["main"])
    await home.keeper.end()


async def test_a_proxy_that_ends_while_it_opens_the_database_closes_it_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, go_on = threading.Event(), threading.Event()
    closed: list[Database] = []
    close = Database.close

    def slowly(*arguments: object) -> SharedStore:
        opening.set()
        assert go_on.wait(60)
        return open_store(*arguments)  # type: ignore[arg-type]  # as they came

    def closing(database: Database) -> None:
        closed.append(database)
        close(database)

    home.begin()
    monkeypatch.setattr(module, "open_store", slowly)
    home.stored.key("main", URL, "planted-main")
    await until(opening.is_set)
    monkeypatch.setattr(Database, "close", closing)
    ending = asyncio.get_running_loop().create_task(home.keeper.end())
    await asyncio.sleep(0.05)
    assert not ending.done()
    go_on.set()
    await ending
    assert len(closed) == 1
    assert home.keeper.worker is None
    assert home.names == []


async def test_an_end_twice_or_before_the_beginning_is_harmless(home: Home) -> None:
    home.stored.key("main", URL, "planted-main")
    home.keeper.open()
    await home.keeper.end()
    await home.keeper.end()


async def test_a_database_restored_from_a_backup_is_read_anew(home: Home) -> None:
    main = home.stored.key("main", URL, "planted-main")
    for number in range(20):
        home.stored.change("main", "priority", priority=number)
    home.begin()
    rest: Change = Cooldown(main.id, "", FAR, "limited", True, 0, 1.0)

    def restored(connection: Connection) -> None:
        save_changes(connection, [rest])
        connection.execute(update(tables.cooldowns).values(changed=2))
        connection.execute(update(tables.revision).values(value=3, accounts=3))

    home.stored.write(restored)
    await until(lambda: home.pool.status(main.id).until == FAR)
    await home.keeper.end()


async def test_accounts_are_changed_for_all_proxies(home: Home) -> None:
    with pytest.raises(SettingsError, match="there are no accounts yet"):
        await home.keeper.act("main", "pause", None, "", "me")
    home.stored.key("main", URL, "planted-main")
    home.begin()
    await home.keeper.act("main", "pause", None, "holidays", "me")
    await home.keeper.act("main", "priority", 3, "", "me")
    await until(lambda: (home.account("main").paused, home.account("main").priority) == ("holidays", 3))
    await home.keeper.act("main", "resume", None, "", "me")
    await until(lambda: home.account("main").paused is None)
    assert [(one.event, one.reason, one.who) for one in home.stored.events("main")][1:] == [
        ("paused", "holidays", "me"),
        ("priority", "3", "me"),
        ("resumed", "", "me"),
    ]
    with pytest.raises(SettingsError, match="there is no account 'mian'"):
        await home.keeper.act("mian", "pause", None, "", "me")
    await home.keeper.end()


@pytest.mark.postgres
async def test_a_server_that_restarts_is_waited_for_and_nothing_is_lost(codemie_home: Path, postgres: Postgres) -> None:
    home = Home(codemie_home, CODEMIE_DATABASE_URL=postgres.new_database())
    main, spare = (home.stored.key(name, URL, f"planted-{name}") for name in ("main", "spare"))
    home.begin()
    assert await home.secret("main") == "planted-main"
    await asyncio.to_thread(postgres.stop)
    try:
        worker = home.keeper.worker
        assert worker is not None
        await until(lambda: bool(worker.trouble))
        assert await home.secret("main") == "planted-main"
        assert await home.secret("spare") == "planted-spare", "nobody asked for it before"
        with pytest.raises(SecretTrouble, match="account spare: the database"):
            await home.keeper.secret(home.account("spare"), refresh=True)
        with pytest.raises(DatabaseTrouble):
            await home.keeper.act("main", "pause", None, "", "me")
        for account in (main, spare):
            home.pool.failed(account.id, "", verified(FAR))
            home.keeper.note()
    finally:
        await asyncio.to_thread(postgres.start)
    await until(lambda: not worker.trouble)
    await until(lambda: home.rests() == {main.id: FAR, spare.id: FAR})
    home.stored.change("main", "paused", paused="holidays")
    await until(lambda: home.account("main").paused == "holidays")
    await home.keeper.end()


async def test_no_secret_can_be_seen_in_it(home: Home) -> None:
    home.stored.key("main", URL, "planted-main")
    home.keeper.open()
    assert "planted" not in f"{home.keeper!r}{home.keeper.vault!r}{home.pool.accounts!r}"
    await home.keeper.end()


async def test_a_change_made_here_is_in_the_pool_when_it_is_done(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codemie_core.store.worker.POLL", 3600.0)
    home.stored.key("main", URL, "planted-main")
    home.begin()
    monkeypatch.setattr(home.keeper, "has", partial(home.keeper.has, within=60.0))
    for former, name in pairwise(("main", "first", "second", "third")):
        changed = await home.keeper.change(partial(rename, name=former, new_name=name, who="ann", now=1.0))
        assert home.names == [name] == [changed.account.name]
    await home.keeper.end()


async def test_the_first_account_of_all_is_waited_for_too(home: Home) -> None:
    home.begin()
    home.stored.key("main", URL, "planted-main")
    revision = home.stored.read(accounts_revision)
    assert await home.keeper.has(revision, within=60.0)
    assert home.names == ["main"]
    assert not await home.keeper.has(revision + 1, within=0.05)
    await home.keeper.end()


async def test_where_nothing_is_kept_in_step_nothing_is_waited_for(home: Home) -> None:
    assert not await home.keeper.has(1)
    with pytest.raises(DatabaseTrouble, match="there are no accounts yet"):
        await home.keeper.change(lambda connection: None)
