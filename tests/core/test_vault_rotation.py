"""Rotating the vault's key: whatever happens in between, everything opens afterwards."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Connection, LargeBinary, select

from codemie_core.egress import parse_proxy
from codemie_core.store import tables
from codemie_core.store.accounts import sealed_proxies
from codemie_core.store.history import save_records
from codemie_core.store.oauth import LoginSession, put_login, take_login
from codemie_core.store.payloads import Payload, load_payload, pack, save_payloads
from codemie_core.store.secrets import all_secrets, drop_secret, replace_secret, secret_versions, vault_checks
from codemie_core.vault import VaultError, key_of, pending_folder
from codemie_core.vault_rotation import SEALED, VaultStatus, rotate, vault_status
from support.elsewhere import elsewhere, outcomes
from support.records import new_record
from support.stored import StoredHome, new_account

ENVIRON = {"CODEMIE_KEYRING": "0"}
URL = "https://api.anthropic.com"
NAMES = ("main", "second", "spare")
NOW = 1_800_000_000_000


@pytest.fixture
def stored(codemie_home: Path) -> StoredHome:
    """Three accounts with secrets, one of them with the password of an outbound proxy."""
    stored = StoredHome(codemie_home, ENVIRON)
    for name in NAMES:
        stored.key(name, URL, f"planted-{name}")
    account = new_account("abroad", URL, outbound_proxy=parse_proxy("http://proxy.example:3128", "test"))
    stored.add(account, "planted-abroad")

    def sign_in(connection: Connection) -> None:
        sealed = stored.vault(connection).seal("planted-proxy", f"proxy:{account.id}")
        connection.execute(tables.accounts.update().where(tables.accounts.c.id == account.id).values(_proxy(sealed)))

    stored.write(sign_in)
    return stored


def _proxy(sealed: bytes) -> dict[str, bytes]:
    return {"outbound_proxy_sealed": sealed}


def turn(stored: StoredHome) -> VaultStatus:
    return stored.write(lambda connection: rotate(connection, stored.places, stored.environ, "a test", NOW))


def status(stored: StoredHome) -> VaultStatus:
    found = stored.read(lambda connection: vault_status(connection, stored.places, stored.environ))
    assert found is not None
    return found


def all_opens(stored: StoredHome) -> bool:
    def proxies(connection: Connection) -> list[str]:
        vault, sealed = stored.vault(connection), sealed_proxies(connection)
        return [vault.open(blob, f"proxy:{row}").get_secret_value() for row, blob in sealed.items()]

    secrets = [stored.secret(name) for name in (*NAMES, "abroad")]
    return secrets == [f"planted-{name}" for name in (*NAMES, "abroad")] and stored.read(proxies) == ["planted-proxy"]


def keys_in_use(stored: StoredHome) -> set[str]:
    def used(connection: Connection) -> set[str]:
        return {
            key_of(blob)
            for _, values, _ in SEALED
            for blob in connection.execute(select(values).where(values.is_not(None))).scalars()
        }

    return stored.read(used)


def test_everything_is_sealed_with_the_new_key_and_opens(stored: StoredHome) -> None:
    before = status(stored)
    after = turn(stored)
    assert after.key_id != before.key_id
    assert (after.former, after.secrets, after.broken, after.since_ms) == ([before.key_id], 5, [], NOW)
    assert status(stored) == after
    assert keys_in_use(stored) == {after.key_id}
    assert all_opens(stored)


def test_no_sealed_column_is_forgotten() -> None:
    sealed = {
        column
        for table in tables.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    open_to_all = {tables.vault_keys.c.check, tables.metrics_batches.c.body}
    assert {values for _, values, _ in SEALED} == sealed - open_to_all - {tables.payloads.c.sealed}


def test_payloads_outlive_one_rotation_and_go_with_the_second(stored: StoredHome) -> None:
    def say(connection: Connection, request_id: str) -> None:
        payload = Payload.of(1, 100)
        payload.request(b"a question")
        save_records(connection, [new_record(id=request_id)])
        save_payloads(connection, stored.vault(connection), [pack(request_id, payload)])

    def said(connection: Connection, request_id: str) -> bool:
        return load_payload(connection, stored.vault(connection), request_id) is not None

    stored.write(lambda connection: say(connection, "first"))
    turn(stored)
    stored.write(lambda connection: say(connection, "second"))
    assert stored.read(lambda connection: said(connection, "first"))
    turn(stored)
    assert not stored.read(lambda connection: said(connection, "first"))
    assert stored.read(lambda connection: said(connection, "second"))


def test_the_database_knows_the_new_key_alone_and_the_trail_says_who_did_it(stored: StoredHome) -> None:
    before, after = status(stored), turn(stored)
    assert stored.read(vault_checks).keys() == {after.key_id}
    event = stored.events()[-1]
    assert (event.event, event.who, event.account_name) == ("vault key rotated", "a test", "")
    assert event.reason == f"{before.key_id} to {after.key_id}"


def test_a_refresh_under_way_fits_after_it(stored: StoredHome) -> None:
    versions = stored.read(secret_versions)
    turn(stored)
    assert stored.read(secret_versions) == versions

    def store(connection: Connection) -> bool:
        [account_id, *_] = versions
        sealed = stored.vault(connection).seal("planted-new", f"account:{account_id}")
        return replace_secret(connection, account_id, sealed, versions[account_id])

    assert stored.write(store)


def test_the_key_before_the_last_one_goes(stored: StoredHome) -> None:
    first, second = status(stored), turn(stored)
    third = turn(stored)
    assert third.former == [second.key_id]
    assert first.key_id not in (stored.places.proxy / "vault.key").read_text()
    assert all_opens(stored)


def test_a_token_that_waits_for_the_database_keeps_its_key(stored: StoredHome) -> None:
    vault = stored.read(stored.vault)
    waiting = pending_folder(stored.places) / "some-account"
    stored.places.write_private(waiting, vault.seal("planted-token", "account:some-account"))
    stored.places.write_private(waiting.with_name("nonsense"), b"")
    for _ in range(3):
        last = turn(stored)
    assert vault.key_id in last.former
    assert len(last.former) == 2
    opened = stored.read(stored.vault).open(waiting.read_bytes(), "account:some-account")
    assert opened.get_secret_value() == "planted-token"
    waiting.unlink()
    assert vault.key_id not in turn(stored).former


def test_a_sign_in_that_was_begun_can_be_ended_and_one_that_cannot_be_opened_goes(stored: StoredHome) -> None:
    def begin(connection: Connection) -> None:
        sealed = stored.vault(connection).seal("planted-verifier", "login:1")
        put_login(connection, LoginSession("1", "anthropic", "mine", sealed), NOW)
        put_login(connection, LoginSession("2", "anthropic", "other", sealed), NOW)

    stored.write(begin)
    turn(stored)

    def end(connection: Connection) -> tuple[str, LoginSession | None]:
        session = take_login(connection, "1", NOW + 1)
        assert session is not None
        opened = stored.vault(connection).open(session.sealed, "login:1")
        return opened.get_secret_value(), take_login(connection, "2", NOW + 1)

    assert stored.write(end) == ("planted-verifier", None)


def test_what_is_damaged_stops_it_before_anything_was_changed(stored: StoredHome) -> None:
    broken = next(account for account in stored.accounts() if account.name == "second")

    def damage(connection: Connection) -> None:
        drop_secret(connection, broken.id)
        replace_secret(connection, broken.id, b"\x01damaged", None)

    stored.write(damage)
    before = (stored.places.proxy / "vault.key").read_bytes(), stored.read(all_secrets), stored.read(vault_checks)
    assert status(stored).broken == ["second"]
    with pytest.raises(VaultError, match=r"account second: .* \(codemie-proxy accounts key second\), then rotate"):
        turn(stored)
    assert before == (
        (stored.places.proxy / "vault.key").read_bytes(),
        stored.read(all_secrets),
        stored.read(vault_checks),
    )


def test_a_damaged_password_of_a_proxy_is_told_as_what_it_is(stored: StoredHome) -> None:
    stored.change("abroad", outbound_proxy_sealed=b"damaged")
    with pytest.raises(VaultError, match="account abroad: the password of its outbound proxy does not open"):
        turn(stored)


def test_a_key_that_cannot_be_stored_changes_nothing(stored: StoredHome, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored.read(all_secrets), stored.read(vault_checks)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="No space left on device"):
        turn(stored)
    monkeypatch.undo()
    assert before == (stored.read(all_secrets), stored.read(vault_checks))
    assert all_opens(stored)


def test_without_anything_sealed_there_is_nothing_to_rotate(codemie_home: Path) -> None:
    stored = StoredHome(codemie_home, ENVIRON)
    with stored.database():
        pass
    assert stored.read(lambda connection: vault_status(connection, stored.places, ENVIRON)) is None
    with pytest.raises(VaultError, match="nothing is sealed yet"):
        turn(stored)
    assert not (stored.places.proxy / "vault.key").exists()


# Kills itself at one step after the other; a step lies before and after everything that reaches the disk.
KILLED = """
    import shutil, signal
    from itertools import count
    from pathlib import Path
    from sqlalchemy import Engine, event
    from codemie_core.places import Places
    from codemie_core.vault_rotation import rotate

    template, folder = map(Path, sys.argv[1:])
    steps = 0

    def step(*_):
        global steps
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping(call):
        def stepped(*arguments):
            step()
            call(*arguments)
            step()
        return stepped

    def rotated(home, number):
        global steps
        database = open_database(Places(home), os.environ)
        os.fsync, os.replace = stepping(os.fsync), stepping(os.replace)
        for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(Engine, name, step)
        steps = number
        with database.writing() as connection:
            rotate(connection, Places(home), os.environ, "a test", 1)
        step()
        os._exit(0)

    for number in count(1):
        home = folder / str(number)
        shutil.copytree(template, home)
        child = os.fork()
        if child == 0:
            rotated(home, number)
        _, end = os.waitpid(child, 0)
        if not os.WIFSIGNALED(end):
            assert end == 0, end
            print(number - 1)
            break
        assert os.WTERMSIG(end) == signal.SIGKILL, end
