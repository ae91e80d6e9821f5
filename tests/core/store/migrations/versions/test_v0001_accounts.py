"""The first version. That it makes the declared tables is tested with those."""

import sqlalchemy as sa

from codemie_core.store.database import Database, accounts_revision, revision_of
from codemie_core.store.tables import metadata


def test_a_new_database_begins_empty_and_at_revision_one(database: Database) -> None:
    with database.reading() as connection:
        assert (revision_of(connection), accounts_revision(connection)) == (1, 1)
        for table in metadata.sorted_tables:
            rows = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
            assert rows == (1 if table.name == "revision" else 0), table.name
