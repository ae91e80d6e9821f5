import dataclasses
from typing import Any

import pytest

from codemie_core.store.database import Database
from codemie_core.store.filters import EVERYTHING, Filter, conditions
from codemie_core.store.requests import page
from support import turn_rows
from support.turn_rows import NOW, new_turn


def test_a_filter_that_says_nothing_lets_everything_through() -> None:
    assert list(conditions(EVERYTHING)) == []


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Filter)])
def test_every_field_is_a_condition_on_the_turns(field: str) -> None:
    values: dict[str, Any] = {"since_ms": 1, "until_ms": 1, "status": "ok"}
    asked: dict[str, Any] = {field: values.get(field, ("one",))}
    [condition] = conditions(Filter(**asked))
    assert "requests." in str(condition)


def test_the_end_is_not_in_it_and_nobody_is_a_name(database: Database) -> None:
    turns = [
        new_turn(1, started_ms=NOW, account=""),
        new_turn(2, started_ms=NOW + 1, account="main"),
        new_turn(3, started_ms=NOW + 2, account="spare"),
    ]

    def found(asked: Filter) -> list[int]:
        with database.reading() as connection:
            return sorted(int(row["id"][-1]) for row in page(connection, asked))

    with database.writing() as connection:
        turn_rows.store(connection, turns)
    assert found(Filter(since_ms=NOW, until_ms=NOW + 2)) == [1, 2]
    assert found(Filter(since_ms=NOW + 1)) == [2, 3]
    assert found(Filter(accounts=("",))) == [1]
    assert found(Filter(accounts=("", "spare"))) == [1, 3]
    assert found(Filter(accounts=("'; drop table requests; --",))) == []
