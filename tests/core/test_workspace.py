"""Workspace: repository and branch, asked of real git repositories."""

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from codemie_core import workspace
from codemie_core.workspace import Workspace, find_workspace, repository_of


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A git on a busy machine is no git that hangs."""
    monkeypatch.setattr(workspace, "GIT_BOUND", 60.0)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which git finds nobody's settings and no repository around the test's folder."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
    }


def git(folder: Path, env: dict[str, str], *arguments: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, env=env, check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path, env: dict[str, str]) -> Path:
    """A repository with one commit on the branch `feature/x`, without a remote."""
    made = tmp_path / "team" / "work"
    made.mkdir(parents=True)
    git(made, env, "init", "-q")
    git(made, env, "checkout", "-q", "-b", "feature/x")
    git(made, env, "commit", "-q", "--allow-empty", "-m", "first")
    return made


@pytest.mark.parametrize(
    "remote,expected",
    [
        ("https://github.com/owner/repo.git", "owner/repo"),
        ("https://github.com/owner/repo", "owner/repo"),
        ("https://github.com/owner/repo/", "owner/repo"),
        ("https://user:planted@gitlab.example.com:8443/group/sub/repo.git", "sub/repo"),
        ("https://gitlab.example.com/group/repo.git?token=planted", "group/repo"),
        ("git@github.com:owner/repo.git", "owner/repo"),
        ("github.com:owner/repo", "owner/repo"),
        ("git@gitlab.example.com:group/sub/repo.git", "sub/repo"),
        ("git@[::1]:owner/repo.git", "owner/repo"),
        ("ssh://git@example.com:2222/owner/repo.git", "owner/repo"),
        ("git://example.com/owner/repo.git", "owner/repo"),
        ("file:///srv/git/repo.git", "git/repo"),
        ("/srv/git/repo.git", "git/repo"),
        ("../git/repo.git", "git/repo"),
        ("https://example.com/repo.git", ""),
        ("git@example.com:repo.git", ""),
        ("https://user:planted@[broken/owner/repo", ""),
        ("", ""),
    ],
)
def test_a_remote_is_named_by_its_last_two_parts_without_credentials(remote: str, expected: str) -> None:
    assert repository_of(remote) == expected


def test_repository_and_branch_come_from_git(folder: Path, env: dict[str, str]) -> None:
    git(folder, env, "remote", "add", "origin", "https://user:planted@example.com/owner/repo.git")
    below = folder / "src"
    below.mkdir()
    assert find_workspace(below, env) == Workspace("owner/repo", "feature/x")


def test_without_a_remote_the_folder_and_its_parent_name_the_repository(folder: Path, env: dict[str, str]) -> None:
    assert find_workspace(folder, env) == Workspace("team/work", "feature/x")


def test_a_detached_head_is_no_branch(folder: Path, env: dict[str, str]) -> None:
    git(folder, env, "checkout", "-q", "--detach")
    assert find_workspace(folder, env).branch is None


def test_a_branch_without_a_commit_is_no_branch_yet(tmp_path: Path, env: dict[str, str]) -> None:
    git(tmp_path, env, "init", "-q", "new")
    assert find_workspace(tmp_path / "new", env).branch is None


def test_a_folder_outside_any_repository_has_a_name_and_no_branch(tmp_path: Path, env: dict[str, str]) -> None:
    plain = tmp_path / "some" / "place"
    plain.mkdir(parents=True)
    assert find_workspace(plain, env) == Workspace("some/place", None)
    assert find_workspace(tmp_path / "gone" / "folder", env) == Workspace("gone/folder", None)
    assert find_workspace(Path("/"), env).repository == "unknown"


def test_variables_win_and_then_git_is_not_asked(folder: Path, env: dict[str, str]) -> None:
    named = {"CODEMIE_REPOSITORY": "a/b", "CODEMIE_GIT_BRANCH": "main"}
    assert find_workspace(folder, {**env, **named}) == Workspace("a/b", "main")
    assert find_workspace(folder, {**env, "CODEMIE_REPOSITORY": "a/b"}) == Workspace("a/b", "feature/x")
    assert find_workspace(folder, {**env, "CODEMIE_GIT_BRANCH": " "}) == Workspace("team/work", "feature/x")


def test_a_git_hooks_environment_does_not_redirect_the_question(
    folder: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    git(tmp_path, env, "init", "-q", "other")
    assert find_workspace(folder, {**env, "GIT_DIR": str(tmp_path / "other" / ".git")}).branch == "feature/x"


def test_without_git_the_folder_still_names_the_repository(folder: Path, env: dict[str, str], tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    assert find_workspace(folder, {**env, "PATH": str(empty)}) == Workspace("team/work", None)


def stand_in_for_git(tmp_path: Path, env: dict[str, str], script: str) -> dict[str, str]:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {**env, "PATH": f"{program.parent}:{env['PATH']}"}


def test_a_git_that_hangs_is_left_after_the_bound(
    tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "GIT_BOUND", 0.2)
    began = time.monotonic()
    found = find_workspace(tmp_path, stand_in_for_git(tmp_path, env, "exec sleep 70"))
    assert found == Workspace("/".join(tmp_path.parts[-2:]), None)
    assert time.monotonic() - began < 60


def test_git_takes_no_locks_and_asks_nobody(tmp_path: Path, env: dict[str, str]) -> None:
    script = 'echo "host:$GIT_OPTIONAL_LOCKS/$GIT_TERMINAL_PROMPT"; cat'
    assert find_workspace(tmp_path, stand_in_for_git(tmp_path, env, script)).repository == "0/0"
