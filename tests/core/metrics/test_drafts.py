"""What waiting records come to."""

import json
from pathlib import Path

import pytest

from codemie_core.metrics import drafts
from codemie_core.metrics.drafts import SyncPlan, letter_of, new_batches
from codemie_core.metrics.round import Waiting
from support.metrics_api import MetricsApi
from support.metrics_room import SESSION, MetricsRoom

PLAN = SyncPlan("https://codemie.example.com/v1/metrics", "v2", "1.2.3", "codemie-proxy/1.2.3")


@pytest.fixture
def room(codemie_home: Path) -> MetricsRoom:
    with MetricsApi() as api:
        return MetricsRoom(codemie_home, api)


def waiting(room: MetricsRoom) -> Waiting:
    found = room.files.all()
    return [(each, each.journal.read().pending) for each in found]


def test_there_is_one_batch_per_branch_with_the_records_of_it(room: MetricsRoom) -> None:
    session = room.session()
    room.add(session, "a", "b")
    room.add(session, "c", branch="dev")
    [(found, entries)] = waiting(room)
    made = new_batches(found, entries, PLAN)
    assert [(batch.branch, ids) for batch, ids in made] == [("main", ("a", "b")), ("dev", ("c",))]
    assert {batch.session_id for batch, _ in made} == {SESSION}
    assert json.loads(made[0][0].body)["attributes"]["agent_version"] == "1.2.3"


def test_the_same_records_make_the_same_bytes_and_key(room: MetricsRoom) -> None:
    room.add(room.session(), "a", "b")
    [(found, entries)] = waiting(room)
    first, again = (new_batches(found, entries, PLAN)[0][0] for _ in range(2))
    assert (first.id, first.body) == (again.id, again.body)


def test_a_batch_holds_so_many_records_and_no_more(room: MetricsRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "LARGEST", 2)
    room.add(room.session(), *"abcde")
    [(found, entries)] = waiting(room)
    assert [ids for _, ids in new_batches(found, entries, PLAN)] == [("a", "b"), ("c", "d"), ("e",)]


def test_a_letter_bears_the_batches_key_and_bytes_and_no_credential(room: MetricsRoom) -> None:
    room.add(room.session(), "a")
    [(found, entries)] = waiting(room)
    [(batch, _)] = new_batches(found, entries, PLAN)
    letter = letter_of(batch, found, PLAN)
    assert (letter.key, letter.body) == (batch.id, batch.body)
    assert letter.headers["X-CodeMie-Branch"] == "main"
    assert not {"cookie", "authorization"} & {name.lower() for name in letter.headers}
    assert letter_of(batch, None, PLAN).body == batch.body
