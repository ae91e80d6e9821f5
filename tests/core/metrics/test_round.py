"""One walk through what waits: wherever it breaks off, the next one neither loses a record nor makes it another."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from codemie_core.metrics import batches, drafts
from codemie_core.metrics.batches import JOURNALLED, MARKED, POSTED, REFUSED
from codemie_core.metrics.round import KEPT, REST, SEVERAL
from support.metrics_api import DOWN, LOGIN_PAGE, TAKEN, TO_LOGIN, UNAUTHORIZED, MetricsApi, Reply
from support.metrics_room import SESSION, MetricsRoom

OTHERS = [f"5e551071-0000-4000-8000-00000000010{n}" for n in range(6)]
REFUSAL = Reply(400, '{"code": 400, "message": "not such a one"}')


async def test_what_waits_is_sent_once_and_marked(room: MetricsRoom, api: MetricsApi) -> None:
    found = room.session()
    room.add(found, "a", "b")
    room.add(found, "c", branch="dev")
    report = await room.round()
    assert (report.sent, report.marked, report.waiting, report.problem) == (3, 3, 0, "")
    assert room.marks() == dict.fromkeys("abc", "synced")
    assert {batch.state for batch in room.batches()} == {MARKED}
    assert (await room.round()).sent == 0
    assert [came.attributes["branch"] for came in api.came] == ["main", "dev"]
    session = room.files.find(SESSION)
    assert session is not None
    assert session.session is not None
    assert session.session.on_disk()["sync"]["metrics"]["totalSynced"] == 3  # type: ignore[index] # JSON, as found


async def test_it_is_written_down_before_it_is_sent(room: MetricsRoom, api: MetricsApi) -> None:
    seen = []

    def choose(came: object) -> Reply:
        seen.append([(batch.state, batch.body) for batch in room.batches()])
        return TAKEN

    api.choose = choose
    room.add(room.session(), "a")
    await room.round()
    assert seen == [[(JOURNALLED, api.came[0].body)]]


@pytest.mark.parametrize("reply", [DOWN, UNAUTHORIZED, LOGIN_PAGE, TO_LOGIN, REFUSAL, Reply(counts=True, drops=True)])
async def test_what_is_not_confirmed_waits_and_goes_out_again_byte_for_byte(
    room: MetricsRoom, api: MetricsApi, reply: Reply
) -> None:
    found = room.session()
    room.add(found, "a", "b")
    api.then = reply
    report = await room.round()
    assert (report.sent, report.waiting, bool(report.problem)) == (0, 2, True)
    assert room.marks() == {"a": "pending", "b": "pending"}
    room.add(found, "c")
    api.then = TAKEN
    report = await room.round()
    assert (report.sent, report.waiting) == (3, 0)
    assert len({(came.key, came.body) for came in api.came}) == 2
    assert [came.attributes["total_tool_calls"] for came in api.came[-2:]] == [2, 1]
    assert room.marks() == dict.fromkeys("abc", "synced")


async def test_while_nobody_answers_nothing_more_is_bound(room: MetricsRoom, api: MetricsApi) -> None:
    """So that all that piles up meanwhile becomes one metric."""
    api.then = Reply(drops=True)
    for session_id in OTHERS:
        room.add(room.session(session_id), "a")
    await room.round()
    await room.round()
    assert len(set(api.keys)) == 1
    assert sum(len(room.batches(session_id)) for session_id in OTHERS) == 1


async def test_what_was_confirmed_before_a_crash_is_marked_and_not_sent(room: MetricsRoom, api: MetricsApi) -> None:
    room.add(room.session(), "a")
    api.then = DOWN
    await room.round()
    [batch] = room.batches()
    room.write(lambda connection: batches.posted(connection, batch.id, attempts=1, now_ms=1))
    before = len(api.came)
    report = await room.round()
    assert (report.sent, report.marked, report.waiting) == (0, 1, 0)
    assert len(api.came) == before
    assert room.marks() == {"a": "synced"}
    assert room.batches()[0].state == MARKED


async def test_a_mark_that_somebody_took_away_is_made_again(room: MetricsRoom, api: MetricsApi) -> None:
    found = room.session()
    room.add(found, "a")
    await room.round()
    found.journal.path.write_bytes(found.journal.path.read_bytes().replace(b'"synced" ', b'"pending"'))
    assert room.marks() == {"a": "pending"}
    report = await room.round()
    assert (report.sent, room.marks(), len(api.came)) == (0, {"a": "synced"}, 1)


async def test_a_record_that_comes_twice_counts_once(room: MetricsRoom, api: MetricsApi) -> None:
    found = room.session()
    room.add(found, "a", "a")
    await room.round()
    room.add(found, "a")
    await room.round()
    assert [came.attributes["total_tool_calls"] for came in api.came] == [1]
    assert (await room.round()).waiting == 0


async def test_a_file_that_cannot_be_marked_is_marked_later(room: MetricsRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    from codemie_core.metrics.journal import Journal

    def unwilling(*_: object) -> frozenset[str]:
        raise OSError(30, "Read-only file system")

    room.add(room.session(), "a")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "mark_synced", unwilling)
        report = await room.round()
    assert "cannot be marked" in report.problem
    assert room.batches()[0].state == POSTED
    assert (await room.round()).problem == ""
    assert len(room.api.came) == 1
    assert room.batches()[0].state == MARKED


async def test_a_refused_batch_rests_and_holds_up_no_other_session(room: MetricsRoom, api: MetricsApi) -> None:
    service = room.service()
    found = room.session()
    room.add(found, "a")
    room.add(room.session(OTHERS[0]), "b")
    api.choose = lambda came: REFUSAL if came.attributes["session_id"] == "conversation" and not api.came else TAKEN
    report = await service.round()
    assert (report.sent, "not such a one" in report.problem) == (1, True)
    assert room.batches()[0].state == REFUSED
    room.add(found, "c")
    api.choose = None
    room.time.now += REST - 10
    before = len(api.came)
    assert (await service.round()).sent == 0
    assert len(api.came) == before, "it rests, and what is new of its session with it"
    room.time.now += 20
    assert (await service.round()).sent == 2
    assert api.came[before].body == api.came[0].body


async def test_a_batch_on_which_the_server_stumbles_holds_up_no_other(room: MetricsRoom, api: MetricsApi) -> None:
    service = room.service()
    for session_id in OTHERS:
        room.add(room.session(session_id), "a", branch=session_id)
    poison = OTHERS[0]
    api.choose = lambda came: Reply(500, "{}") if came.attributes["branch"] == poison else TAKEN
    assert (await service.round()).sent == len(OTHERS) - 1
    assert room.marks(poison) == {"a": "pending"}
    before = len(api.came)
    await service.round()
    assert len(api.came) == before, "it rests"
    room.time.now += REST
    api.choose = None
    assert (await service.round()).sent == 1


async def test_a_server_that_is_down_is_not_asked_for_every_session(room: MetricsRoom, api: MetricsApi) -> None:
    for session_id in OTHERS:
        room.add(room.session(session_id), "a")
    api.then = DOWN
    assert (await room.round()).sent == 0
    assert len(set(api.keys)) == SEVERAL


async def test_a_server_that_is_down_is_asked_again_as_often_as_wanted(room: MetricsRoom, api: MetricsApi) -> None:
    room.wanted = replace(room.wanted, max_retries=1)
    room.add(room.session(), "a")
    api.then = DOWN
    await room.round()
    assert (len(api.came), room.time.slept) == (2, [1.0])


async def test_a_401_in_the_middle_stops_there_and_goes_on_after_a_sign_in(room: MetricsRoom, api: MetricsApi) -> None:
    for session_id in OTHERS:
        room.add(room.session(session_id), "a")
    api.script(TAKEN, TAKEN, UNAUTHORIZED)
    api.choose = None
    service = room.service()
    report = await service.round()
    assert (report.sent, report.waiting, report.expired, len(api.came)) == (2, 4, True, 3)
    api.expire_all()
    assert (await service.round()).sent == 0
    api.sign_in(room.places)
    assert (await service.round()).sent == 4
    assert len(set(api.keys)) == len(OTHERS)


async def test_a_newer_sign_in_is_taken_at_once(room: MetricsRoom, api: MetricsApi) -> None:
    """Somebody has signed in since the session was last looked at."""
    room.add(room.session(), "a")

    def choose(came: object) -> Reply:
        if not api.came:
            api.sign_in(room.places)
            return UNAUTHORIZED
        return TAKEN

    api.choose = choose
    report = await room.round()
    assert (report.sent, report.problem, len(api.came)) == (1, "", 2)
    assert api.came[0].header("cookie") != api.came[1].header("cookie")
    assert api.came[0].body == api.came[1].body


async def test_without_a_sign_in_nothing_is_bound_or_sent(room: MetricsRoom, api: MetricsApi) -> None:
    for path in room.places.credentials.iterdir():
        path.unlink()
    room.add(room.session(), "a")
    report = await room.round()
    assert (report.expired, report.waiting, api.came, room.batches()) == (True, 1, [], [])


async def test_what_is_sent_is_the_settled_schema(room: MetricsRoom, api: MetricsApi) -> None:
    from dataclasses import replace

    room.wanted = replace(room.wanted, schema="v1")
    room.add(room.session(), "a")
    await room.round()
    document = json.loads(api.came[0].body)
    assert (document["name"], document["attributes"]["session_id"]) == ("codemie_coding_agent_usage", SESSION)


async def test_a_session_whose_file_is_gone_is_still_delivered(room: MetricsRoom, api: MetricsApi) -> None:
    found = room.session()
    room.add(found, "a")
    api.then = DOWN
    await room.round()
    found.journal.path.unlink()
    found.path.unlink()
    api.then = TAKEN
    assert (await room.round()).sent == 1
    assert room.batches()[0].state == MARKED


async def test_delivered_batches_are_forgotten_in_the_end(room: MetricsRoom) -> None:
    room.add(room.session(), "a")
    await room.round()
    room.time.now += KEPT + 10
    await room.round()
    assert room.batches() == []


async def test_neither_log_nor_database_holds_the_sign_in(
    room: MetricsRoom, api: MetricsApi, caplog: pytest.LogCaptureFixture, codemie_home: Path
) -> None:
    def choose(came: object) -> Reply:
        cookie = getattr(came, "header")("cookie")  # noqa: B009 - a plain object to the type checker
        return Reply(400, json.dumps({"message": f"cannot take {cookie}"}))

    api.choose = choose
    room.add(room.session(), "a")
    report = await room.round()
    secret = api.came[0].header("cookie").partition("=")[2].partition(";")[0]
    assert len(secret) > 100
    part = secret[:40]
    assert "cannot take" in report.problem
    assert part not in report.problem + caplog.text + room.batches()[0].last_error
    stored = [path for path in codemie_home.rglob("*") if path.is_file() and part.encode() in path.read_bytes()]
    assert stored == []


async def test_large_sessions_go_out_in_parts(
    room: MetricsRoom, api: MetricsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "LARGEST", 100)
    room.add(room.session(), *(f"r{number}" for number in range(250)))
    assert (await room.round()).sent == 250
    assert [came.attributes["total_tool_calls"] for came in api.came] == [100, 100, 50]
