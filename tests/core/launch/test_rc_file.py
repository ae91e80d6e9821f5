import os
import stat
from pathlib import Path

import pytest

from codemie_core.errors import SettingsError
from codemie_core.launch import rc_file
from codemie_core.launch.rc_file import BEGIN, END

CONTENTS = {
    "missing": None,
    "empty": b"",
    "usual": b"export A=1\nalias b=c\n",
    "without a last line break": b"export A=1",
    "blank lines at the end": b"export A=1\n\n\n",
    "carriage returns": b"export A=1\r\n",
    "no UTF-8": b"export A=\xff\xfe\n",
    "like ours": b"# codemie-proxy >>>\n",
}


@pytest.mark.parametrize("before", CONTENTS.values(), ids=CONTENTS)
def test_removing_leaves_the_file_as_it_was(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "folder" / ".bashrc"
    if before is not None:
        path.parent.mkdir()
        path.write_bytes(before)
    assert rc_file.install(path, "one() { two; }")
    assert rc_file.installed(path)
    installed = path.read_bytes()
    assert installed.startswith(before or b"")
    assert b"\none() { two; }\n" in installed
    assert not rc_file.install(path, "one() { two; }")
    assert path.read_bytes() == installed
    assert rc_file.install(path, "other\n")
    assert path.read_bytes().count(BEGIN.encode()) == 1
    assert rc_file.remove(path)
    assert (path.read_bytes() if path.exists() else None) == before
    assert not rc_file.remove(path)


@pytest.mark.parametrize("before", [b"export A=1\n", b"export A=1", b""])
def test_what_was_written_behind_it_stays_where_it_is(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / ".bashrc"
    path.write_bytes(before)
    rc_file.install(path, "ours")
    path.write_bytes(path.read_bytes() + b"export LATER=1\n")
    rc_file.install(path, "ours, newer")
    assert path.read_bytes().endswith(f"ours, newer\n{END}\nexport LATER=1\n".encode())
    rc_file.remove(path)
    assert path.read_bytes() == before + b"export LATER=1\n"


def test_a_file_we_made_stays_when_somebody_wrote_into_it(tmp_path: Path) -> None:
    path = tmp_path / ".zshrc"
    rc_file.install(path, "ours")
    path.write_bytes(path.read_bytes() + b"theirs\n")
    rc_file.remove(path)
    assert path.read_bytes() == b"theirs\n"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o755])
def test_mode_and_symbolic_link_are_kept(tmp_path: Path, mode: int) -> None:
    home = tmp_path / "home"
    real, link = home / "dotfiles", home / ".bashrc"
    real.write_bytes(b"mine\n")
    real.chmod(mode)
    link.symlink_to("dotfiles")
    rc_file.install(link, "ours")
    rc_file.remove(link)
    assert link.is_symlink()
    assert os.readlink(link) == "dotfiles"
    assert stat.S_IMODE(real.stat().st_mode) == mode
    assert sorted(path.name for path in home.iterdir()) == [".bashrc", "dotfiles"]


def test_a_file_that_cannot_be_replaced_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    path = home / ".bashrc"
    path.write_bytes(b"mine\n")

    def fails(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(SettingsError, match="No space left"):
        rc_file.install(path, "ours")
    assert [(one.name, one.read_bytes()) for one in home.iterdir()] == [(".bashrc", b"mine\n")]


@pytest.mark.parametrize(
    "content", [f"{BEGIN}\n", f"{END}\n", f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n", f"{END}\n{BEGIN}\n"]
)
def test_a_block_somebody_has_broken_is_not_guessed_at(tmp_path: Path, content: str) -> None:
    path = tmp_path / ".bashrc"
    path.write_text(content)
    for change in (lambda: rc_file.install(path, "ours"), lambda: rc_file.remove(path)):
        with pytest.raises(SettingsError, match="by hand"):
            change()
    assert path.read_text() == content
