"""Sealed secrets: replaced only by whoever knows the latest; refreshed by one process at a time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from codemie_core.accounts.account import Kind
from codemie_core.store.accounts import add_account, remove_account
from codemie_core.store.database import Database, accounts_revision
from codemie_core.store.secrets import (
    all_secrets,
    drop_secret,
    lease_refresh,
    release_refresh,
    replace_secret,
    sealed_keys,
    sealed_secret,
    secret_versions,
    set_vault_checks,
    vault_checks,
)
from support.elsewhere import elsewhere, outcomes
from support.stored import new_account

ROUNDS = 5
# Each adds one to a number as a refresh would change a token: read, think, store if nobody was quicker.
COUNT_UP = f"""
import json
from codemie_core.store import database as store
from codemie_core.store.secrets import replace_secret, sealed_secret
store.BUSY_TIMEOUT = 60.0
database, stored = open_database(places, os.environ), 0
while stored < {ROUNDS}:
    with database.reading() as connection:
        sealed, version = sealed_secret(connection, "id-1")
    with database.writing() as connection:
        stored += replace_secret(connection, "id-1", json.dumps(json.loads(sealed) + 1).encode(), version)
# In one piece: other threads say the same.
print(f"{{stored}}\\n", end="", flush=True)
"""


@pytest.fixture
def filled(database: Database) -> Database:
    """With one account that has a secret and one that has none."""
    with database.writing() as connection:
        add_account(connection, new_account("main", "https://x", id="id-1"), b"0", "ann")
        add_account(connection, new_account("spare", "https://x", id="id-2"), None, "ann")
    return database


def test_a_secret_is_replaced_only_by_whoever_knows_the_latest(filled: Database) -> None:
    with filled.writing() as connection:
        assert sealed_secret(connection, "id-1") == (b"0", 1)
        assert not replace_secret(connection, "id-1", b"late", 7)
        assert accounts_revision(connection) == 3
        assert replace_secret(connection, "id-1", b"1", 1)
        assert accounts_revision(connection) == 4
        assert not replace_secret(connection, "id-1", b"late", 1)
        assert sealed_secret(connection, "id-1") == (b"1", 2)
        assert replace_secret(connection, "id-1", b"by hand", None)
        assert all_secrets(connection) == {"id-1": (b"by hand", 3)}
        assert secret_versions(connection) == {"id-1": 3}


def test_a_first_secret_needs_an_account_that_is_there(filled: Database) -> None:
    with filled.writing() as connection:
        assert not replace_secret(connection, "id-2", b"late", 1)
        assert replace_secret(connection, "id-2", b"first", None)
        remove_account(connection, "id-1", "ann")
        assert not replace_secret(connection, "id-1", b"late", None)
        assert not replace_secret(connection, "id-1", b"late", 1)
        assert all_secrets(connection) == {"id-2": (b"first", 1)}


def test_a_dropped_secret_is_gone_and_others_hear_of_it(filled: Database) -> None:
    with filled.writing() as connection:
        drop_secret(connection, "id-1")
        assert sealed_secret(connection, "id-1") is None
        assert accounts_revision(connection) == 4


def test_of_20_threads_that_replace_one_version_one_succeeds(filled: Database) -> None:
    def replace(number: int) -> bool:
        with filled.writing() as connection:
            return replace_secret(connection, "id-1", str(number).encode(), 1)

    with ThreadPoolExecutor(20) as threads:
        won = list(threads.map(replace, range(20)))
    assert won.count(True) == 1
    with filled.reading() as connection:
        assert sealed_secret(connection, "id-1") == (str(won.index(True)).encode(), 2)


def test_no_replacement_is_lost_between_20_writers_in_4_processes(filled: Database, environ: dict[str, str]) -> None:
    threaded = f"import threading\nprogram = {COUNT_UP!r}\n" + (
        "jobs = [threading.Thread(target=exec, args=(program, dict(globals()))) for _ in range(5)]\n"
        "[job.start() for job in jobs]\n[job.join() for job in jobs]\n"
    )
    told = outcomes([elsewhere(threaded, environ) for _ in range(4)])
    assert [line for words in told for line in words.split()] == [str(ROUNDS)] * 20
    with filled.reading() as connection:
        found = sealed_secret(connection, "id-1")
    assert found is not None
    assert (json.loads(found[0]), found[1]) == (20 * ROUNDS, 20 * ROUNDS + 1)


def test_one_holder_at_a_time_refreshes_and_a_lease_left_behind_runs_out(filled: Database) -> None:
    with filled.writing() as connection:
        assert lease_refresh(connection, "id-1", "a", 1_000, 2_000)
        assert not lease_refresh(connection, "id-1", "b", 1_999, 3_000)
        assert lease_refresh(connection, "id-2", "b", 1_999, 3_000)
        assert lease_refresh(connection, "id-1", "a", 1_999, 2_500)
        assert not lease_refresh(connection, "id-1", "b", 2_499, 4_000)
        assert lease_refresh(connection, "id-1", "b", 2_500, 4_000)
        release_refresh(connection, "id-1", "a")
        assert not lease_refresh(connection, "id-1", "c", 2_600, 4_000)
        release_refresh(connection, "id-1", "b")
        assert lease_refresh(connection, "id-1", "c", 2_600, 4_000)


def test_of_20_threads_that_want_the_lease_one_gets_it(filled: Database) -> None:
    def lease(number: int) -> bool:
        with filled.writing() as connection:
            return lease_refresh(connection, "id-1", f"holder {number}", 1_000, 2_000)

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(lease, range(20))).count(True) == 1


def test_there_is_no_lease_for_an_account_that_is_gone(filled: Database) -> None:
    with filled.writing() as connection:
        assert not lease_refresh(connection, "id-9", "a", 1, 2)
        assert lease_refresh(connection, "id-1", "a", 1, 2)


def test_the_vaults_checks_are_replaced_as_a_whole(database: Database) -> None:
    with database.writing() as connection:
        assert vault_checks(connection) == {}
        set_vault_checks(connection, {"k1": b"1", "k2": b"2"}, 1_000)
        assert vault_checks(connection) == {"k1": b"1", "k2": b"2"}
        set_vault_checks(connection, {"k3": b"3"}, 1_000)
        assert vault_checks(connection) == {"k3": b"3"}


def test_keys_are_read_without_what_belongs_to_sign_ins(database: Database) -> None:
    with database.writing() as connection:
        for name, kind in (("key", Kind.API_KEY), ("sign-in", Kind.OAUTH), ("elsewhere", Kind.API_KEY)):
            sealed = None if name == "elsewhere" else name.encode()
            add_account(connection, new_account(name, "https://api.test", id=name, kind=kind), sealed, "a test")
        assert sealed_keys(connection) == {"key": b"key"}
