from pathlib import Path

from sqlalchemy import insert

from codemie_core.store import tables
from codemie_core.store.account_use import Use, use_by_account
from support.stored import StoredHome
from support.turn_rows import HOUR, NOW, new_turn


def test_turns_are_counted_for_each_account_and_those_without_one_are_left_out(codemie_home: Path) -> None:
    home = StoredHome(codemie_home)
    rows = [
        new_turn(number, account=account, started_ms=NOW - hours * HOUR)
        for number, (account, hours) in enumerate([("main", 1), ("main", 3), ("main", 9), ("spare", 9), ("", 1)])
    ]
    home.write(lambda connection: connection.execute(insert(tables.requests), rows))
    found = home.read(lambda connection: use_by_account(connection, NOW - 5 * HOUR))
    assert found == {"main": Use(3, 2, NOW - HOUR), "spare": Use(1, 0, NOW - 9 * HOUR)}
