"""The audit trail: newest first, of one account or of all."""

from codemie_core.store.audit import Event, events, record
from codemie_core.store.database import Database


def test_events_are_told_newest_first_and_no_more_than_asked_for(database: Database) -> None:
    with database.writing() as connection:
        for number in range(5):
            record(connection, f"id-{number % 2}", f"name-{number}", "paused", "why", "ann", clock=lambda: 1.5)
    with database.reading() as connection:
        assert [event.account_name for event in events(connection)] == [f"name-{number}" for number in (4, 3, 2, 1, 0)]
        assert [event.account_name for event in events(connection, limit=2)] == ["name-4", "name-3"]
        assert events(connection, "id-1", limit=1) == [Event("id-1", "name-3", 1.5, "paused", "why", "ann", id=4)]
        assert events(connection, "") == []
        assert [event.id for event in events(connection, limit=2, before=4)] == [3, 2]
        assert events(connection, before=1) == []
