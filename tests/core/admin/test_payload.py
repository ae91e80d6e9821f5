import pytest

from codemie_core.admin.payload import Opener, payload_of
from codemie_core.admin.problems import Unavailable
from codemie_core.admin.requests import payload
from codemie_core.store.payloads import Payload, pack, save_payloads
from codemie_core.store.requests import one
from support.history_cli import keep
from support.planes import plane_of
from support.stored import StoredHome
from support.turn_rows import new_turn


async def test_a_vault_that_does_not_open_is_told_and_not_raised_in_a_list() -> None:
    keep([new_turn(1)])
    name = str(new_turn(1)["id"])
    async with plane_of() as room:
        home = StoredHome(room.plane.places.home)
        packed = pack(name, Payload.of(1, 4096))
        home.write(lambda connection: save_payloads(connection, home.vault(connection), [packed]))
        for key in room.plane.places.proxy.glob("vault*"):
            key.unlink()

        def told(connection: object) -> object:
            turn = one(connection, name)  # type: ignore[arg-type] # the plane hands over a connection
            assert turn is not None
            return payload_of(turn.row, Opener(room.plane, connection))  # type: ignore[arg-type] # as above

        found = await room.plane.read(told)
        with pytest.raises(Unavailable):
            await payload(room.plane, name)
    assert found.request is None  # type: ignore[attr-defined] # what payload_of gives
    assert "vault" in str(found.error)  # type: ignore[attr-defined] # as above
