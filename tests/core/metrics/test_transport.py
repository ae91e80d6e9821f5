"""What CodeMie's metrics API gets, and what its answers mean."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.metrics.session import new_session
from codemie_core.metrics.transport import LONGEST_WHY, PAUSES, Letter, MetricsApi, Outcome, letter_headers
from codemie_core.places import Places
from codemie_core.sso.session import Session
from codemie_core.usage.record import Labels
from codemie_core.web import client_for
from support.metrics_api import DOWN, LOGIN_PAGE, PATH, TAKEN, TO_LOGIN, UNAUTHORIZED, Reply
from support.metrics_api import MetricsApi as Server
from support.metrics_room import SimulatedTime
from support.records import new_record

LETTER = Letter("key-1", b'{"name":"n","attributes":{"count":1}}', {"X-CodeMie-CLI": "codemie-proxy/1"})


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        yield made


@pytest.fixture
def time() -> SimulatedTime:
    return SimulatedTime()


@pytest.fixture
def session(server: Server, codemie_home: Path) -> Session:
    return server.sign_in(Places(codemie_home))


@pytest.fixture
async def client(codemie_home: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for("http://127.0.0.1", Places(codemie_home), {}, timeout=20) as made:
        yield made


@pytest.fixture
def api(server: Server, client: httpx.AsyncClient, time: SimulatedTime) -> MetricsApi:
    return MetricsApi(f"{server.url}/v1/metrics", client, sleep=time.sleep, timeout=20)


async def test_it_posts_the_very_bytes_signed_and_named(api: MetricsApi, server: Server, session: Session) -> None:
    verdict = await api.post(LETTER, session)
    [came] = server.came
    assert (verdict.outcome, verdict.why, verdict.attempts) == (Outcome.SENT, "", 1)
    assert (came.path, came.body, came.signed, came.key) == (PATH, LETTER.body, True, "key-1")
    assert came.header("content-type") == "application/json"
    assert came.header("x-codemie-cli") == "codemie-proxy/1"
    assert came.header("user-agent").startswith("codemie-proxy/")


@pytest.mark.parametrize(
    "reply, outcome, attempts",
    [
        (Reply(200, '{"success": true}'), Outcome.SENT, 1),
        (Reply(201, '{"success": true, "message": "x"}'), Outcome.SENT, 1),
        (Reply(200, '{"success": false, "message": "no"}'), Outcome.REFUSED, 1),
        (Reply(200, '{"success": "true"}'), Outcome.REFUSED, 1),
        (Reply(200, "[]"), Outcome.REFUSED, 1),
        (Reply(200, "taken, thank you"), Outcome.REFUSED, 1),
        (Reply(200, ""), Outcome.REFUSED, 1),
        (Reply(400, '{"code": 400, "message": "bad metric"}'), Outcome.REFUSED, 1),
        (Reply(404, "{}"), Outcome.REFUSED, 1),
        (Reply(422, '{"success": true}'), Outcome.REFUSED, 1),
        (UNAUTHORIZED, Outcome.EXPIRED, 1),
        (Reply(403, '{"message": "no"}'), Outcome.EXPIRED, 1),
        (LOGIN_PAGE, Outcome.EXPIRED, 1),
        (TO_LOGIN, Outcome.EXPIRED, 1),
        (Reply(301, "", headers=(("Location", "/v2/metrics"),)), Outcome.EXPIRED, 1),
        (Reply(307, "", headers=(("Location", "https://elsewhere.example.com/v1/metrics"),)), Outcome.EXPIRED, 1),
        (Reply(429, "{}"), Outcome.UNREACHABLE, 4),
        (DOWN, Outcome.UNREACHABLE, 4),
        (Reply(502, "<html>bad gateway</html>", "text/html"), Outcome.UNREACHABLE, 4),
        (Reply(drops=True), Outcome.UNREACHABLE, 4),
    ],
)  # fmt: skip
async def test_answers_and_what_they_mean(
    api: MetricsApi,
    server: Server,
    session: Session,
    time: SimulatedTime,
    reply: Reply,
    outcome: Outcome,
    attempts: int,
) -> None:
    server.then = reply
    verdict = await api.post(LETTER, session)
    assert (verdict.outcome, verdict.attempts, len(server.came)) == (outcome, attempts, attempts)
    assert time.slept == list(PAUSES[: attempts - 1])
    assert bool(verdict.why) == (outcome is not Outcome.SENT)
    assert {(came.body, came.key) for came in server.came} == {(LETTER.body, "key-1")}


@pytest.mark.parametrize("retries, slept", [(0, []), (1, [1.0]), (5, [1.0, 2.0, 5.0, 5.0, 5.0])])
async def test_how_often_it_tries_again_is_a_setting(
    server: Server,
    client: httpx.AsyncClient,
    session: Session,
    time: SimulatedTime,
    retries: int,
    slept: list[float],
) -> None:
    server.then = DOWN
    api = MetricsApi(f"{server.url}{PATH}", client, sleep=time.sleep, timeout=20, max_retries=retries)
    verdict = await api.post(LETTER, session)
    assert (verdict.outcome, verdict.attempts, time.slept) == (Outcome.UNREACHABLE, retries + 1, slept)


async def test_it_stops_trying_once_it_is_taken(
    api: MetricsApi, server: Server, session: Session, time: SimulatedTime
) -> None:
    server.script(DOWN, Reply(drops=True), TAKEN)
    verdict = await api.post(LETTER, session)
    assert (verdict.outcome, verdict.attempts, time.slept) == (Outcome.SENT, 3, [1.0, 2.0])


async def test_nobody_there_is_unreachable(client: httpx.AsyncClient, session: Session, time: SimulatedTime) -> None:
    api = MetricsApi(f"http://127.0.0.1:{closed_port()}/v1/metrics", client, sleep=time.sleep)
    verdict = await api.post(LETTER, session)
    assert (verdict.outcome, time.slept) == (Outcome.UNREACHABLE, [1.0, 2.0, 5.0])


async def test_a_server_that_hangs_is_left_after_the_timeout(
    client: httpx.AsyncClient, server: Server, session: Session, time: SimulatedTime
) -> None:
    server.then = Reply(hangs=True)
    api = MetricsApi(f"{server.url}/v1/metrics", client, sleep=time.sleep, timeout=0.05)
    verdict = await api.post(LETTER, session)
    assert (verdict.outcome, verdict.attempts) == (Outcome.UNREACHABLE, 4)
    assert "0.05 s" in verdict.why


async def test_a_redirect_is_not_followed(api: MetricsApi, server: Server, session: Session) -> None:
    with Server() as other:
        server.then = Reply(308, "", headers=(("Location", f"{other.url}/v1/metrics"),))
        await api.post(LETTER, session)
        assert other.came == []


async def test_what_a_failure_says_is_short_and_holds_no_secret(
    api: MetricsApi, server: Server, session: Session
) -> None:
    cookie = session.cookies["codemie_access_token"].get_secret_value()
    words = f"bad cookie codemie_access_token={cookie} \x1b[31m{'x' * 5000}"
    server.then = Reply(400, json.dumps({"message": words}))
    verdict = await api.post(LETTER, session)
    assert cookie[:40] not in verdict.why
    assert "bad cookie" in verdict.why
    assert len(verdict.why) <= LONGEST_WHY
    assert verdict.why.isprintable()


def test_headers_say_whose_it_is_and_never_break_a_line() -> None:
    labels = Labels("Prøject\r\nX-Evil: 1", "owner/repository", "", "")
    found = letter_headers(new_session(new_record(labels=labels), "ai-run-sso"), "feature/ü", "codemie-proxy/1")
    assert found == {
        "X-CodeMie-CLI": "codemie-proxy/1",
        "X-CodeMie-Branch": "feature/%C3%BC",
        "X-CodeMie-Client": "codemie-claude",
        "X-CodeMie-Repository": "owner/repository",
        "X-CodeMie-Project": "Pr%C3%B8ject%0D%0AX-Evil: 1",
    }
    assert letter_headers(None, "", "cli") == {"X-CodeMie-CLI": "cli"}
