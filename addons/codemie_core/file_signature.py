"""Is a file still the one that was read? Told without reading it."""

from __future__ import annotations

import os
from pathlib import Path

from codemie_core.errors import SettingsError

type Signature = tuple[int, int, int] | None


def file_signature(path: Path) -> Signature:
    """Changes with the file; None when there is none. SettingsError when nobody can tell."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}); make it readable") from error
    return found.st_mtime_ns, found.st_size, found.st_ino
