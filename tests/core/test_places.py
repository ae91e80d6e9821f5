"""Places: where files live, and that nobody else can read or redirect them."""

import os
from pathlib import Path

import pytest

from codemie_core.errors import SettingsError
from codemie_core.places import Places


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "codemie")


def test_home_is_codemie_home_else_the_folder_in_the_users_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Places.from_env({"CODEMIE_HOME": "/srv/codemie"}).home == Path("/srv/codemie")
    assert Places.from_env({"CODEMIE_HOME": "~/elsewhere"}).home == tmp_path / "elsewhere"
    assert Places.from_env({"CODEMIE_HOME": ""}).home == tmp_path / ".codemie"
    assert Places.from_env({}).home == tmp_path / ".codemie"


def test_a_relative_home_does_not_move_with_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Places.from_env({"CODEMIE_HOME": "here"}).home == tmp_path / "here"


def test_a_home_of_an_unknown_user_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="set CODEMIE_HOME"):
        Places.from_env({"CODEMIE_HOME": "~no-such-user-here/x"})


def test_only_the_shared_files_lie_outside_our_own_folder(places: Places) -> None:
    shared = {places.profile, places.credentials, places.logs, places.sessions}
    assert {path.parent for path in shared} == {places.home}
    for ours in (places.config, places.run, places.ca):
        assert ours.is_relative_to(places.proxy)
    assert (places.profile.name, places.config.name) == ("codemie-cli.config.json", "codemie.yaml")
    assert not places.home.exists(), "looking must not create"


def test_new_folders_are_private_down_from_the_home(places: Places) -> None:
    places.ensure_private(places.run)
    assert [mode(path) for path in (places.home, places.proxy, places.run)] == [0o700] * 3


def test_a_folder_open_to_others_is_closed_and_the_shared_home_left_as_it_is(places: Places) -> None:
    places.home.mkdir(mode=0o755)
    places.proxy.mkdir(mode=0o755)
    places.ensure_private(places.proxy)
    assert (mode(places.home), mode(places.proxy)) == (0o755, 0o700)


def test_a_folder_outside_the_home_is_made_private_too(places: Places, tmp_path: Path) -> None:
    places.ensure_private(tmp_path / "other" / "deep")
    assert mode(tmp_path / "other" / "deep") == 0o700


def test_a_written_file_is_private_whatever_the_umask_and_whatever_was_there(places: Places) -> None:
    path = places.proxy / "state.json"
    before = os.umask(0)
    try:
        places.write_private(path, b"one")
        path.chmod(0o666)
        places.write_private(path, b"two")
    finally:
        os.umask(before)
    assert (path.read_bytes(), mode(path), mode(path.parent)) == (b"two", 0o600, 0o700)
    assert [entry.name for entry in path.parent.iterdir()] == ["state.json"], "no temporary file may stay"


def test_a_reader_keeps_the_old_content_while_a_new_one_is_written(places: Places) -> None:
    path = places.proxy / "state.json"
    places.write_private(path, b"old")
    with path.open("rb") as reader:
        places.write_private(path, b"new content")
        assert reader.read() == b"old"


def test_a_link_in_the_place_of_a_file_is_replaced_and_its_target_kept(places: Places, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    places.ensure_private(places.proxy)
    (places.proxy / "state.json").symlink_to(target)
    places.write_private(places.proxy / "state.json", b"new")
    assert target.read_text() == "mine"
    assert not (places.proxy / "state.json").is_symlink()


def test_a_failed_write_leaves_the_old_file_and_names_path_and_fix(places: Places) -> None:
    path = places.proxy / "state.json"
    (path / "occupied").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"state\.json cannot be written .* set CODEMIE_HOME"):
        places.write_private(path, b"x")
    assert [entry.name for entry in path.parent.iterdir()] == ["state.json"]


def test_a_file_where_a_folder_belongs_is_named(places: Places) -> None:
    places.home.write_text("a file")
    with pytest.raises(SettingsError, match=r"cannot be written \(.+\); make it writable"):
        places.ensure_private(places.run)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("through_link", [False, True])
def test_a_folder_of_another_user_is_not_used(places: Places, tmp_path: Path, through_link: bool) -> None:
    places.home.mkdir()
    foreign = tmp_path / "foreign" if through_link else places.proxy
    foreign.mkdir()
    os.chown(foreign, 12345, 12345)
    if through_link:
        places.proxy.symlink_to(foreign)
    with pytest.raises(SettingsError, match="belongs to another user; set CODEMIE_HOME"):
        places.ensure_private(places.run)
    with pytest.raises(SettingsError, match="belongs to another user"):
        places.write_private(places.proxy / "state.json", b"x")
    assert list(foreign.iterdir()) == []
