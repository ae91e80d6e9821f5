import pytest

from codemie_core.access.client_keys import KeyStore
from codemie_core.admin.keys import add_key, key_stats, list_keys, revoke_key
from codemie_core.admin.problems import BadQuestion, NotFound
from codemie_core.places import Places
from support.planes import plane_of
from support.stored import StoredHome


async def test_a_key_is_told_once_and_the_file_and_the_trail_do_not_have_it(places: Places) -> None:
    async with plane_of() as room:
        made = await add_key(room.plane, "ann", "dashboard")
        [listed] = await list_keys(room.plane)
        second = await add_key(room.plane, "bob", "dashboard")
    assert made.key.startswith(f"cmk_{made.id}_")
    assert made.environment["OPENAI_API_KEY"] == made.key
    assert (made.first, "every client needs one" in made.notice) == (True, True)
    assert (second.first, second.notice) == (False, "")
    assert (listed.id, listed.name, listed.active, listed.revoked_at) == (made.id, "ann", True, None)
    holder = KeyStore(places).ring().holder([made.key.encode()])
    assert holder is not None
    assert holder.name == "ann"
    assert made.key not in (places.proxy / "keys.json").read_text()
    told = [(event.event, event.reason, event.who) for event in StoredHome(places.home).events()]
    assert told == [
        ("client key added", f"{made.name} ({made.id})", "dashboard"),
        ("client key added", f"{second.name} ({second.id})", "dashboard"),
    ]


async def test_the_last_one_that_is_revoked_comes_with_a_warning(places: Places) -> None:
    async with plane_of() as room:
        ann = await add_key(room.plane, "ann", "dashboard")
        await add_key(room.plane, "bob", "dashboard")
        first = await revoke_key(room.plane, "bob", "admin api")
        last = await revoke_key(room.plane, ann.id, "admin api")
        stats = await key_stats(room.plane)
        with pytest.raises(NotFound, match="No active key is named 'bob'"):
            await revoke_key(room.plane, "bob", "admin api")
    assert (first.active, first.notice) == (False, "")
    assert "nobody is let in" in last.notice
    assert (stats.total, stats.active, stats.revoked) == (2, 0, 2)


@pytest.mark.parametrize("name", ["", " ann", "a\nb", "x" * 65])
async def test_a_name_that_will_not_do_makes_no_key(places: Places, name: str) -> None:
    async with plane_of() as room:
        with pytest.raises(BadQuestion, match="is no name for a key"):
            await add_key(room.plane, name, "dashboard")
        assert await list_keys(room.plane) == []


async def test_a_damaged_file_is_told_with_the_fix(places: Places) -> None:
    places.write_private(places.proxy / "keys.json", b"{}}")
    async with plane_of() as room:
        with pytest.raises(BadQuestion, match="restore it, or remove it"):
            await list_keys(room.plane)
