"""Where the database is, and that its password is never told."""

from pathlib import Path

import pytest

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.store.place import DATABASE_VARIABLE, database_file, database_url, describe, store_exists

PASSWORD = "planted-password"


def test_without_a_url_it_is_a_file_of_the_home(places: Places) -> None:
    assert database_url(places, {}) == f"sqlite:///{places.proxy / 'proxy.db'}"
    assert database_url(places, {DATABASE_VARIABLE: ""}) == database_url(places, {})


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_is_understood(places: Places, scheme: str) -> None:
    url = database_url(places, {DATABASE_VARIABLE: f"{scheme}://ann:{PASSWORD}@db.example.com/x?sslmode=require"})
    assert url == f"postgresql+psycopg://ann:{PASSWORD}@db.example.com/x?sslmode=require"


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://ann:{PASSWORD}@db/x",
        f"sqlite:///{PASSWORD}",
        PASSWORD,
        f"postgresql://ann:{PASSWORD}@more@db/x",
        f"postgresql://ann:1:{PASSWORD}@db:port/x",
        f"postgresql://ann:x@db:{PASSWORD}/x",
    ],
)
def test_anything_else_is_refused_without_telling_it(places: Places, url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        database_url(places, {DATABASE_VARIABLE: url})
    assert DATABASE_VARIABLE in str(refused.value)
    assert "postgresql://" in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    "url, told",
    [
        (f"postgresql+psycopg://ann:{PASSWORD}@db:5432/x", "postgresql+psycopg://ann@db:5432/x"),
        (f"postgresql://ann:a@{PASSWORD}@db/x", "postgresql://ann@db/x"),
        (f"postgresql://ann:{PASSWORD}:x/y@db/x", "postgresql://ann@db/x"),
        (f"postgresql://:{PASSWORD}@db/x", "postgresql://@db/x"),
        (f"postgresql://db/x?user=ann&password={PASSWORD}", "postgresql://db/x"),
        ("postgresql://ann@/x", "postgresql://ann@/x"),
        ("sqlite:////srv/ann@work?/proxy.db", "/srv/ann@work?/proxy.db"),
    ],
)
def test_a_described_url_has_no_password(url: str, told: str) -> None:
    assert describe(url) == told


def test_asking_for_a_store_creates_nothing(places: Places, codemie_home: Path) -> None:
    assert not store_exists(places, {})
    assert not codemie_home.exists()
    assert store_exists(places, {DATABASE_VARIABLE: "postgresql://db/x"})
    places.ensure_private(places.proxy)
    database_file(places).touch()
    assert store_exists(places, {})
