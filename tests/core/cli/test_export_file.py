import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from codemie_core.cli.export_file import output
from codemie_core.errors import SettingsError


def write(path: Path, text: str, force: bool = False) -> None:
    with output(path, force) as put:
        put(text)


def write_and(path: Path, then: Callable[[], object], force: bool = False) -> None:
    with output(path, force) as put:
        put("new")
        then()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file()]


def test_the_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with output(path, False) as put:
        put("half")
        assert not path.exists()
        put(" and whole\n")
    assert path.read_text() == "half and whole\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeyboardInterrupt):
        write_and(path, lambda: signal.raise_signal(signal.SIGINT), force=True)
    assert path.read_text() == "half and whole\n"
    assert names(tmp_path) == ["x.csv"]


def test_what_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("mine")
    with pytest.raises(SettingsError, match=r"--out .*x\.csv is there already; --force replaces it"):
        write(path, "new")
    assert path.read_text() == "mine"
    write(path, "new", force=True)
    assert path.read_text() == "new"


def test_what_is_there_is_seen_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("mine")
    with pytest.raises(SettingsError, match="is there already"):
        write_and(path, lambda: pytest.fail("it was written"))


def test_what_came_to_be_there_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(SettingsError, match="is there already"):
        write_and(path, lambda: path.write_text("mine"))
    assert (path.read_text(), names(tmp_path)) == ("mine", ["x.csv"])


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    path, other = tmp_path / "x.csv", tmp_path / "other"
    path.symlink_to(other)
    with pytest.raises(SettingsError, match="is there already"):
        write(path, "new")
    write(path, "new", force=True)
    assert (path.is_symlink(), other.exists()) == (False, False)


def test_places_that_take_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be written: No such file or directory"):
        write(tmp_path / "no" / "x.csv", "new")
    with pytest.raises(SettingsError, match="is no file; leave --out away"):
        write(Path("/dev/null"), "new", force=True)


def test_a_full_disk_is_an_error_in_words() -> None:
    with pytest.raises(SettingsError, match="cannot be written: No space left on device"), output(Path("x"), True) as _:
        raise OSError(28, "No space left on device")


def test_without_a_file_it_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with output(None, False) as put:
        put("text")
    assert capsys.readouterr().out == "text"
