"""Why a request went where it went, in sentences for people: the route, the account, each try, how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from codemie_core.exchange import Attempt, Exchange
from codemie_core.interception.first_party import is_control
from codemie_core.policy import Answer, Release, Retry
from codemie_core.redact import redact_text
from codemie_core.store.requests import Row, Turn

NO_ACCOUNT = "No account of the pool: it went out with what the client sent, or signed in by the gateway's session."
NOT_REMEMBERED = "Why this account was chosen is known to the proxy that served it, for its last 500 requests: no more."


def of_exchange(exchange: Exchange) -> list[str]:
    """Of one that this process knows."""
    return [
        _asked(exchange.agent.name, exchange.method, exchange.path, exchange.client_key),
        _route(exchange),
        _account(exchange),
        *(_try(attempt) for attempt in exchange.attempts),
        _ending(exchange),
    ]


def of_turn(turn: Turn, exchange: Exchange | None = None) -> list[str]:
    """Of one in the history; with the exchange, where it is known, in more words."""
    if exchange is not None:
        return of_exchange(exchange)
    row = turn.row
    lines = [_asked(row["agent"], row["method"], row["path"], row["client_key"])]
    lines.append(f"It was sent to {row['host']}.")
    if row["model_served"] and row["model_served"] != row["model_asked"]:
        lines.append(f"{row['model_served']} served, {row['model_asked'] or 'no model'} was asked for.")
    lines += [f"Account {row['account']}.", NOT_REMEMBERED] if row["account"] else [NO_ACCOUNT]
    lines += [_kept_try(each) for each in turn.attempts]
    lines.append(_words_of_ending(row))
    return lines


def _asked(agent: str, method: str, path: str, client_key: str) -> str:
    who = agent or "A client"
    key = f", with the client key {client_key}" if client_key else ""
    return f"{who} asked: {method} {path}{key}."


def _route(exchange: Exchange) -> str:
    if not exchange.scoped and is_control(exchange.host, exchange.path):
        return f"A control call, between the agent and {exchange.host} alone: it was passed through untouched."
    if not exchange.scoped:
        return f"{exchange.host} is none of the hosts to act on (codemie_hosts): it was passed through untouched."
    before = f", with {exchange.prefix} put before the path" if exchange.prefix else ""
    if exchange.asked_host and exchange.asked_host.partition(":")[0] != exchange.host:
        return f"It came to {exchange.asked_host}, and goes on to {exchange.host}, which this proxy is for{before}."
    return f"It is for {exchange.host}, which the proxy acts on{before}."


def _account(exchange: Exchange) -> str:
    if exchange.account:
        return f"Account {exchange.account}: {exchange.account_why or 'no reason was noted'}."
    owners = sorted({credential.owner for credential in exchange.credentials if credential.owner})
    signed = f"signed in by {', '.join(owners)}" if owners else exchange.account_why
    return f"No account of the pool: {signed}." if signed else NO_ACCOUNT


def _try(attempt: Attempt) -> str:
    more = []
    if attempt.rejected:
        more.append(f"refused here: {redact_text(attempt.rejected)}")
    if attempt.held_back:
        more.append(f"{attempt.held_back} credential(s) held back, because they do not belong to this address")
    more += _next(attempt)
    return _line(
        attempt.number, attempt.account, attempt.host, attempt.status, attempt.ended_ms, _result(attempt), more
    )


def _result(attempt: Attempt) -> str:
    if attempt.failure is not None:
        detail = redact_text(attempt.failure.detail) if attempt.failure.detail else ""
        return str(attempt.failure.reason).replace("_", " ") + (f" ({detail})" if detail else "")
    if attempt.status is not None:
        return "answered"
    return "under way" if attempt.ended_ms is None else "ended without an answer"


def _next(attempt: Attempt) -> Iterator[str]:
    match attempt.final or attempt.decision:
        case Retry(after=after):
            yield f"then tried again after {after:.1f} s" if after else "then tried again at once"
        case Release():
            yield "the upstream's own answer went to the client"
        case Answer(response=response):
            yield f"the client was answered {response.status} by the proxy"


def _kept_try(row: Row) -> str:
    how = redact_text(row["reason"]).replace("_", " ") if row["reason"] else "answered"
    return _line(row["n"], row["account"], row["host"], row["status"], row["ended_ms"], how)


def _line(
    number: int, account: str, host: str, status: int | None, ended_ms: float | None, how: str, more: Iterable[str] = ()
) -> str:
    by = f" with {account}" if account else ""
    said = f" {status}," if status is not None else ""
    return "; ".join([f"Attempt {number} at {host}{by}:{said} {how}{_after(ended_ms)}", *more]) + "."


def _after(ms: float | None) -> str:
    if ms is None:
        return ""
    return f" after {ms:.0f} ms" if ms < 1000 else f" after {ms / 1000:.1f} s"


def _ending(exchange: Exchange) -> str:
    if exchange.terminal is None:
        said = f"{exchange.status}, " if exchange.status is not None else ""
        return f"It is under way: {said}{exchange.chunks} pieces so far."
    words = str(exchange.terminal).replace("_", " ")
    said = f" with {exchange.status}" if exchange.status is not None else ""
    error = f": {redact_text(exchange.error)}" if exchange.error else ""
    return f"It ended {words}{said}{error}."


def _words_of_ending(row: Row) -> str:
    said = f" with {row['status']}" if row["status"] is not None else ""
    error = f": {redact_text(row['error'])}" if row["error"] else ""
    return f"It ended {row['terminal'].replace('_', ' ')}{said}{error}."
