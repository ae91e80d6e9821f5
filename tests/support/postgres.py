"""A PostgreSQL server of the test's own: in a folder of its own, on a socket of its own, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from support.programs import absent

PASSWORD = "planted-postgres-password"
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. Only the socket's folder says which one is meant, so no port can be taken."""

    folder: Path
    binaries: Path
    user: str

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        """Where it is, as an operator would write it."""
        return f"postgresql://{self.user}:{password}@/{database}?host={self.folder}"

    def new_database(self, template: str = "template1") -> str:
        """The URL of one that is empty, or a copy of another one that nobody uses."""
        name = f"test_{next(_numbers)}"
        self.run(f"create database {name} template {template}")
        return self.url(name)

    @contextmanager
    def lent_database(self, template: str = "template1") -> Iterator[str]:
        """The URL of a new one. It goes at once: to delete hundreds of them in the end takes long."""
        url = self.new_database(template)
        yield url
        name = urlsplit(url).path.removeprefix("/")
        self.run(f"drop database {name} with (force)")

    def run(self, statement: str) -> None:
        """As the operator, outside of any transaction."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Until it answers."""
        # It tidies up when it likes: no test is to meet that by chance.
        self._control("start", "-o", f"-k {self.folder} -c listen_addresses='' -c fsync=off -c autovacuum=off")

    def stop(self) -> None:
        """At once, as when its machine fails."""
        self._control("stop", "-m", "immediate")

    def _control(self, *arguments: str) -> None:
        log = self.folder / "log"
        command: list[str | Path] = [
            self.binaries / "pg_ctl",
            "-D",
            self.folder / "data",
            "-l",
            log,
            "-w",
            "-t",
            "120",
            *arguments,
        ]
        # Its output goes nowhere: the server would keep a pipe open.
        done = subprocess.run(
            _as_user(self.user, command),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environ(),
            timeout=150,
        )
        assert done.returncode == 0, log.read_text()


_numbers = count()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Started, and ended with everything it wrote. Skips where there is no PostgreSQL."""
    binaries = _binaries()
    if binaries is None:
        absent("there is no PostgreSQL server: install the package postgresql")
    # A socket's path is short or it is refused, and the server's own user has to get there.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    server = Postgres(folder, binaries, _server_user())
    try:
        _make(server)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make(server: Postgres) -> None:
    shutil.chown(server.folder, server.user)
    secret = server.folder / "secret"
    secret.write_text(PASSWORD)
    shutil.chown(secret, server.user)
    command: list[str | Path] = [
        server.binaries / "initdb",
        "-D",
        server.folder / "data",
        "-U",
        server.user,
        "-A",
        "scram-sha-256",
    ]
    done = subprocess.run(
        _as_user(server.user, [*command, f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync"]),
        capture_output=True,
        env=_environ(),
        timeout=150,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    candidates = [Path(found).parent] if found else []
    candidates += sorted((folder / "bin" for folder in _DEBIAN.glob("*")), reverse=True)
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


def _server_user() -> str:
    """It refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def _as_user(user: str, command: list[str | Path]) -> list[str | Path]:
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--", *command]


def _environ() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C"}
