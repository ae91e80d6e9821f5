"""The tables as declared are the tables as the migrations make them, on both databases."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from codemie_core.store.database import Database
from codemie_core.store.tables import metadata


def differences(database: Database, declared: sa.MetaData) -> list[object]:
    """What a migration would still have to do."""
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, declared))


def constraints(connection: sa.Connection, name: str) -> dict[str, object]:
    """What alembic does not compare."""
    inspector = sa.inspect(connection)
    return {
        "primary key": inspector.get_pk_constraint(name)["constrained_columns"],
        "foreign keys": [
            (key["constrained_columns"], key["referred_table"], key["options"].get("ondelete"))
            for key in inspector.get_foreign_keys(name)
        ],
    }


def declared_constraints(table: sa.Table) -> dict[str, object]:
    """The same of a declaration."""
    return {
        "primary key": [column.name for column in table.primary_key],
        "foreign keys": [
            (key.column_keys, key.referred_table.name, key.ondelete) for key in table.foreign_key_constraints
        ],
    }


def test_migrations_make_exactly_the_declared_tables(database: Database) -> None:
    assert differences(database, metadata) == []
    with database.reading() as connection:
        for table in metadata.sorted_tables:
            assert constraints(connection, table.name) == declared_constraints(table), table.name


def test_the_comparison_would_see_a_forgotten_column_index_or_type(database: Database) -> None:
    changed = sa.MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        table.to_metadata(changed)
    changed.tables["accounts"].append_column(sa.Column("nickname", sa.Text))
    sa.Index("ix_accounts_provider", changed.tables["accounts"].c.provider)
    changed.tables["settings"].c.value.type = sa.Integer()
    seen = str(differences(database, changed))
    assert "add_column" in seen
    assert "add_index" in seen
    assert "modify_type" in seen
