import os
from pathlib import Path

import pytest

from codemie_core.errors import SettingsError
from codemie_core.file_signature import file_signature


def test_it_changes_with_the_file_and_with_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert file_signature(path) is None
    path.write_text("one")
    first = file_signature(path)
    assert first == file_signature(path) is not None
    path.write_text("three")
    assert file_signature(path) != first


def test_another_file_in_its_place_is_seen_though_time_and_size_are_the_same(tmp_path: Path) -> None:
    path, other = tmp_path / "keys.json", tmp_path / "other"
    for each in (path, other):
        each.write_text("one")
        os.utime(each, ns=(1, 1))
    before = file_signature(path)
    other.replace(path)
    assert file_signature(path) != before


def test_what_cannot_be_looked_at_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"keys\.json cannot be read \(Not a directory\); make it readable"):
        file_signature(tmp_path / "file" / "keys.json")
