"""What dashboards draw: turns by names, by time, or by both, with averages. One look at the table answers all of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, func, select

from codemie_core.store import tables
from codemie_core.store.analytics import DIMENSIONS, Dimension, bucket_start
from codemie_core.store.figures import Figures, figures_of, measures
from codemie_core.store.filters import EVERYTHING, Filter, conditions

_turns = tables.requests
_LEAST = frozenset({"first_ms", "slowest"})
_MOST = frozenset({"last_ms", "ended_ms", "fastest"})


@dataclass(frozen=True, slots=True)
class Slice:
    """A set of turns. None is unknown: no turn had a value."""

    figures: Figures = field(default_factory=Figures)
    average_ms: float | None = None
    """How long they took, those that failed too."""
    slowest: float | None = None
    fastest: float | None = None
    """Output tokens per second of single turns."""


class Breakdown:
    """The turns that the filter lets through, grouped at once by these names and by the buckets between these marks."""

    def __init__(
        self,
        connection: Connection,
        asked: Filter = EVERYTHING,
        dimensions: Sequence[Dimension] = (),
        marks: Sequence[int] = (),
    ) -> None:
        self._connection, self._asked, self._dimensions = connection, asked, tuple(dimensions)
        self._marks = marks
        self._groups = self._grouped()
        self._sessions: list[tuple[str, ...]] | None = None

    def whole(self) -> Slice:
        """All of them together."""
        return _slice(self._groups, len({session for session, *_ in self._of_sessions()}))

    def by_name(self, dimension: Dimension) -> dict[str, Slice]:
        """Of each model, account, ...; those with most turns first. "" are turns without one."""
        place = self._dimensions.index(dimension)
        rows, sessions = defaultdict(list), defaultdict(set)
        for row in self._groups:
            rows[row["names"][place]].append(row)
        for session, *names in self._of_sessions():
            sessions[names[place]].add(session)
        found = {name: _slice(some, len(sessions[name])) for name, some in rows.items()}
        return dict(sorted(found.items(), key=lambda one: (-one[1].figures.requests, one[0])))

    def beside(self, dimension: Dimension, other: Dimension) -> dict[str, list[str]]:
        """Of each name of the one which names of the other it comes with, in order; without the empty one."""
        place, beside = self._dimensions.index(dimension), self._dimensions.index(other)
        found: defaultdict[str, set[str]] = defaultdict(set)
        for row in self._groups:
            found[row["names"][place]].add(row["names"][beside])
        return {name: sorted(names - {""}) for name, names in found.items()}

    def by_time(self) -> dict[int, Slice]:
        """Of each bucket that has any turn, by where it starts; its sessions are not counted."""
        return {start: one for (start, _), one in self._by_time(lambda row: "").items()}

    def by_time_and_name(self, dimension: Dimension) -> dict[tuple[int, str], Slice]:
        """Of each bucket and each model, account, ... in it; sessions are not counted."""
        place = self._dimensions.index(dimension)
        return self._by_time(lambda row: row["names"][place])

    def _by_time(self, name_of: Callable[[dict[str, Any]], str]) -> dict[tuple[int, str], Slice]:
        rows = defaultdict(list)
        for row in self._groups:
            rows[row["start"], name_of(row)].append(row)
        return {key: _slice(rows[key], 0) for key in sorted(rows)}

    def _grouped(self) -> list[dict[str, Any]]:
        speed = _turns.c.tokens_per_second
        keys = [_turns.c[DIMENSIONS[each]] for each in self._dimensions]
        times = [bucket_start(self._marks).label("start")] if self._marks else []
        # Told apart, sessions cannot be added up; counting them here would cost more than all the rest.
        counted = [each for each in measures() if each.name != "sessions"]
        query = (
            select(
                *times,
                *(key.label(f"name_{place}") for place, key in enumerate(keys)),
                *counted,
                func.sum(_turns.c.total_ms).label("took_ms"),
                func.min(speed).label("slowest"),
                func.max(speed).label("fastest"),
            )
            .where(*conditions(self._asked))
            .group_by(*times, *keys)
        )
        found = []
        for row in self._connection.execute(query):
            told = dict(row._mapping)
            told["names"] = tuple(told.pop(f"name_{place}") for place in range(len(keys)))
            if told["requests"]:
                found.append(told)
        return found

    def _of_sessions(self) -> list[tuple[str, ...]]:
        if self._sessions is None:
            keys = [_turns.c[DIMENSIONS[each]] for each in self._dimensions]
            query = select(_turns.c.session_id.label("of"), *keys).distinct().where(*conditions(self._asked))
            self._sessions = [tuple(row) for row in self._connection.execute(query)]
        return self._sessions


def providers(connection: Connection, asked: Filter = EVERYTHING) -> dict[str, str]:
    """Of each model who served it; of several the last in order."""
    query = select(_turns.c.model, func.max(_turns.c.provider)).where(*conditions(asked)).group_by(_turns.c.model)
    return {model: provider or "" for model, provider in connection.execute(query)}


def _slice(rows: Iterable[dict[str, Any]], sessions: int) -> Slice:
    together: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if name in ("names", "start") or value is None:
                continue
            known = together.get(name)
            if known is None:
                together[name] = value
            elif name in _LEAST:
                together[name] = min(known, value)
            elif name in _MOST:
                together[name] = max(known, value)
            else:
                together[name] = known + value
    if not together:
        return Slice()
    whole = SimpleNamespace(**{each.name: together.get(each.name) for each in measures()})
    whole.sessions = sessions
    average = float(together["took_ms"]) / int(together["requests"])
    return Slice(figures_of(whole), average, together.get("slowest"), together.get("fastest"))
