"""All there is to know about a row: from the board, and from whoever knows more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from codemie_core.amounts import NONE, count, plain, tokens
from codemie_core.top.board import Turn
from codemie_core.top.client import AdminClient, ApiTrouble, part
from codemie_core.top.feed import items
from codemie_core.top.rows import brief, cost
from codemie_core.top.shapes import Account, Request, Session, several

type Lines = Sequence[tuple[str, str]]

TURNS = 100


def of_account(account: Account) -> Lines:
    """How it is, and what its owner can do."""
    return _present(
        ("Account", account.name),
        ("Provider", account.provider),
        ("State", account.state_in_words or account.state),
        ("Why", account.reason),
        ("Until", _when(account.until)),
        ("To mend it", account.remedy),
        ("Used", "" if account.usage_utilization is None else f"{account.usage_utilization:.0%} of its limits"),
        ("Priority", f"{account.priority} (lower goes first)"),
        ("Requests", count(account.request_count)),
        ("Last used", _when(account.last_used)),
    )


def of_turn(turn: Turn) -> Lines:
    """What is known of one request."""
    request = turn.request
    took = "" if request.response_time_ms is None else brief(request.response_time_ms / 1000)
    return _present(
        ("Request", request.id),
        ("Began", _when(request.timestamp)),
        ("What", f"{request.method} {request.path}".strip()),
        ("Model", request.model),
        ("Agent", request.agent_used),
        ("Account", request.account_used),
        ("Session", request.session_id),
        ("Status", "" if request.status_code is None else str(request.status_code)),
        ("Problem", request.error_message),
        ("Took", took),
        ("Tokens", "" if request.total_tokens is None else tokens(request.total_tokens)),
        ("Cost", "" if request.cost_usd is None else cost(request.cost_usd)),
    )


def of_session(session: Session) -> Lines:
    """What was done in it."""
    return _present(
        ("Session", session.id),
        ("Agent", session.agent),
        ("Project", session.project),
        ("Model", session.model),
        ("Account", session.account),
        ("Last used", _when(session.last_used)),
        ("Turns", count(session.requests)),
        ("Tokens", tokens(session.total_tokens)),
        ("Cost", cost(session.cost_usd)),
    )


async def why(client: AdminClient, request_id: str) -> Lines:
    """Why it went where it went."""
    try:
        found = await client.get(f"/api/exchanges/{part(request_id)}/why")
    except ApiTrouble as problem:
        return [("Why", str(problem))]
    lines = found.get("lines") if isinstance(found, Mapping) else None
    return [("Why", "\n".join(plain(str(line)) for line in lines))] if lines else []


async def turns(client: AdminClient, session_id: str) -> Lines:
    """Its last turns, the newest last."""
    try:
        found = await client.get("/api/requests", sessions=session_id, limit=TURNS)
    except ApiTrouble as problem:
        return [("Turns", str(problem))]
    told = [_turn(request) for request in reversed(several(Request, items(found)))]
    return [("", ""), ("Turns", "\n".join(told))] if told else []


def _turn(request: Request) -> str:
    status = NONE if request.status_code is None else str(request.status_code)
    took = NONE if request.response_time_ms is None else brief(request.response_time_ms / 1000)
    began = NONE if request.timestamp is None else f"{datetime.fromtimestamp(request.timestamp):%H:%M:%S}"
    spent = NONE if request.total_tokens is None else tokens(request.total_tokens)
    return f"{began}  {plain(request.model):24.24} {status:>4} {spent:>7} {cost(request.cost_usd):>9} {took:>6}"


def _when(moment: float | None) -> str:
    return "" if moment is None else f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M:%S}"


def _present(*lines: tuple[str, str]) -> list[tuple[str, Any]]:
    return [(name, plain(words)) for name, words in lines if words]
