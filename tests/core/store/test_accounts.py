"""Accounts as rows: what goes in comes out, and every change leaves word of when, why and who."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import Connection

from codemie_core.accounts.account import Account, Kind, SecretRef, Source
from codemie_core.accounts.state import Cooldown, Home, Usage
from codemie_core.egress import OutboundProxy, parse_proxy
from codemie_core.errors import SettingsError
from codemie_core.store import tables
from codemie_core.store.accounts import (
    add_account,
    change_account,
    find,
    load_accounts,
    remove_account,
    sealed_proxies,
    with_proxy_secret,
)
from codemie_core.store.audit import events
from codemie_core.store.database import Database, accounts_revision
from codemie_core.store.pool import save_changes
from codemie_core.store.secrets import lease_refresh, sealed_secret
from support.stored import new_account

PLANTED = "planted-proxy-password"
PLAIN = new_account("main", "https://api.anthropic.com", id="id-1", created_at=1)
FULL = Account(
    id="id-2",
    name="spare",
    provider="openai-compatible",
    kind=Kind.OAUTH,
    base_url="https://api.example.com/v1",
    secret=SecretRef(Source.COMMAND, "pass show 'x y'"),
    priority=-3,
    weight=7,
    paused="",
    needs_login=True,
    tags=("a", "b, c"),
    allow=("claude-*", "ü"),
    deny=("*-old",),
    serves=("https://api.openai.com:443",),
    outbound_proxy=parse_proxy("http://proxy.example.com:3128", "account spare"),
    fallback_model="gpt-small",
    created_at=1_800_000_000_123,
)


@contextmanager
def interrupted(database: Database) -> Iterator[Connection]:
    """A transaction in which all is done, and then its process is told to end."""
    with database.writing() as connection:
        yield connection
        raise KeyboardInterrupt


@pytest.fixture
def filled(database: Database) -> Database:
    """With both accounts."""
    with database.writing() as connection:
        add_account(connection, PLAIN, b"sealed", "ann")
        add_account(connection, FULL, None, "ann")
    return database


def test_an_account_comes_back_as_it_was_added(filled: Database) -> None:
    with filled.reading() as connection:
        assert load_accounts(connection) == [PLAIN, FULL]
        assert find(connection, "spare") == find(connection, "id-2") == FULL
        assert find(connection, "nobody") is None
        assert sealed_secret(connection, "id-1") == (b"sealed", 1)
        assert sealed_secret(connection, "id-2") is None


def test_a_name_counts_before_an_id(filled: Database) -> None:
    confusing = new_account("id-2", "https://api.anthropic.com", id="id-3")
    with filled.writing() as connection:
        add_account(connection, confusing, None, "ann")
        assert find(connection, "id-2") == confusing


def test_a_name_is_given_once(filled: Database) -> None:
    twin = dataclasses.replace(PLAIN, id="id-3")
    with pytest.raises(SettingsError, match="'main' already"), filled.writing() as connection:
        add_account(connection, twin, None, "ann")
    with pytest.raises(SettingsError, match="'main' already"), filled.writing() as connection:
        change_account(connection, "id-2", "renamed", "", "ann", name="main")
    with filled.reading() as connection:
        assert load_accounts(connection) == [PLAIN, FULL]


@pytest.mark.parametrize(
    "field, value",
    [
        ("name", "other"),
        ("secret", SecretRef(Source.ENV, "KEY")),
        ("priority", 5),
        ("weight", 2),
        ("paused", "holidays"),
        ("needs_login", True),
        ("tags", ("x",)),
        ("allow", ("x",)),
        ("deny", ("x",)),
        ("serves", ("https://x:443",)),
        ("outbound_proxy", parse_proxy("https://[::1]:8443", "account main")),
        ("fallback_model", "x"),
        ("base_url", "https://x"),
    ],
)
def test_each_field_can_be_changed_alone(filled: Database, field: str, value: Any) -> None:
    with filled.writing() as connection:
        before = accounts_revision(connection)
        change_account(connection, "id-1", "changed", "because", "bob", **{field: value})
        assert accounts_revision(connection) == before + 1
        changed: dict[str, Any] = {field: value}
        assert find(connection, "id-1") == dataclasses.replace(PLAIN, **changed)
        assert find(connection, "id-2") == FULL


def test_a_change_of_an_account_that_is_gone_says_so(filled: Database) -> None:
    with pytest.raises(SettingsError, match="removed"), filled.writing() as connection:
        change_account(connection, "id-9", "paused", "", "ann", paused="x")


def test_the_password_of_an_outbound_proxy_is_stored_only_sealed(database: Database) -> None:
    proxy = OutboundProxy("http", "proxy.example.com", 3128, SecretStr(f"Basic {PLANTED}"))
    account = dataclasses.replace(PLAIN, outbound_proxy=proxy)
    with database.writing() as connection:
        add_account(connection, account, None, "ann", sealed_proxy=b"sealed proxy")
        add_account(connection, FULL, None, "ann")
    with database.reading() as connection:
        [found, _] = load_accounts(connection)
        rows = [connection.execute(sa.select(table)).all() for table in tables.metadata.sorted_tables]
        assert sealed_proxies(connection) == {"id-1": b"sealed proxy"}
    assert PLANTED not in str(rows)
    assert found.outbound_proxy == parse_proxy("http://proxy.example.com:3128", "account main")
    assert with_proxy_secret(found, SecretStr(f"Basic {PLANTED}")) == account


def test_every_change_is_in_the_audit_trail_with_time_reason_and_who(filled: Database) -> None:
    begun = time.time()
    with filled.writing() as connection:
        change_account(connection, "id-1", "paused", "holidays", "bob", paused="holidays")
        change_account(connection, "id-1", "renamed", "was main", "bob", name="first")
        remove_account(connection, "id-1", "carl")
        found = events(connection, "id-1")
    assert [(one.event, one.account_name, one.reason, one.who) for one in found] == [
        ("removed", "first", "", "carl"),
        ("renamed", "first", "was main", "bob"),
        ("paused", "main", "holidays", "bob"),
        ("added", "main", "anthropic, https://api.anthropic.com", "ann"),
    ]
    assert all(abs(one.at - begun) < 600 for one in found)


def test_a_removed_account_takes_all_it_had_with_it_but_its_history(filled: Database) -> None:
    with filled.writing() as connection:
        save_changes(
            connection,
            [
                Cooldown("id-1", "", 9.0, "x", True, 0, 1.0),
                Usage("id-1", "5h", 0.5, None, 1.0),
                Home("c", "id-1", 1, 1),
            ],
        )
        assert lease_refresh(connection, "id-1", "me", 0, 1)
        before = accounts_revision(connection)
        remove_account(connection, "id-1", "ann")
        assert accounts_revision(connection) > before
        remove_account(connection, "id-1", "ann")
    with filled.reading() as connection:
        left = {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
            for table in tables.metadata.sorted_tables
            if "account_id" in table.columns and table.name != "account_events"
        }
        assert left == dict.fromkeys(left, 0)
        assert [event.event for event in events(connection, "id-1")] == ["removed", "rests", "added"]


@pytest.mark.parametrize(
    "change",
    [
        lambda connection: change_account(connection, "id-1", "paused", "", "ann", paused="x"),
        lambda connection: remove_account(connection, "id-1", "ann"),
    ],
)
def test_a_change_that_is_undone_leaves_no_word(filled: Database, change: Callable[[Connection], None]) -> None:
    with pytest.raises(KeyboardInterrupt), interrupted(filled) as connection:
        change(connection)
    with filled.reading() as connection:
        assert load_accounts(connection) == [PLAIN, FULL]
        assert len(events(connection)) == 2
