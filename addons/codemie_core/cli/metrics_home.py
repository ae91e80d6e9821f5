"""What the `metrics` commands work on: the settings a proxy would start with, the session files, the database."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

from codemie_core import options
from codemie_core.amounts import plain
from codemie_core.cli.declared import Declarations
from codemie_core.errors import SettingsError
from codemie_core.metrics.batches import tallies, unfinished
from codemie_core.metrics.delta import SYNCED
from codemie_core.metrics.round import Report
from codemie_core.metrics.service import Service, Wanted
from codemie_core.metrics.session_files import Found
from codemie_core.metrics.switches import cli_sends, why_not
from codemie_core.metrics.transport import Letter
from codemie_core.options import Layers
from codemie_core.places import Places
from codemie_core.sources import read_layers
from codemie_core.store.database import open_database
from codemie_core.store.place import store_exists

if TYPE_CHECKING:
    from sqlalchemy import Connection

SECTION = "metrics_sync"
PATIENCE = 15.0
"""Seconds to wait for a proxy that is sending."""
_LOOK_AGAIN = 0.2


@dataclass(frozen=True, slots=True)
class Status:
    """Counts are records, batches by their state."""

    off: str
    """Why nothing is written; "" when it is."""
    sync: str
    url: str
    folder: str
    sessions: int
    theirs: bool
    """Are sessions of CodeMie's CLI sent too?"""
    states: Mapping[str, int]
    batches: Mapping[str, int]
    problem: str

    def shown(self) -> dict[str, object]:
        """For programs."""
        waiting = sum(count for state, count in self.states.items() if state != "synced")
        return {
            "off": self.off,
            "sync": self.sync,
            "url": self.url,
            "folder": self.folder,
            "sessions": self.sessions,
            "cli_sessions_too": self.theirs,
            "records": dict(self.states),
            "waiting": waiting,
            "batches": dict(self.batches),
            "problem": self.problem,
        }


class MetricsHome:
    """One command's hold on all of it."""

    def __init__(self, places: Places, environ: Mapping[str, str], layers: Layers, wanted: Wanted) -> None:
        self.places, self.environ, self.profile, self.wanted = places, environ, layers.profile, wanted
        self._layers = layers

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ) -> MetricsHome:
        """As a start now would have it. SettingsError names what cannot be used."""
        places = Places.from_env(environ)
        layers = read_layers(places, environ, {})
        if layers.problems:
            raise SettingsError(layers.problems[0])
        declared = Declarations.of_bundle()
        found = {each.setting.option: each.value for each in declared.resolve(layers)}
        if SECTION not in declared.sections:
            raise SettingsError("metrics_sync cannot be loaded: codemie-proxy config validate says why")
        chosen = options.read(SimpleNamespace(**found), SECTION, declared.sections[SECTION])
        gateway = str(found.get("codemie_sso_auth_url") or layers.profile.gateway_url)
        names = ("codemie_upstream_attempts_ca_file", "codemie_header_injection_cli")
        ca_file, cli = (str(found.get(name) or "") for name in names)
        return cls(places, environ, layers, Wanted.of(chosen, gateway, ca_file, cli))  # type: ignore[arg-type] # its own model

    @property
    def url(self) -> str:
        """Where metrics are posted to."""
        return self.service().plan.url

    @property
    def off(self) -> str:
        """Why nothing is written or sent."""
        return why_not(self.profile, self.wanted.url, self.environ)

    def require(self) -> None:
        """SettingsError where there is nothing to send to."""
        if self.off:
            raise SettingsError(f"session metrics are for CodeMie alone: {self.off}")

    def service(self) -> Service:
        """The part of a proxy that does it."""
        return Service(self.places, self.environ, self.profile, self.wanted)

    async def preview(self) -> list[Letter]:
        """What would be sent."""
        service = self.service()
        try:
            return await service.preview()
        finally:
            await service.close()

    async def sync(self, patience: float = PATIENCE) -> Report:
        """Send what waits, after a proxy that is at it."""
        service, until = self.service(), time.monotonic() + patience
        try:
            while True:
                report = await service.round()
                if not report.busy or time.monotonic() > until:
                    return report
                await asyncio.sleep(_LOOK_AGAIN)
        finally:
            await service.close()

    def status(self) -> Status:
        """Look at it. Makes nothing."""
        found = self.service().files.all()
        states: Counter[str] = Counter()
        for session in found:
            states += record_states(session)
        asked = self.ask(lambda connection: (tallies(connection), unfinished(connection)))
        batches, open_batches = asked if asked is not None else ({}, [])
        errors = [batch.last_error for batch in open_batches if batch.last_error]
        wanted, off = self.wanted, self.off
        sync = "off" if not wanted.enabled else "dry run" if wanted.dry_run else f"every {wanted.interval:g} s"
        url = "" if off else self.url
        theirs, folder = not cli_sends(self.profile, self.environ), str(self.service().files.folder)
        return Status(off, sync, url, folder, len(found), theirs, states, batches, errors[-1] if errors else "")

    def ask[Result](self, work: Callable[[Connection], Result]) -> Result | None:
        """Ask the database; None when there is none."""
        if not store_exists(self.places, self.environ):
            return None
        database = open_database(self.places, self.environ)
        try:
            with database.reading() as connection:
                return work(connection)
        finally:
            database.close()


def record_states(found: Found) -> Counter[str]:
    """How many of its records are in which state. Of one that was written twice the copy that was sent counts."""
    states: dict[str, str] = {}
    try:
        entries = found.journal.read().entries
    except OSError:
        return Counter({"unreadable": 1})
    for entry in entries:
        if states.get(entry.delta.record_id) != SYNCED:
            states[entry.delta.record_id] = entry.delta.sync_status
    return Counter(states.values())


def status_rows(found: Status) -> list[tuple[str, str]]:
    """For people."""
    words = [f"{count} {plain(state) if state else 'without a state'}" for state, count in sorted(found.states.items())]
    batches = [f"{count} {state}" for state, count in sorted(found.batches.items())]
    return [
        ("Written", f"no: {found.off}" if found.off else f"yes, in {found.folder}"),
        ("Sent", "no" if found.off else f"{found.sync}, to {found.url}" if found.sync != "off" else "off"),
        ("CodeMie's CLI", "its sessions are sent too: its own sync is off" if found.theirs else "sends its own"),
        ("Sessions", str(found.sessions)),
        ("Records", ", ".join(words) or "-"),
        ("Batches", ", ".join(batches) or "-"),
        ("Last problem", plain(found.problem)),
    ]


def letter_lines(url: str, letter: Letter) -> list[str]:
    """As it goes out; the sign-in is named, not shown."""
    headers = {**letter.all_headers, "Cookie": "(the sign-in)"}
    return [f"POST {url}", *(f"{name}: {value}" for name, value in headers.items()), "", letter.body.decode(), ""]


def shown_letter(url: str, letter: Letter) -> dict[str, object]:
    """For programs."""
    return {
        "url": url,
        "headers": letter.all_headers,
        "body": letter.body.decode(),
        "metric": json.loads(letter.body),
    }
