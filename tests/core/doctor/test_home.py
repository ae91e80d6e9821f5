import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from codemie_core.doctor import home
from codemie_core.places import Places
from support.patient import levels, surroundings, told

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def places(codemie_home: Path) -> Places:
    places = Places(codemie_home)
    for folder in (places.proxy, places.credentials, places.ca):
        places.ensure_private(folder)
    return places


def test_a_home_that_is_not_there_yet_is_no_problem(codemie_home: Path) -> None:
    around = surroundings(codemie_home)
    assert levels(home.ownership(around)) == ["note"]
    assert levels(home.permissions(around)) == ["ok"]
    assert not codemie_home.exists()


def test_a_home_of_ones_own_is_fine(places: Places) -> None:
    around = surroundings(places.home)
    for path in home.secret_files(around):
        if path.is_relative_to(places.home):
            places.write_private(path, b"")
    assert told(home.ownership(around)) == [("ok", str(places.home))]
    assert levels(home.permissions(around)) == ["ok"]


@pytest.mark.parametrize(
    "name, level",
    [
        ("proxy/vault.key", "problem"),
        ("proxy/ca/mitmproxy-ca.pem", "problem"),
        ("proxy/admin.token", "warning"),
        ("proxy/keys.json", "warning"),
        ("proxy/daemon.json", "warning"),
        ("proxy/proxy.db", "warning"),
        ("proxy/pending/one", "warning"),
        ("credentials/sso-1.enc", "warning"),
        ("sso-credentials.enc", "warning"),
        ("codemie-cli.config.json", "warning"),
    ],
)
@pytest.mark.parametrize("mode", [0o644, 0o620, 0o604])
def test_a_secret_that_others_can_read_is_named_with_the_command(
    name: str, level: str, mode: int, places: Places
) -> None:
    path = places.home / name
    places.write_private(path, b"secret")
    path.chmod(mode)
    (found,) = home.permissions(surroundings(places.home))
    assert (found.level, found.what) == (level, f"{path} may be read by others ({mode:04o})")
    assert found.fix == f"chmod 600 {path}"


def test_a_folder_that_others_can_enter_is_named(places: Places) -> None:
    places.credentials.chmod(0o755)
    (found,) = home.permissions(surroundings(places.home))
    assert (found.level, found.fix) == ("warning", f"chmod 700 {places.credentials}")


def test_what_belongs_to_somebody_else_is_a_problem(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    around = surroundings(places.home)
    assert levels(home.ownership(around)) == ["problem"]
    assert {"problem"} == set(levels(home.permissions(around)))


@pytest.mark.parametrize("free, level", [(10 * 1024**3, "ok"), (500 * 1024**2, "warning"), (50 * 1024**2, "problem")])
def test_little_room_is_told_before_it_is_none(
    free: int, level: str, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free))
    assert levels(home.disk(surroundings(codemie_home))) == [level]
