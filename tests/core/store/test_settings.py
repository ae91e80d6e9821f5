"""Settings that running proxies take over."""

import pytest

from codemie_core.store.database import Database, accounts_revision
from codemie_core.store.settings import load_settings, put_setting

NAME = "account_rotation.strategy"


@pytest.mark.parametrize("value", ["least-used", 5, True, ["a", "ü"], {"a": None}])
def test_a_setting_comes_back_as_it_was_put(database: Database, value: object) -> None:
    with database.writing() as connection:
        put_setting(connection, NAME, "former")
        put_setting(connection, NAME, value)
    with database.reading() as connection:
        assert load_settings(connection) == {NAME: value}


def test_every_change_is_a_new_revision_and_none_takes_a_setting_away(database: Database) -> None:
    with database.writing() as connection:
        put_setting(connection, NAME, "session")
        assert accounts_revision(connection) == 2
        put_setting(connection, NAME, None)
        assert accounts_revision(connection) == 3
        assert load_settings(connection) == {}
