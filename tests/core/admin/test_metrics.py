import pytest

from account_rotation import AccountRotation
from codemie_core.admin.metrics import CONTENT_TYPE, metrics
from codemie_core.admin.problems import Unavailable
from codemie_core.telemetry.prometheus import CONTENT_TYPE as THEIRS
from support.histories import until
from support.planes import plane_of
from support.rotation_room import fill
from support.stored import StoredHome
from telemetry import Telemetry


async def test_turns_and_how_it_is_now_are_told_in_the_text_format(codemie_home: object) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    telemetry = Telemetry()
    async with plane_of(telemetry, AccountRotation()) as room:
        fill(StoredHome(room.plane.places.home))
        await until(lambda: telemetry.counters is not None and room.plane.pool and room.plane.pool.accounts)
        room.exchange()
        text = (await metrics(room.plane)).decode()
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert found["codemie_exchanges_open"].samples[0].value >= 1
    assert {(s.labels["state"], s.value) for s in found["codemie_accounts"].samples} == {("ready", 2)}
    states = {s.labels["addon"]: s.labels["state"] for s in found["codemie_addons"].samples}
    assert states["telemetry"] == "active"
    assert any(name.startswith("codemie_proxy_") for name in found)
    assert CONTENT_TYPE == THEIRS


async def test_where_nobody_counts_it_says_what_to_switch_on() -> None:
    async with plane_of() as room:
        with pytest.raises(Unavailable, match="codemie_disabled"):
            await metrics(room.plane)
    async with plane_of(Telemetry(), codemie_telemetry_prometheus=False) as room:
        with pytest.raises(Unavailable, match="codemie_telemetry_prometheus=true"):
            await metrics(room.plane)
