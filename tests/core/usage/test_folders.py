"""Repository and branch of the folders that agents say they work in."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from codemie_core.usage.folders import FRESH, KEPT, Folders, name_of
from codemie_core.workspace import Workspace


class Git:
    """Answers for every folder, and counts."""

    def __init__(self) -> None:
        self.asked: list[Path] = []

    def __call__(self, folder: Path, environ: Mapping[str, str]) -> Workspace:
        self.asked.append(folder)
        return Workspace("owner/name", f"branch-{len(self.asked)}")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_folder_is_asked_about_once_a_minute(tmp_path: Path) -> None:
    git, clock = Git(), Clock()
    folders = Folders({}, git, clock)
    assert folders.of(str(tmp_path)) == folders.of(str(tmp_path)) == Workspace("owner/name", "branch-1")
    clock.now = FRESH + 1
    assert folders.of(str(tmp_path)).branch == "branch-2"


def test_what_is_known_is_bounded(tmp_path: Path) -> None:
    git = Git()
    folders = Folders({}, git, Clock())
    folders.of(str(tmp_path))
    for number in range(KEPT):
        folders.of(f"/not/here/{number}")
    folders.of(str(tmp_path))
    assert git.asked == [tmp_path, tmp_path]


@pytest.mark.parametrize(
    "folder, repository",
    [
        ("/srv/dev/not-on-this-machine/project", "not-on-this-machine/project"),
        ("C:\\Users\\dev\\project", "dev/project"),
        ("", "unknown"),
        ("a\x00b", "a\x00b"),
        ("/" + "x" * 5000, "x" * 5000),
    ],
)
def test_a_folder_elsewhere_is_named_by_its_last_two_parts(folder: str, repository: str) -> None:
    git = Git()
    assert Folders({}, git).of(folder) == Workspace(repository, None)
    assert git.asked == []


def test_the_root_has_no_name() -> None:
    assert name_of("/") == name_of("C:\\") == "unknown"


def test_the_real_repository_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    found = Folders({"PATH": "/usr/bin:/bin", "CODEMIE_GIT_BRANCH": "main"}).of(str(folder))
    assert found == Workspace(f"{tmp_path.name}/project", "main")
