"""What the shell completes of the history: models, accounts, sessions, ... Silent where there is nothing to offer."""

from __future__ import annotations

from collections.abc import Callable

_MOST = 50


def known(dimension: str) -> Callable[[str], list[str]]:
    """Completes names of this kind that are in the history."""

    def names(incomplete: str) -> list[str]:
        try:
            return [name for name in _stored(dimension) if name and name.startswith(incomplete)][:_MOST]
        except Exception:
            # The shell would take a word of it for an offer.
            return []

    return names


def request_ids(incomplete: str) -> list[str]:
    """The newest turns."""
    try:
        return [each for each in _newest_turns() if each.startswith(incomplete)]
    except Exception:  # As above.
        return []


def _stored(dimension: str) -> list[str]:
    from codemie_core.cli.history_book import HistoryBook
    from codemie_core.store.analytics import DIMENSIONS, names
    from codemie_core.store.sessions import sessions

    with HistoryBook().database() as database:
        if database is None:
            return []
        with database.reading() as connection:
            if dimension == "session":
                return [session.id for session in sessions(connection, limit=_MOST)]
            return next(names(connection, each) for each in DIMENSIONS if each == dimension)


def _newest_turns() -> list[str]:
    from codemie_core.cli.history_book import HistoryBook
    from codemie_core.store.requests import page

    with HistoryBook().database() as database:
        if database is None:
            return []
        with database.reading() as connection:
            return [row["id"] for row in page(connection, limit=_MOST)]
