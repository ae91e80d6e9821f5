"""A sign-in that was begun can be ended once, within ten minutes."""

import sqlalchemy as sa

from codemie_core.store import tables
from codemie_core.store.database import Database
from codemie_core.store.oauth import LIFETIME_MS, LoginSession, put_login, take_login

LOGIN = LoginSession("s1", "anthropic", "mine", b"sealed verifier")


def test_a_login_is_taken_once(database: Database) -> None:
    with database.writing() as connection:
        put_login(connection, LOGIN, 1_000)
        assert take_login(connection, "s2", 1_001) is None
        assert take_login(connection, "s1", 1_001) == LOGIN
        assert take_login(connection, "s1", 1_001) is None


def test_after_ten_minutes_it_is_over(database: Database) -> None:
    assert LIFETIME_MS == 600_000
    with database.writing() as connection:
        put_login(connection, LOGIN, 1_000)
        assert take_login(connection, "s1", 1_000 + LIFETIME_MS) is None
        assert take_login(connection, "s1", 1_001) is None


def test_a_new_login_sweeps_out_the_old_ones(database: Database) -> None:
    with database.writing() as connection:
        put_login(connection, LOGIN, 1_000)
        put_login(connection, LoginSession("s2", "openai", "mine", b""), 1_000 + LIFETIME_MS)
        assert connection.execute(sa.select(tables.oauth_sessions.c.id)).scalars().all() == ["s2"]
