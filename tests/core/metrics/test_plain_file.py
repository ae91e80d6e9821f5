"""Only plain files are opened, and nothing is ever waited for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from codemie_core.metrics.plain_file import open_plain, read_plain


def a_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("of somebody else")
    path.symlink_to(target)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, a_link], ids=["pipe", "folder", "link"])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_APPEND | os.O_CREAT])
def test_what_is_no_plain_file_is_refused_at_once(make: Callable[[Path], None], flags: int, tmp_path: Path) -> None:
    path = tmp_path / "s_metrics.jsonl"
    make(path)
    with pytest.raises(OSError, match=path.name):
        open_plain(path, flags)


def test_a_plain_file_is_read_and_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "s_metrics.jsonl"
    descriptor = open_plain(path, os.O_RDWR | os.O_CREAT)
    os.write(descriptor, b"all of it")
    os.close(descriptor)
    assert read_plain(path) == b"all of it"
    assert path.stat().st_mode & 0o777 == 0o600
