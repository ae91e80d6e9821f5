from pydantic import SecretStr

from codemie_core.admin.recent import Recent
from codemie_core.credential import Credential
from codemie_core.exchange import Exchange, exchange_of
from codemie_core.tap import Observer
from support.core_room import request


def ended() -> Exchange:
    return exchange_of(request())


def test_the_newest_come_first_and_the_oldest_go() -> None:
    recent, exchanges = Recent(2), [ended() for _ in range(3)]
    for exchange in exchanges:
        recent.add(exchange)
    assert [one.request_id for one in recent.newest_first()] == [e.request_id for e in reversed(exchanges[1:])]
    assert len(recent) == 2


def test_no_credential_and_nothing_that_was_said_is_kept() -> None:
    recent, exchange = Recent(), ended()
    secret = Credential("https", "api.anthropic.com", 443, "/", {"x-api-key": SecretStr("planted")}, owner="sso_auth")
    watching: list[Observer] = [lambda data: None]
    exchange.credentials, exchange.observers, exchange.tail = [secret], watching, b"said"
    exchange._request_json = {"said": "planted"}
    attempt = exchange.begin_attempt("api.anthropic.com", 443)
    attempt.body = b"said"
    recent.add(exchange)
    [kept] = recent.newest_first()
    assert (kept.credentials, kept.observers, kept.tail, kept._request_json) == ([], [], b"", None)
    assert (kept.attempts[0].body, kept.attempts[0].host) == (None, "api.anthropic.com")
    assert kept.account_why == "signed in by sso_auth"
    # Others still work with the exchange itself.
    assert (exchange.credentials, exchange.observers, attempt.body) == ([secret], watching, b"said")
    assert exchange._request_json == {"said": "planted"}
