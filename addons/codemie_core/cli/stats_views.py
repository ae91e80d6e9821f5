"""What `codemie-proxy stats` shows: a page, a table by something, a series, or the last session."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from codemie_core.amounts import when
from codemie_core.cli import history_json, history_tables
from codemie_core.cli.history_book import NOTHING_FOUND, NOTHING_YET, Given, HistoryBook
from codemie_core.cli.moments import moment_ms
from codemie_core.errors import SettingsError
from codemie_core.settings import nearest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.store.analytics import Dimension, Latency
    from codemie_core.store.buckets import Size
    from codemie_core.store.figures import Figures
    from codemie_core.store.filters import Filter

TOP = 5
TOOL = "tool"
_BUCKETS: Mapping[str, Size] = {"1h": "1h", "6h": "6h", "24h": "24h", "1d": "24h", "7d": "7d", "30d": "30d"}
_KINDS: Mapping[str, Dimension] = {
    "model": "model",
    "account": "account",
    "agent": "agent",
    "session": "session",
    "conversation": "conversation",
    "project": "project",
    "branch": "branch",
    "key": "client_key",
}


def show(given: Given, by: str, bucket: str, last_session: bool, limit: int, as_json: bool) -> None:
    """One of them, as the options say."""
    if by and by not in (*_KINDS, TOOL):
        raise SettingsError(_unknown("--by", by, (*_KINDS, TOOL)))
    if bucket and bucket not in _BUCKETS:
        raise SettingsError(_unknown("--bucket", bucket, _BUCKETS))
    if bool(by) + bool(bucket) + last_session > 1:
        raise SettingsError("--by, --bucket and --last-session do not go together: choose one")
    book = HistoryBook()
    with book.database(given) as database:
        if database is None:
            typer.echo("{}" if as_json else NOTHING_YET)
            return
        with database.reading() as connection:
            _answer(_View(book, connection, given, as_json), by, bucket, last_session, limit)


def _answer(view: _View, by: str, bucket: str, last_session: bool, limit: int) -> None:
    from codemie_core.store.requests import page

    if not page(view.connection, limit=1):
        typer.echo("{}" if view.as_json else NOTHING_YET)
    elif last_session:
        view.last_session()
    elif by == TOOL:
        view.tools(limit)
    elif by:
        view.by(by, limit)
    elif bucket:
        view.series(_BUCKETS[bucket])
    else:
        view.page()


def _unknown(option: str, text: str, known: Any) -> str:
    close = nearest(text, known)
    meant = f"did you mean {close}? There are" if close else "there are"
    return f"{option} {text}: {meant} {', '.join(known)}"


@dataclasses.dataclass(frozen=True, slots=True)
class _View:
    book: HistoryBook
    connection: Connection
    given: Given
    as_json: bool

    def page(self) -> None:
        """Spans of time beside each other, and who took part in the longest of them."""
        from codemie_core.store import analytics

        periods: dict[str, tuple[Figures, Latency]] = {}
        spans = {"Today": "today", "7 days": "7d", "30 days": "30d"}
        if self.given.since or self.given.until:
            spans = {self._span(): self.given.since}
        asked = self._filter()
        for name, since in spans.items():
            begins = moment_ms("--since", since, self.book.clock()) if since else None
            asked = dataclasses.replace(asked, since_ms=begins)
            periods[name] = analytics.totals(self.connection, asked), analytics.latency(self.connection, asked)
        tops = {
            "Model": analytics.by(self.connection, "model", asked, TOP),
            "Account": analytics.by(self.connection, "account", asked, TOP),
            "Project": analytics.by(self.connection, "project", asked, TOP),
        }
        if self.as_json:
            self._json(
                periods={name.lower().replace(" ", "_"): history_json.figures(*told) for name, told in periods.items()},
                **{f"{title.lower()}s": _rows(title.lower(), found) for title, found in tops.items()},
            )
            return
        history_tables.draw_periods(periods)
        for title, found in tops.items():
            # Without accounts or labels there is one row, of no name, that says what the page says above.
            if any(found):
                history_tables.blank()
                history_tables.draw_groups(f"{title}, {list(periods)[-1].lower()}", found)
        history_tables.footnote(figures for figures, _ in periods.values())

    def by(self, kind: str, limit: int) -> None:
        """A row for each."""
        from codemie_core.store import analytics

        asked = self._filter()
        found = analytics.by(self.connection, _KINDS[kind], asked, limit)
        times = analytics.latency_by(self.connection, _KINDS[kind], asked)
        if self.as_json:
            self._json(by=kind, rows=_rows(kind, found, times))
        elif not found:
            typer.echo(NOTHING_FOUND)
        else:
            history_tables.draw_groups(kind.capitalize(), found, times)
            history_tables.footnote(found.values())

    def tools(self, limit: int) -> None:
        """A row for each tool."""
        from codemie_core.store.analytics import tools

        found = tools(self.connection, self._filter(), limit)
        if self.as_json:
            self._json(by=TOOL, rows=[dataclasses.asdict(tool) for tool in found])
        elif not found:
            typer.echo("No tool was called.")
        else:
            history_tables.draw_tools(found)

    def series(self, size: Size) -> None:
        """A row for each stretch of time, also for those in which nothing happened."""
        from codemie_core.store.analytics import series
        from codemie_core.store.buckets import TooManyBuckets

        try:
            found = series(self.connection, size, self._filter(), now_ms=self.book.now_ms, with_latency=True)
        except TooManyBuckets as problem:
            raise SettingsError(f"--bucket {size}: {problem}; ask for less time or for longer ones") from None
        if self.as_json:
            ends = [(history_json.moment(each.start_ms), history_json.moment(each.end_ms)) for each in found]
            rows = [history_json.figures(each.figures, each.latency) for each in found]
            shown = [{"start": start, "end": end, **row} for (start, end), row in zip(ends, rows, strict=True)]
            self._json(bucket=size, rows=shown)
        elif not found:
            typer.echo(NOTHING_FOUND)
        else:
            starts = {when(each.start_ms): each for each in found}
            figures = {start: each.figures for start, each in starts.items()}
            times = {start: each.latency for start, each in starts.items() if each.latency is not None}
            history_tables.draw_groups("From", figures, times)
            history_tables.footnote(figures.values())

    def last_session(self) -> None:
        """What it cost."""
        from codemie_core.cli.sessions_views import draw_session, session_as_json
        from codemie_core.store.sessions import last_session

        found = last_session(self.connection, self._filter())
        if found is None:
            typer.echo("{}" if self.as_json else NOTHING_FOUND)
        elif self.as_json:
            typer.echo(json.dumps(session_as_json(self.connection, found), indent=2))
        else:
            draw_session(self.connection, found)

    def _filter(self) -> Filter:
        return self.book.filter(self.connection, self.given)

    def _span(self) -> str:
        since, until = self.given.since, self.given.until
        return " ".join(filter(None, (since and f"Since {since}", until and f"{'u' if since else 'U'}ntil {until}")))

    def _json(self, **shown: Any) -> None:
        asked = self._filter()
        ends = {"since": history_json.moment(asked.since_ms), "until": history_json.moment(asked.until_ms)}
        typer.echo(json.dumps({**ends, **shown}, indent=2))


def _rows(kind: str, found: Mapping[str, Figures], times: Mapping[str, Latency] | None = None) -> list[dict[str, Any]]:
    return [
        {kind: name or None, **history_json.figures(figures, times.get(name) if times is not None else None)}
        for name, figures in found.items()
    ]
