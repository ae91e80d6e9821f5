"""A block of ours in a file of the user's: put in, brought up to date, and taken out again byte for byte."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from codemie_core.errors import SettingsError

BEGIN = "# >>> codemie-proxy >>>"
END = "# <<< codemie-proxy <<<"
_NOTE = "made by `codemie-proxy shell-integration`, which also removes it"
_JOINED = "the line break before this is ours"
_CREATED = "so is the file"
_BLOCK = re.compile(rf"\n?^{re.escape(BEGIN)}(?P<notes>[^\n]*)\n(?:.*\n)*?{re.escape(END)}\n".encode(), re.MULTILINE)
_OPEN = "{path} holds a line {marker!r} without its partner: take it out by hand"


def installed(path: Path) -> bool:
    """Is our block there?"""
    return _block(_read(path) or b"", path) is not None


def install(path: Path, lines: str) -> bool:
    """Put the block at the end, or in the place of the one that is there. False when it was there, word for word."""
    before = _read(path)
    content = before or b""
    found = _block(content, path)
    if found is not None:
        notes = found["notes"].decode()
        start = found.start() + (1 if found[0].startswith(b"\n") else 0)
        after = content[:start] + _made(lines, notes) + content[found.end() :]
    else:
        joined = bool(content) and not content.endswith(b"\n")
        notes = f" {'; '.join([_NOTE, *([_JOINED] if joined else []), *([_CREATED] if before is None else [])])}"
        after = content + (b"\n" if joined else b"") + _made(lines, notes)
    if after == before:
        return False
    _write(path, after)
    return True


def remove(path: Path) -> bool:
    """Take the block out, and the file if we made it and nothing else is in it. False when there is no block."""
    content = _read(path) or b""
    found = _block(content, path)
    if found is None:
        return False
    notes = found["notes"].decode()
    start = found.start()
    if found[0].startswith(b"\n") and _JOINED not in notes:
        start += 1
    after = content[:start] + content[found.end() :]
    if not after and _CREATED in notes:
        path.unlink()
    else:
        _write(path, after)
    return True


def _made(lines: str, notes: str) -> bytes:
    return f"{BEGIN}{notes}\n{lines.rstrip()}\n{END}\n".encode()


def _block(content: bytes, path: Path) -> re.Match[bytes] | None:
    found = list(_BLOCK.finditer(content))
    for marker in (BEGIN, END):
        if len(re.findall(rf"^{re.escape(marker)}".encode(), content, re.MULTILINE)) != len(found) or len(found) > 1:
            raise SettingsError(_OPEN.format(path=path, marker=marker))
    return found[0] if found else None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise SettingsError(f"{path} cannot be read: {problem.strerror}") from None


def _write(path: Path, content: bytes) -> None:
    """In one step; a symbolic link stays one, and mode and owner are as before."""
    real = Path(os.path.realpath(path))
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _look_like(real, name)
            os.replace(name, real)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise SettingsError(f"{real} cannot be written: {problem.strerror}") from None


def _look_like(real: Path, name: str) -> None:
    try:
        was = real.stat()
    except FileNotFoundError:
        os.chmod(name, 0o644)
        return
    # Before the mode: a change of owner clears its special bits.
    with contextlib.suppress(PermissionError):
        os.chown(name, was.st_uid, was.st_gid)
    os.chmod(name, was.st_mode & 0o7777)
