"""The pool, hook by hook: what an answer tells about its account, and what becomes of the request."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.test import tutils
from mitmproxy.websocket import WebSocketData, WebSocketMessage

from account_rotation import READ
from codemie_core.accounts.outfit import CLIENTS_OWN
from codemie_core.accounts.turn import AGAIN
from codemie_core.accounts.verdicts import LIMITED, OVERLOAD, Scope
from codemie_core.errors import Problem
from codemie_core.exchange import Terminal, exchange_of
from codemie_core.policy import Answer, Failure, Reason, Retry
from codemie_core.websocket.closing import OTHER_ACCOUNT
from support.core_room import Room
from support.pools import GUESS, Clock
from support.rotation_room import (
    LIMIT,
    addon_of,
    answered,
    asked,
    fill,
    finished,
    key,
    reason,
    refusal,
    rotating,
    served,
)
from support.stored import StoredHome
from support.wires import until

ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'


def main_of(room: Room) -> str:
    return next(one.id for one in addon_of(room).pool.accounts if one.name == "main")


@pytest.fixture
def pool(codemie_home: Path) -> StoredHome:
    home = StoredHome(codemie_home)
    fill(home)
    return home


@pytest.mark.parametrize("passthrough", [False, True])
async def test_when_nobody_is_left_the_client_waits_or_goes_by_itself(pool: StoredHome, passthrough: bool) -> None:
    async with rotating(codemie_account_rotation_passthrough=passthrough) as room:
        first = asked()
        assert await served(room, first) == "planted-main"
        assert (await answered(room, first, 429, **LIMIT)).decision == Retry(0.0)
        assert key(exchange_of(first)) == "planted-spare"
        last = await answered(room, first, 429, **LIMIT)
        assert not (passthrough and addon_of(room)._turns), "the next answer is none of an account's"
        second = asked()
        assert await served(room, second) == ""
    if passthrough:
        assert (last.decision, key(exchange_of(first)), second.response) == (Retry(0.0), "", None)
        assert exchange_of(first).account_why == exchange_of(second).account_why == CLIENTS_OWN
        assert second.metadata["codemie.account_why"] == CLIENTS_OWN
    else:
        assert isinstance(last.decision, Answer)
        problem = last.decision.response
        assert isinstance(problem, Problem)
        assert (problem.status, problem.retry_after) == (429, 60)
        assert "main: limited (429), free in 2 min; spare: limited (429)" in problem.message
        assert refusal(second) == (429, "pool_exhausted")
        assert second.response is not None
        assert second.response.headers["retry-after"] == "60"
    assert {first.request.headers["x-api-key"], second.request.headers["x-api-key"]} == {"planted-dummy"}


async def test_while_others_are_left_the_client_may_come_again_and_never_goes_by_itself(pool: StoredHome) -> None:
    options = {"codemie_account_rotation_passthrough": True, "codemie_account_rotation_max_accounts": 1}
    async with rotating(**options) as room:
        flow = asked()
        assert await served(room, flow) == "planted-main"
        attempt = await answered(room, flow, 429, **LIMIT)
    assert isinstance(attempt.decision, Answer)
    assert attempt.decision.response is AGAIN


async def test_claude_code_with_a_subscription_hears_what_it_waits_for(pool: StoredHome) -> None:
    async with rotating() as room:
        for _ in range(2):
            flow = asked(session="00000000-0000-4000-8000-000000000001")
            flow.request.headers["anthropic-beta"] = "claude-code-20250219,oauth-2025-04-20"
            if await served(room, flow):
                await answered(room, flow, 429, **LIMIT)
                last = await answered(room, flow, 429, **LIMIT)
    assert isinstance(last.decision, Answer)
    assert getattr(last.decision.response, "status", None) == 503
    assert refusal(flow) == (503, "pool_exhausted")


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 429, 500, 503, 529])
async def test_only_errors_that_speak_of_the_account_are_read(pool: StoredHome, status: int) -> None:
    async with rotating() as room:
        flow, strange = asked(), asked(host="other.test")
        for one in flow, strange:
            await room.fire("request", one)
        attempt = await answered(room, flow, status)
        assert attempt.wants_body is (status in READ)
        assert attempt.account == "main"
        other = await answered(room, strange, status)
        assert (other.wants_body, other.account) == (False, "")


async def test_an_answer_to_a_request_without_the_secret_says_nothing_of_the_account(pool: StoredHome) -> None:
    async with rotating() as room:
        flow = asked()
        assert await served(room, flow) == "planted-main"
        attempt = exchange_of(flow).begin_attempt("api.test", 443)
        attempt.held_back = 1
        flow.response = tutils.tresp(status_code=401)
        await room.fire("upstream_response", flow, attempt)
        attempt.failure = Failure(Reason.STATUS, status=401)
        await room.fire("upstream_failed", flow, attempt)
        assert (attempt.wants_body, attempt.decision, reason(room, "main")) == (False, None, "")


async def test_a_rejection_by_somebody_else_is_theirs_to_decide(pool: StoredHome) -> None:
    async with rotating() as room:
        flow = asked()
        assert await served(room, flow) == "planted-main"
        attempt = exchange_of(flow).begin_attempt("api.test", 443)
        attempt.reject("something else")
        attempt.failure, attempt.decision = Failure(Reason.REJECTED), Retry(1.0)
        await room.fire("upstream_failed", flow, attempt)
        assert (attempt.decision, key(exchange_of(flow))) == (Retry(1.0), "planted-main")


async def test_an_answer_tells_how_full_the_account_is(pool: StoredHome) -> None:
    async with rotating() as room:
        reset = str(int(time.time()) + 3600)
        windows = {
            "anthropic_ratelimit_unified_5h_utilization": "0.42",
            "anthropic_ratelimit_unified_5h_reset": reset,
            "anthropic_ratelimit_unified_5h_status": "allowed",
        }
        for status, known in (404, None), (200, 0.42):
            flow = asked()
            assert await served(room, flow) == "planted-main"
            await answered(room, flow, status, **windows)
            addon = addon_of(room)
            assert addon.pool.status(addon.pool.accounts[0].id).utilization == known


@pytest.mark.parametrize(
    "content_type, encoding, tail, marked",
    [
        ("text/event-stream; charset=utf-8", "", ERROR, OVERLOAD),
        ("text/event-stream", "gzip", ERROR, OVERLOAD),
        ("text/event-stream", "identity", ERROR, OVERLOAD),
        ("text/event-stream", "", ERROR.replace(b"overloaded_error", b"invalid_request_error"), ""),
        ("text/event-stream", "", b"data: [DONE]\n\n", ""),
        ("application/json", "", ERROR, ""),
    ],
)
async def test_an_error_that_ended_a_stream_counts_against_its_account(
    pool: StoredHome, content_type: str, encoding: str, tail: bytes, marked: str
) -> None:
    async with rotating() as room:
        flow = asked()
        await served(room, flow)
        await finished(room, flow, content_type, tail, encoding)
        assert reason(room, "main") == marked
        assert len(exchange_of(flow).observers) == (encoding == "gzip")


async def test_a_limit_that_comes_as_a_message_counts_against_its_account(pool: StoredHome) -> None:
    limit = b'{"type": "error", "status": 402, "error": {"type": "usage_not_included"}}'
    async with rotating() as room:
        flow = asked("/v1/responses", method="GET", body=b"")
        assert await served(room, flow) == "planted-main"
        await answered(room, flow, 101)
        flow.websocket = WebSocketData()
        for from_client, content in (True, b'{"model": "opus"}'), (True, limit), (False, b"{}"), (False, limit):
            assert addon_of(room).pool.status(main_of(room)).models == ()
            flow.websocket.messages.append(WebSocketMessage(1, from_client, content))
            await room.fire("websocket_message", flow)
        [benched] = addon_of(room).pool.status(main_of(room)).models
        assert flow.websocket.messages[-1].content == limit
        assert await served(room, asked()) == "planted-spare"
        assert "opus" in str(benched)


async def test_what_an_account_says_of_its_windows_over_a_websocket_is_known(pool: StoredHome) -> None:
    async with rotating() as room:
        flow = asked("/v1/responses", method="GET", body=b"")
        await served(room, flow)
        await answered(room, flow, 101)
        flow.websocket = WebSocketData()
        said = b'{"type":"codex.rate_limits","rate_limits":{"primary":{"used_percent":90,"window_minutes":300}}}'
        for from_client in (True, False):
            assert addon_of(room).pool.status(main_of(room)).utilization is None
            flow.websocket.messages.append(WebSocketMessage(1, from_client, said))
            await room.fire("websocket_message", flow)
        assert addon_of(room).pool.status(main_of(room)).utilization == 0.9
        assert not flow.websocket.messages[-1].dropped


LIMITED_MESSAGE = b'{"type":"error","status":429,"error":{"type":"usage_limit_reached","message":"no"}}'


@pytest.mark.parametrize(
    ("agent", "others", "ours", "closed"),
    [
        ("codex_cli_rs/0.1", True, True, True),
        ("codex_cli_rs/0.1", False, True, False),
        ("codex_cli_rs/0.1", True, False, False),
        ("another/1.0", True, True, False),
    ],
)
async def test_codex_is_asked_to_connect_again_where_another_account_can_take_over(
    agent: str, others: bool, ours: bool, closed: bool, pool: StoredHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    endings: list[object] = []

    def close(_: object, ending: object) -> bool:
        endings.append(ending)
        return ours

    monkeypatch.setattr("account_rotation.close_socket", close)
    async with rotating() as room:
        if not others:
            for account in addon_of(room).pool.accounts:
                if account.name != "main":
                    addon_of(room).pool.failed(account.id, "", GUESS)
        flow = asked("/v1/responses", method="GET", body=b"", agent=agent)
        assert await served(room, flow) == "planted-main"
        await answered(room, flow, 101)
        flow.websocket = WebSocketData()
        for from_client, content in (True, b'{"model": "opus"}'), (False, b"{}"), (False, LIMITED_MESSAGE):
            flow.websocket.messages.append(WebSocketMessage(1, from_client, content))
            await room.fire("websocket_message", flow)
        assert flow.websocket.messages[-1].dropped is closed
        assert endings == ([OTHER_ACCOUNT] if closed or not ours else [])
        assert reason(room, "main") == LIMITED


async def test_an_account_that_has_no_credits_for_a_model_is_not_given_to_its_conversation_again(
    pool: StoredHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("account_rotation.close_socket", lambda *_: True)
    spent = b'{"type":"error","status":402,"error":{"type":"usage_not_included"}}'

    def upgrade(session: str) -> http.HTTPFlow:
        flow = asked("/v1/responses", method="GET", body=b"", agent="codex_cli_rs/0.1")
        flow.request.headers.update({"connection": "Upgrade", "upgrade": "websocket", "session-id": session})
        return flow

    async with rotating() as room:
        flow = upgrade("one")
        assert await served(room, flow) == "planted-main"
        await answered(room, flow, 101)
        flow.websocket = WebSocketData()
        for from_client, content in (True, b'{"model": "opus"}'), (False, spent):
            flow.websocket.messages.append(WebSocketMessage(1, from_client, content))
            await room.fire("websocket_message", flow)
        assert flow.websocket.messages[-1].dropped
        assert await served(room, upgrade("one")) == "planted-spare"
        for account in addon_of(room).pool.accounts:
            addon_of(room).pool.failed(account.id, "opus", replace(GUESS, scope=Scope.MODEL))
        # What it asks for next may be another model.
        assert await served(room, upgrade("one")) in ("planted-main", "planted-spare")


async def test_an_upgrade_for_which_no_account_is_left_gets_its_status_and_words(pool: StoredHome) -> None:
    async with rotating() as room:
        for account in addon_of(room).pool.accounts:
            addon_of(room).pool.failed(account.id, "", GUESS)
        flow = asked("/v1/responses", method="GET", body=b"", agent="codex_cli_rs/0.1")
        flow.request.headers.update({"connection": "Upgrade", "upgrade": "websocket"})
        assert await served(room, flow) == ""
        assert flow.response is not None
        assert (flow.response.status_code, flow.response.headers["content-type"]) == (429, "application/json")
        assert int(flow.response.headers["retry-after"]) > 0
        assert flow.response.json()["error"]["message"]


async def test_a_client_that_left_counts_for_nothing(pool: StoredHome) -> None:
    async with rotating() as room:
        flow = asked()
        await served(room, flow)
        exchange = exchange_of(flow)
        exchange.begin_attempt("api.test", 443)
        exchange.end(Terminal.CLIENT_CANCELLED)
        await room.fire("exchange_done", exchange)
        flow.response = tutils.tresp(status_code=502)
        await room.fire("responseheaders", flow)
        assert (reason(room, "main"), reason(room, "spare")) == ("", "")
        assert addon_of(room)._turns == {}


async def test_a_probe_that_nobody_waits_for_any_more_is_over(pool: StoredHome) -> None:
    async with rotating() as room:
        addon = addon_of(room)
        clock = Clock()
        addon.pool._clock = clock
        main = main_of(room)
        addon.pool.failed(main, "", GUESS)
        clock.now += 61
        for _ in range(2):
            flow = asked()
            assert await served(room, flow) == "planted-main"
            assert addon.pool.status(main).state == "probing"
            exchange_of(flow).end(Terminal.CLIENT_CANCELLED)
            await room.fire("exchange_done", exchange_of(flow))
            assert addon.pool.status(main).state == "recovering"


async def test_our_own_answer_says_nothing_of_the_account(pool: StoredHome) -> None:
    async with rotating() as room:
        flow = asked()
        await served(room, flow)
        addon, seen = addon_of(room), []
        addon.pool.succeeded = lambda *said: seen.append(said)  # type: ignore[method-assign]  # to see that nobody asks
        flow.response = tutils.tresp(status_code=200)
        await room.fire("responseheaders", flow)
        exchange_of(flow).begin_attempt("api.test", 443)
        exchange_of(flow).end(Terminal.UPSTREAM_ERROR)
        await room.fire("responseheaders", flow)
        assert seen == []


async def test_what_was_learnt_is_saved_at_once_and_there_after_a_restart(pool: StoredHome) -> None:
    for following in "planted-main", "planted-spare":
        async with rotating() as room:
            flow = asked()
            assert await served(room, flow) == following
            await answered(room, flow, 429, **LIMIT)
            await until(lambda: any(one.event == "rests" and LIMITED in one.reason for one in pool.events("main")))


async def test_health_counts_the_accounts_that_can_serve(pool: StoredHome) -> None:
    async with rotating() as room:
        flow = asked()
        await served(room, flow)
        await answered(room, flow, 429, **LIMIT)
        assert addon_of(room).health() == {"accounts": 2, "usable": 1, "strategy": "session", "database": "well"}
        worker = addon_of(room).keeper.worker
        assert worker is not None
        worker.trouble = "the disk is full"
        assert addon_of(room).health()["database"] == "the disk is full"
