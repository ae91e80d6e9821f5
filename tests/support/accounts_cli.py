"""Calls `codemie-proxy accounts ...` in this process, against a real database below the test's own home."""

import json
import os
from collections.abc import Sequence
from typing import Any

from typer.testing import CliRunner, Result

from codemie_core.accounts.state import Change
from codemie_core.cli import accounts
from codemie_core.places import Places
from codemie_core.store.database import open_database
from codemie_core.store.pool import save_changes

SECRET = "planted-key-1"


def call(*arguments: str, typed: str = "") -> Result:
    """The outcome; what a CodeMie error would be in one line is raised."""
    result = CliRunner().invoke(accounts.app, arguments, input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def add(name: str, *arguments: str, provider: str = "anthropic", secret: str = SECRET) -> Result:
    """Add an account with its secret from a pipe."""
    return call("add", name, "--provider", provider, *arguments, typed=f"{secret}\n")


def shown(name: str) -> dict[str, Any]:
    """What `show --json` says."""
    found: dict[str, Any] = json.loads(call("show", name, "--json").stdout)
    return found


def listed() -> list[dict[str, Any]]:
    """What `list --json` says."""
    found: list[dict[str, Any]] = json.loads(call("list", "--json").stdout)
    return found


def happened(changes: Sequence[Change]) -> None:
    """Write what a running proxy would have written."""
    database = open_database(Places.from_env(os.environ), os.environ)
    with database.writing() as connection:
        save_changes(connection, changes)
    database.close()
