"""Where files live below `${CODEMIE_HOME:-~/.codemie}`, and how private ones are written.

CodeMie's own tools share the profile, `credentials/`, `logs/` and `sessions/`; ours is all under `proxy/`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codemie_core.errors import SettingsError

PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, slots=True)
class Places:
    """The folders and files of one CodeMie home. Reading a property creates nothing."""

    home: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Places:
        """The home CODEMIE_HOME names, else ~/.codemie. Absolute, so that a later chdir moves nothing."""
        named = environ.get("CODEMIE_HOME") or "~/.codemie"
        try:
            return cls(Path(named).expanduser().absolute())
        except RuntimeError:
            raise SettingsError(f"{named}: there is no such home folder; set CODEMIE_HOME to a full path") from None

    @property
    def profile(self) -> Path:
        """CodeMie's global profile file; read, never written."""
        return self.home / "codemie-cli.config.json"

    @property
    def credentials(self) -> Path:
        """CodeMie's encrypted credential store."""
        return self.home / "credentials"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.home / "logs"

    @property
    def sessions(self) -> Path:
        """Session and metrics files."""
        return self.home / "sessions"

    @property
    def proxy(self) -> Path:
        """Everything that is ours alone."""
        return self.home / "proxy"

    @property
    def config(self) -> Path:
        """Our settings file."""
        return self.proxy / "codemie.yaml"

    @property
    def run(self) -> Path:
        """The register of running proxies."""
        return self.proxy / "run"

    @property
    def ca(self) -> Path:
        """Certificates."""
        return self.proxy / "ca"

    def ensure_private(self, folder: Path) -> None:
        """Make the folder, its missing parents too, and close it to others (0700).

        SettingsError when it, or a folder between it and the home, belongs to another user or cannot be made.
        """
        try:
            for part in self._lineage(folder):
                part.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
                _require_own(part)
            if folder.stat().st_mode & 0o777 != PRIVATE_FOLDER:
                folder.chmod(PRIVATE_FOLDER)
        except OSError as error:
            raise _unusable(folder, error) from error

    def write_private(self, path: Path, data: bytes, durable: bool = False) -> None:
        """Replace the file's content in one step (0600): readers see the old or the new, never half of it.

        A symbolic link in the file's place is replaced, not followed. `durable`: it outlives a loss of power from here
        on. SettingsError when that fails.
        """
        if not path.parent.is_dir():
            self.ensure_private(path.parent)
        try:
            _require_own(path.parent)
            # mkstemp makes it 0600 and exclusive, so nobody can read it or plant a link in its place.
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(name, path)
            if durable:
                _sync_folder(path.parent)
        except BaseException as error:
            Path(name).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise _unusable(path, error) from error
            raise

    def _lineage(self, folder: Path) -> list[Path]:
        """The home and the folders below it down to `folder`; only `folder` when it lies elsewhere."""
        if not folder.is_relative_to(self.home):
            return [folder]
        below = folder.relative_to(self.home).parts
        return [self.home.joinpath(*below[:depth]) for depth in range(len(below) + 1)]


def _require_own(folder: Path) -> None:
    # Of a link both ends count: whoever owns it decides where our files go.
    if {folder.lstat().st_uid, folder.stat().st_uid} != {os.geteuid()}:
        raise SettingsError(f"{folder} belongs to another user; set CODEMIE_HOME to a folder of your own")


def _sync_folder(folder: Path) -> None:
    """Have the names in it on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"{path} cannot be written ({error.strerror or error}); make it writable or set CODEMIE_HOME to another folder"
    )