"""


def test_killed_at_any_step_nothing_is_lost_and_the_next_one_goes_through(stored: StoredHome, tmp_path: Path) -> None:
    former = status(stored).key_id
    with stored.database():
        pass  # The last to close it folds its log into the one file.
    [steps] = outcomes([elsewhere(KILLED, ENVIRON, str(stored.places.home), str(tmp_path / "killed"))])
    committed, prepared = set(), set()
    for step in range(1, int(steps) + 1):
        home = StoredHome(tmp_path / "killed" / str(step), ENVIRON)
        found = status(home)
        assert (found.broken, found.secrets) == ([], 5), step
        assert all_opens(home), step
        assert keys_in_use(home) == {found.key_id}, step
        if found.key_id != former:
            committed.add(step)
        elif found.former:
            prepared.add(step)
        after = turn(home)
        assert after.former == [found.key_id], step
        assert all_opens(home), step
    assert int(steps) > 20
    assert committed == {int(steps)}, "only the step behind the commit has the new key"
    assert prepared, "some were killed with the new key stored and nothing sealed with it"


WRITES = """
    from codemie_core.accounts.vault_door import VaultDoor
    from codemie_core.store import database as module
    from codemie_core.store.secrets import replace_secret
    module.BUSY_TIMEOUT = 100  # Nobody is served in turn.
    database, door, account_id = open_database(places, os.environ), VaultDoor(places, os.environ), sys.argv[1]
    for number in range(int(sys.argv[2])):
        with database.writing() as connection:
            sealed = door.vault_for(connection).seal(f"planted-{number}", f"account:{account_id}")
            replace_secret(connection, account_id, sealed, None)
        time.sleep(0.005)
    database.close()
