"""Migrations run inside the transaction they are given: all of them, or nothing has happened."""

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store import migrate
from codemie_core.store.database import open_database

BROKEN = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9998", "{newest}"


def upgrade() -> None:
    op.create_table("half", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("insert into settings (name, value, changed_ms) values ('half', '1', 1)")
    op.execute("select * from nowhere")
"""


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    places: Places, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database(places, environ).close()
    broken = BROKEN.replace("{newest}", migrate.known_versions()[-1])
    shutil.copytree(migrate.MIGRATIONS, tmp_path / "migrations")
    (tmp_path / "migrations/versions/v9998_broken.py").write_text(broken)
    with monkeypatch.context() as newer:
        newer.setattr(migrate, "MIGRATIONS", tmp_path / "migrations")
        with pytest.raises(SettingsError, match="nowhere"):
            open_database(places, environ)
    database = open_database(places, environ)
    with database.reading() as connection:
        assert database.writable
        assert not sa.inspect(connection).has_table("half")
        assert connection.execute(sa.text("select count(*) from settings")).scalar() == 0
    database.close()
