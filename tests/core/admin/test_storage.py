from codemie_core.admin.storage import storage
from support.history_cli import keep
from support.planes import plane_of
from support.turn_rows import NOW, new_turn
from usage_metering import UsageMetering


async def test_where_it_is_how_much_and_how_far_back() -> None:
    keep([new_turn(1, started_ms=NOW - 1000), new_turn(2, started_ms=NOW)])
    async with plane_of() as room:
        told = await storage(room.plane)
    assert told.place == str(room.plane.places.proxy / "proxy.db")
    assert (told.kind, told.oldest, told.newest) == ("sqlite", "2026-11-04T15:29:59.000Z", "2026-11-04T15:30:00.000Z")
    assert {table.name: table.rows for table in told.tables}["requests"] == 2
    assert (told.bytes or 0) > 50_000
    assert (told.keep, told.trouble, told.payload_bytes) == (None, None, 0)


async def test_for_how_long_it_is_kept_is_what_metering_says() -> None:
    async with plane_of(UsageMetering(), codemie_usage_metering_keep="30d") as room:
        kept = (await storage(room.plane)).keep
    assert kept is not None
    assert (kept.request_days, kept.payload_days, kept.bytes, kept.payloads) == (30, 1, 1024**3, False)