"""
ROTATES = """
    from codemie_core.store import database as module
    from codemie_core.vault_rotation import rotate
    module.BUSY_TIMEOUT = 100
    database = open_database(places, os.environ)
    for number in range(int(sys.argv[1])):
        with database.writing() as connection:
            rotate(connection, places, os.environ, "a test", number)
        time.sleep(0.01)
    database.close()
"""


@pytest.mark.parametrize("where", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_what_others_store_while_it_is_rotated_opens_afterwards(
    codemie_home: Path, where: str, request: pytest.FixtureRequest
) -> None:
    environ = {**ENVIRON, "CODEMIE_HOME": str(codemie_home)}
    if where == "postgres":
        environ["CODEMIE_DATABASE_URL"] = request.getfixturevalue("postgres").new_database()
    stored = StoredHome(codemie_home, environ)
    accounts = [stored.key(name, URL, "planted-first") for name in NAMES]
    writers = [elsewhere(WRITES, environ, account.id, "60") for account in accounts]
    outcomes([*writers, *(elsewhere(ROTATES, environ, "15") for _ in range(2))])
    assert [stored.secret(name) for name in NAMES] == ["planted-59"] * len(NAMES)
    assert status(stored).broken == []
    assert len([event for event in stored.events() if event.event == "vault key rotated"]) == 30


def test_a_copy_of_the_database_from_before_opens_until_the_next_rotation(stored: StoredHome, tmp_path: Path) -> None:
    with stored.database():
        pass
    shutil.copy(stored.places.proxy / "proxy.db", tmp_path / "copy.db")
    turn(stored)
    shutil.copy(tmp_path / "copy.db", stored.places.proxy / "proxy.db")
    assert all_opens(stored)
