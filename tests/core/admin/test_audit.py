import pytest
from sqlalchemy import Connection

from codemie_core.admin.audit import audit_trail
from codemie_core.admin.problems import BadQuestion, NotFound
from codemie_core.places import Places
from codemie_core.store.audit import record
from support.planes import plane_of
from support.stored import StoredHome


async def test_pages_hold_each_event_once_the_newest_first(places: Places) -> None:
    def happened(connection: Connection) -> None:
        for number in range(7):
            record(connection, "", "", f"event {number}", "", "ann")

    StoredHome(places.home).write(happened)
    seen: list[str] = []
    async with plane_of() as room:
        page = await audit_trail(room.plane, limit=3)
        seen += [event.event for event in page.events]
        StoredHome(places.home).write(lambda connection: record(connection, "", "", "newer", "", "ann"))
        while page.next_cursor is not None:
            page = await audit_trail(room.plane, 3, page.next_cursor)
            seen += [event.event for event in page.events]
    assert seen == [f"event {number}" for number in reversed(range(7))]


async def test_of_one_account_also_when_it_is_gone_and_never_a_secret(places: Places) -> None:
    from codemie_core.store.accounts import remove_account

    home = StoredHome(places.home)
    main = home.key("main", "https://api.test", "planted")
    home.key("spare", "https://api.test", "planted")
    secret = "sk-ant-api03-" + "planted0" * 8
    home.write(lambda connection: record(connection, main.id, "main", "paused", f"because of {secret}", "ann"))
    home.write(lambda connection: remove_account(connection, main.id, "ann"))
    async with plane_of() as room:
        for name in ("main", main.id):
            page = await audit_trail(room.plane, account=name)
            assert [event.event for event in page.events] == ["removed", "paused", "added"]
            assert "planted" not in page.model_dump_json()
        with pytest.raises(NotFound, match="did you mean 'spare'"):
            await audit_trail(room.plane, account="spaer")


async def test_before_anything_happened_there_is_nothing_and_a_foreign_cursor_is_refused(places: Places) -> None:
    async with plane_of() as room:
        assert (await audit_trail(room.plane)).events == []
        with pytest.raises(BadQuestion, match="cursor"):
            await audit_trail(room.plane, cursor="WyJhIl0")
        assert not (places.proxy / "proxy.db").exists()
