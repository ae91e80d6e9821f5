"""Files in a folder that others write to as well: only plain ones are opened, whatever else bears their name.

Opening a pipe waits for whoever writes to it, for ever if need be, and the thread that waits keeps the process from
ending. A symbolic link would lead what is written somewhere else.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

PRIVATE = 0o600


def open_plain(path: Path, flags: int) -> int:
    """A descriptor; made files are for their owner alone. OSError for anything but a plain file, at once."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, PRIVATE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return descriptor


def read_plain(path: Path) -> bytes:
    """All that is in it. OSError as above."""
    with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
        return file.read()
