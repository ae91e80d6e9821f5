from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert

from codemie_core.admin.asked import Asked
from codemie_core.admin.cursor import encode
from codemie_core.admin.problems import BadQuestion, NotFound
from codemie_core.admin.requests import details, payload, request, requests
from codemie_core.store import tables
from codemie_core.store.payloads import Payload, pack, save_payloads
from support.history_cli import FAILED, keep, some_turns
from support.planes import plane_of
from support.stored import StoredHome
from support.turn_rows import NOW, new_turn

KNOWN = {
    *("id", "timestamp", "method", "path", "accountUsed", "statusCode", "success", "responseTimeMs"),
    *("failoverAttempts", "model", "promptTokens", "completionTokens", "totalTokens", "inputTokens"),
    *("cacheReadInputTokens", "cacheCreationInputTokens", "outputTokens", "costUsd", "agentUsed", "tokensPerSecond"),
}


def turn_id(number: int) -> str:
    return str(new_turn(number)["id"])


async def test_a_turn_in_a_list_has_the_names_that_are_known_elsewhere() -> None:
    keep([new_turn(1, started_ms=NOW)])
    async with plane_of() as room:
        [told] = (await requests(room.plane)).items
    shown = told.model_dump(exclude_none=True)
    assert KNOWN - set(shown) == set()
    assert (shown["promptTokens"], shown["totalTokens"], shown["failoverAttempts"]) == (30_512, 30_812, 0)
    assert (shown["timestamp"], shown["costUsd"]) == ("2026-11-04T15:30:00.000Z", 0.015411)


async def test_what_is_not_known_is_none() -> None:
    keep([new_turn(1, account="", model="", status=None, ok=False, terminal="truncated", **FAILED)])
    async with plane_of() as room:
        page = await requests(room.plane, limit=1)
    [told] = page.items
    assert page.next_cursor is None
    unknown = (told.account_used, told.model, told.status_code, told.total_tokens, told.cost_usd, told.error_message)
    assert unknown == (None,) * 6


async def test_pages_hold_every_turn_once_whatever_comes_meanwhile() -> None:
    keep([new_turn(n, started_ms=NOW + n // 3) for n in range(25)])
    async with plane_of() as room:
        page = await requests(room.plane, limit=7)
        seen = [item.id for item in page.items]
        while page.next_cursor:
            keep([new_turn(1000 + len(seen), started_ms=NOW + 1000)])
            page = await requests(room.plane, limit=7, cursor=page.next_cursor)
            seen += [item.id for item in page.items]
    assert seen == [turn_id(n) for n in sorted(range(25), key=lambda n: (n // 3, n), reverse=True)]


async def test_filters_count() -> None:
    keep(some_turns())
    async with plane_of() as room:
        told = await requests(room.plane, Asked(agents=("codex",)))
        failed = await requests(room.plane, Asked(status="error"))
    assert [item.agent_used for item in told.items] == ["codex"]
    assert [item.error_message for item in failed.items] == ["overloaded_error"]


@pytest.mark.parametrize("cursor", ["x", encode("a", 1), encode(1)])
async def test_a_cursor_of_somebody_else_is_a_bad_question(cursor: str) -> None:
    async with plane_of() as room:
        with pytest.raises(BadQuestion):
            await requests(room.plane, cursor=cursor)


def add(connection: Connection, rows: list[tuple[Table, dict[str, Any]]]) -> None:
    for table, row in rows:
        connection.execute(insert(table).values(request_id=turn_id(1), **row))


async def test_all_of_one_turn() -> None:
    keep([new_turn(1, tool_calls=2, attempts=2, server_tools='{"web_search": 2}', cost_input=36_000)])
    rows: list[tuple[Table, dict[str, Any]]] = [
        (tables.attempts, {"n": 1, "account": "main", "host": "a", "status": 529, "reason": "status"}),
        (tables.attempts, {"n": 2, "account": "spare", "host": "a", "status": 200, "reason": "", "ended_ms": 1500.0}),
        (tables.tool_calls, {"n": 0, "call_id": "c", "conversation_id": "", "name": "Edit", "ok": True}),
        (tables.tool_calls, {"n": 1, "call_id": "d", "conversation_id": "", "name": "Bash", "ok": None}),
        (
            tables.file_operations,
            {"n": 0, "part": 0, "type": "edit", "path": "a.py", "format": "py", "language": "Python", "lines_added": 3},
        ),
    ]
    async with plane_of() as room:
        await room.plane.write(lambda connection: add(connection, rows))
        told = await request(room.plane, turn_id(1))
        assert told == await request(room.plane, turn_id(1))
    assert [(one.n, one.account, one.reason) for one in told.attempts] == [(1, "main", "status"), (2, "spare", None)]
    assert [(tool.name, tool.ok, [file.path for file in tool.files]) for tool in told.tools] == [
        ("Edit", True, ["a.py"]),
        ("Bash", None, []),
    ]
    assert (told.server_tools, told.cost.input, told.timings.first_token) == ({"web_search": 2}, 0.000036, 400)
    assert told.payload_kept is False
    assert "Attempt 1 at a with main: 529, status." in told.why
    assert "Attempt 2 at a with spare: 200, answered after 1.5 s." in told.why


async def test_the_start_of_an_id_will_do_when_it_is_the_only_one() -> None:
    keep([new_turn(1, id="abc1"), new_turn(2, id="abd2")])
    async with plane_of() as room:
        assert (await request(room.plane, "abc")).id == "abc1"
        with pytest.raises(NotFound, match="Several requests begin with 'ab'"):
            await request(room.plane, "ab")
        for nothing in ("", "x", "a\0", "%", "abc1/../x", "é"):
            with pytest.raises(NotFound, match="There is no request"):
                await request(room.plane, nothing)


def with_payload(home: StoredHome, *ids: str) -> None:
    packed = []
    for each in ids:
        said = Payload.of(1, 4096)
        said.request(b'{"content": "<script>alert(1)</script>", "api_key": "sk-ant-api03-' + b"planted0" * 8 + b'"}')
        said.response(b"data: hello")
        said.request_headers = [(b"x-api-key", b"planted-key"), (b"content-type", b"application/json")]
        packed.append(pack(each, said))
    home.write(lambda connection: save_payloads(connection, home.vault(connection), packed))


async def test_what_was_said_comes_without_secrets() -> None:
    keep([new_turn(1), new_turn(2)])
    async with plane_of() as room:
        with_payload(StoredHome(room.plane.places.home), turn_id(1))
        told = await payload(room.plane, turn_id(1))
        assert (await request(room.plane, turn_id(1))).payload_kept is True
        listed = (await details(room.plane, limit=2)).items
    assert told.request is not None
    assert told.response is not None
    assert "<script>alert(1)</script>" in told.request.body
    assert "planted" not in told.model_dump_json()
    assert (told.response.body, told.response.status) == ("data: hello", 200)
    by_id = {item.id: item for item in listed}
    assert by_id[turn_id(1)] == told
    assert "codemie_usage_metering_payloads=true" in (by_id[turn_id(2)].error or "")


async def test_what_was_not_kept_is_not_found_and_says_what_to_switch_on() -> None:
    keep([new_turn(1)])
    async with plane_of() as room:
        with pytest.raises(NotFound, match="codemie_usage_metering_payloads=true"):
            await payload(room.plane, turn_id(1))
        with pytest.raises(NotFound, match="There is no request"):
            await payload(room.plane, "nothing")
