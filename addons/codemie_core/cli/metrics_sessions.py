"""`codemie-proxy metrics show`: the sessions on disk, and what was sent of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import typer

from codemie_core.accounts.words import local
from codemie_core.amounts import plain
from codemie_core.cli.accounts_output import new_table, print_rows, print_table
from codemie_core.cli.metrics_home import MetricsHome, record_states
from codemie_core.errors import SettingsError
from codemie_core.metrics.batches import Batch, newest
from codemie_core.metrics.session_files import Found
from codemie_core.settings import nearest

_SENT = 50


@dataclass(frozen=True, slots=True)
class Shown:
    """A session, and how many of its records are in which state."""

    found: Found
    states: Mapping[str, int]
    batches: tuple[Batch, ...] = ()

    def shown(self) -> dict[str, object]:
        """For programs."""
        return {
            "session_id": self.found.session_id,
            "ours": self.found.ours,
            "file": str(self.found.journal.path),
            "session": self.found.session.on_disk() if self.found.session else None,
            "records": dict(self.states),
            "sent": [
                {
                    "key": batch.id,
                    "state": batch.state,
                    "branch": batch.branch,
                    "attempts": batch.attempts,
                    "last_error": batch.last_error,
                    "created_ms": batch.created_ms,
                    "posted_ms": batch.posted_ms,
                    "body": batch.body.decode(),
                }
                for batch in self.batches
            ],
        }


def sessions(home: MetricsHome) -> list[Shown]:
    """All on disk, the newest first."""
    found = [_shown(each) for each in home.service().files.all()]
    return sorted(
        found, key=lambda each: float(each.found.session.start_time) if each.found.session else 0, reverse=True
    )


def one_session(home: MetricsHome, named: str) -> Shown:
    """The one whose id begins so, with what was sent of it. SettingsError names the nearest."""
    known = home.service().files.all()
    found = [each for each in known if each.session_id == named] or [
        each for each in known if each.session_id.startswith(named)
    ]
    if len(found) != 1:
        close = nearest(named, [each.session_id for each in known])
        hint = f"; did you mean {plain(close)}?" if close else "; codemie-proxy metrics show lists them all"
        raise SettingsError(f"{named} is {'the beginning of several sessions' if found else 'no session here'}{hint}")
    session_id = found[0].session_id
    batches = home.ask(lambda connection: newest(connection, session_id, _SENT)) or []
    return _shown(found[0], tuple(batches))


def print_sessions(found: list[Shown]) -> None:
    """For people."""
    if not found:
        typer.echo("No session has been written down yet.")
        return
    table = new_table("Session", "Agent", "Began", "Whose", "State", "Records", "Waiting")
    for each in found:
        session, count = each.found.session, sum(each.states.values())
        began = local(float(session.start_time) / 1000) if session else "-"
        whose = "ours" if each.found.ours else "CodeMie's CLI" if session else "unknown"
        name, status = (plain(session.agent_name), plain(session.status)) if session else ("-", "-")
        waiting = count - each.states.get("synced", 0)
        table.add_row(plain(each.found.session_id), name, began, whose, status, str(count), str(waiting))
    print_table(table)


def print_session(each: Shown) -> None:
    """For people; what was sent byte for byte."""
    session = each.found.session
    states = ", ".join(f"{count} {plain(state)}" for state, count in sorted(each.states.items())) or "-"
    print_rows(
        [
            ("Session", plain(each.found.session_id)),
            ("Agent", plain(session.agent_name) if session else "-"),
            ("Repository", plain(session.repository or "") if session else "-"),
            ("State", plain(session.status) if session else "-"),
            ("Records", states),
            ("File", plain(str(each.found.journal.path))),
        ]
    )
    for batch in each.batches:
        error = f", {batch.last_error}" if batch.last_error else ""
        typer.echo(f"\n{local(batch.created_ms / 1000)}  {batch.state}, {batch.attempts} attempts{error}, {batch.id}")
        typer.echo(batch.body.decode())


def _shown(found: Found, batches: tuple[Batch, ...] = ()) -> Shown:
    return Shown(found, record_states(found), batches)
