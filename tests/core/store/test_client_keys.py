"""The copy of the client keys: names and hashes, as the file has them."""

import sqlalchemy as sa

from codemie_core.access.client_keys import KeyStore
from codemie_core.places import Places
from codemie_core.store import tables
from codemie_core.store.client_keys import import_keys
from codemie_core.store.database import Database


def test_the_table_becomes_like_the_file_without_any_key(database: Database, places: Places) -> None:
    keys = KeyStore(places)
    secrets = [keys.add(name)[1].get_secret_value() for name in ("ann", "bob")]
    before = keys.ring()
    keys.revoke("ann")
    with database.writing() as connection:
        import_keys(connection, before)
        import_keys(connection, keys.ring())
        rows = connection.execute(sa.select(tables.client_keys).order_by(tables.client_keys.c.name)).all()
    assert [(row.name, row.revoked_ms is None) for row in rows] == [("ann", False), ("bob", True)]
    assert [row.sha256 for row in rows] == [key.sha256 for key in keys.ring().keys]
    assert not [secret for secret in secrets if secret in str(rows)]
