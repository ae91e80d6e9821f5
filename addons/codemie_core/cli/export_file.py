"""Where an export goes: a file that is there whole or not at all, or standard output."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from codemie_core.errors import SettingsError


@contextmanager
def output(path: Path | None, force: bool) -> Iterator[Callable[[str], object]]:
    """What takes the text. The file (0600) appears when all of it is written; None is standard output.

    SettingsError when there is one already and it is not to be replaced, or none can be made.
    """
    if path is None:
        yield sys.stdout.write
        sys.stdout.flush()
        return
    if not force and os.path.lexists(path):
        raise _taken(path)
    if force and path.exists() and not path.is_file():
        raise SettingsError(f"--out {path} is no file; leave --out away to write to standard output")
    try:
        # Made 0600, and exclusively: what is in it is for its owner.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as problem:
        raise _cannot(path, problem) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        _put(name, path, force)
    except OSError as problem:
        raise _cannot(path, problem) from None
    finally:
        Path(name).unlink(missing_ok=True)


def _put(name: str, path: Path, force: bool) -> None:
    if force:
        os.replace(name, path)
        return
    try:
        # Unlike a rename it does not replace what came to be there meanwhile.
        os.link(name, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError:
        # A file system without hard links.
        if os.path.lexists(path):
            raise _taken(path) from None
        os.replace(name, path)


def _taken(path: Path) -> SettingsError:
    return SettingsError(f"--out {path} is there already; --force replaces it")


def _cannot(path: Path, problem: OSError) -> SettingsError:
    return SettingsError(f"--out {path} cannot be written: {problem.strerror}")
