from codemie_core.admin.reasons import of_exchange
from codemie_core.errors import Problem
from codemie_core.exchange import Exchange, Terminal
from codemie_core.policy import Answer, Failure, Reason, Release, Retry
from support.planes import plane_of


async def lines(**changes: object) -> list[str]:
    async with plane_of() as room:
        return of_exchange(room.exchange(**changes))


def tried(exchange: Exchange, reason: Reason, status: int | None = None, detail: str = "") -> None:
    attempt = exchange.begin_attempt(exchange.host, 443)
    attempt.failure, attempt.status, attempt.ended_ms = Failure(reason, detail, status), status, 40.4


async def test_route_account_and_end_are_told_in_order() -> None:
    told = await lines(account="main", account_why="kept: this conversation's account", client_key="ann")
    assert told == [
        "unknown asked: GET /v1/messages, with the client key ann.",
        "It is for api.anthropic.com, which the proxy acts on.",
        "Account main: kept: this conversation's account.",
        "It is under way: 0 pieces so far.",
    ]


async def test_what_was_asked_for_by_another_name_is_told() -> None:
    told = await lines(asked_host="localhost:8080", prefix="/code-assistant-api")
    assert told[1] == (
        "It came to localhost:8080, and goes on to api.anthropic.com, which this proxy is for, "
        "with /code-assistant-api put before the path."
    )
    assert "codemie_hosts" in (await lines(scoped=False))[1]
    assert "control call" in (await lines(scoped=False, path="/api/oauth/usage"))[1].lower()


async def test_each_try_tells_what_happened_and_what_followed() -> None:
    async with plane_of() as room:
        exchange = room.exchange()
        tried(exchange, Reason.CONNECT_TIMEOUT)
        exchange.attempts[0].decision = Retry()
        tried(exchange, Reason.STATUS, 529, "overloaded")
        exchange.attempts[1].decision = Retry(0.25)
        tried(exchange, Reason.REJECTED)
        exchange.attempts[2].rejected, exchange.attempts[2].held_back = "looks wrong", 1
        exchange.attempts[2].final = Answer(Problem(502, "bad", "no"))
        exchange.attempts[2].decision = Release()
        told = of_exchange(exchange)
    assert told[3:6] == [
        "Attempt 1 at api.anthropic.com: connect timeout after 40 ms; then tried again at once.",
        "Attempt 2 at api.anthropic.com: 529, status (overloaded) after 40 ms; then tried again after 0.2 s.",
        "Attempt 3 at api.anthropic.com: rejected after 40 ms; refused here: looks wrong; 1 credential(s) held back, "
        "because they do not belong to this address; the client was answered 502 by the proxy.",
    ]


async def test_how_it_ended_is_told_without_secrets() -> None:
    async with plane_of() as room:
        exchange = room.exchange(status=200)
        exchange.end(Terminal.CLIENT_CANCELLED, "token sk-ant-api03-" + "planted0" * 8)
        told = of_exchange(exchange)[-1]
    assert told.startswith("It ended client cancelled with 200: token ")
    assert "planted" not in told
