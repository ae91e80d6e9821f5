"""What `codemie-proxy export` does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codemie_core.cli.accounts_output import say
from codemie_core.cli.export_csv import csv_lines
from codemie_core.cli.export_file import output
from codemie_core.cli.export_har import har_lines
from codemie_core.cli.history_book import Given, HistoryBook
from codemie_core.cli.history_json import turn
from codemie_core.errors import SettingsError

if TYPE_CHECKING:
    from codemie_core.store.database import Database
    from codemie_core.store.filters import Filter
    from codemie_core.store.payloads import StoredPayload
    from codemie_core.store.requests import Turn

FORMATS = ("csv", "jsonl", "har")


def export(given: Given, formats: Sequence[str], out: Path | None, force: bool, bodies: bool) -> None:
    """Write them. What is stored from now on is not in it."""
    form = _format(formats, out)
    if bodies and form != "har":
        raise SettingsError("--bodies goes with --har only")
    book = HistoryBook()
    with book.database(given) as database:
        export = _Export(book, database)
        asked = export.filter(given)
        turns = export.turns(asked)
        if form == "har":
            pieces = har_lines(turns, export.payloads() if bodies else lambda _: None)
        else:
            pieces = csv_lines(turns) if form == "csv" else (json.dumps(turn(each)) + "\n" for each in turns)
        with output(out, force) as write:
            for piece in pieces:
                write(piece)
    if out is not None:
        say(f"{export.count:,} requests written to {out}")
    if export.unreadable:
        say(f"{export.unreadable:,} kept bodies cannot be read any more: the vault's key was changed since")


def _format(formats: Sequence[str], out: Path | None) -> str:
    if len(formats) > 1:
        raise SettingsError("--csv, --jsonl and --har do not go together: choose one")
    if formats:
        return formats[0]
    if out is not None and out.suffix[1:] in FORMATS:
        return out.suffix[1:]
    raise SettingsError("say which format: --csv, --jsonl or --har")


class _Export:
    def __init__(self, book: HistoryBook, database: Database | None) -> None:
        self._book, self._database = book, database
        self.count = self.unreadable = 0

    def filter(self, given: Given) -> Filter | None:
        """With an end: else it would run after what comes."""
        if self._database is None:
            return None
        with self._database.reading() as connection:
            asked = self._book.filter(connection, given)
        return asked if asked.until_ms is not None else dataclasses.replace(asked, until_ms=self._book.now_ms + 1)

    def turns(self, asked: Filter | None) -> Iterator[Turn]:
        """One by one."""
        if self._database is None or asked is None:
            return
        from codemie_core.store.requests import every

        for turns in every(self._database, asked):
            self.count += len(turns)
            yield from turns

    def payloads(self) -> Callable[[str], StoredPayload | None]:
        """What was kept of a turn; None when nothing was."""
        database = self._database
        if database is None:
            return lambda _: None
        from codemie_core.store.payloads import load_payload
        from codemie_core.store.secrets import vault_checks
        from codemie_core.vault import open_vault

        with database.reading() as connection:
            known = vault_checks(connection)
        if not known:
            return lambda _: None
        vault = open_vault(self._book.places, self._book.environ, known, may_create=False)

        def payload_of(request_id: str) -> StoredPayload | None:
            try:
                with database.reading() as connection:
                    return load_payload(connection, vault, request_id)
            except SettingsError:
                self.unreadable += 1
                return None

        return payload_of
