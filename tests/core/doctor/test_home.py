import os
import shutil
import subprocess
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


def test_the_commands_mend_what_they_are_told_for(tmp_path: Path) -> None:
    """As they stand there, in a shell, with a blank in the path."""
    places = Places(tmp_path / "my home" / ".codemie")
    places.ensure_private(places.credentials)
    places.write_private(places.proxy / "vault.key", b"secret")
    places.credentials.chmod(0o755)
    (places.proxy / "vault.key").chmod(0o644)
    around = surroundings(places.home)
    found = list(home.permissions(around))
    assert len(found) == 2
    for one in found:
        subprocess.run(["sh", "-c", one.fix], check=True)
    assert levels(home.permissions(around)) == ["ok"]


def test_a_home_that_is_no_folder_is_a_problem(codemie_home: Path) -> None:
    codemie_home.parent.mkdir(exist_ok=True)
    codemie_home.write_text("")
    assert told(home.ownership(surroundings(codemie_home))) == [("problem", f"{codemie_home} is no folder")]
    codemie_home.unlink()
    codemie_home.symlink_to(codemie_home.parent / "gone")
    assert levels(home.ownership(surroundings(codemie_home))) == ["problem"]


@pytest.mark.parametrize(
    "mode, fix", [(0o500, "chmod u+rwx {home}"), (0o700, "set CODEMIE_HOME to a folder of your own")]
)
def test_a_home_that_cannot_be_written_is_told_with_what_helps(
    mode: int, fix: str, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the second nothing is wrong with the folder: the disk can only be read."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    places.home.chmod(mode)
    try:
        (found,) = home.ownership(surroundings(places.home))
    finally:
        places.home.chmod(0o700)
    assert (found.level, found.fix) == ("problem", fix.format(home=places.home))


def test_what_belongs_to_somebody_else_is_a_problem(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    around = surroundings(places.home)
    (found,) = home.ownership(around)
    assert (found.level, found.fix.partition(",")[0]) == ("problem", f"sudo chown -R 12345 {places.home}")
    found, *_ = home.permissions(around)
    assert (found.level, found.fix) == ("problem", f"sudo chown 12345 {places.proxy}")


@pytest.mark.parametrize("free, level", [(10 * 1024**3, "ok"), (500 * 1024**2, "warning"), (50 * 1024**2, "problem")])
def test_little_room_is_told_before_it_is_none(
    free: int, level: str, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free))
    assert levels(home.disk(surroundings(codemie_home))) == [level]


def test_files_of_ones_own_that_cannot_be_read_are_named(places: Places) -> None:
    around = surroundings(places.home)
    assert levels(home.files(around)) == ["ok"]
    (places.proxy / "keys.json").write_text("{broken")
    (places.proxy / "prices.yaml").write_text("modells: {}\n")
    (places.proxy / "providers.yaml").write_text("house:\n  authorise_url: https://a.example\n")
    found = told(home.files(around))
    assert [level for level, _ in found] == ["problem", "warning", "warning"]
    for (_, words), part in zip(found, ("keys.json", "modells", "authorise_url"), strict=True):
        assert part in words
