"""What is under way, what ended last, and why each of it went where it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from codemie_core.admin import cursor as cursors
from codemie_core.admin import reasons
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import NotFound
from codemie_core.admin.recent_exchanges import ended_ones, model_of, open_ones, remembered
from codemie_core.admin.request_rows import AttemptView, attempt
from codemie_core.admin.requests import no_such, whole_id
from codemie_core.admin.wire import Wire, iso
from codemie_core.exchange import Attempt, Exchange
from codemie_core.redact import redact_text
from codemie_core.store.requests import Turn, one

if TYPE_CHECKING:
    from sqlalchemy import Connection


class ExchangeView(Wire):
    """One request with all its tries, as this process knows it."""

    id: str
    open: bool
    timestamp: str
    method: str
    host: str
    path: str
    model: str | None = Field(description="The one asked for; only while it is open.")
    agent: str
    api: str
    session_id: str
    conversation_id: str | None
    api_key_name: str | None
    account: str | None
    account_why: str | None = Field(description="Why this account, in a short phrase.")
    status: int | None
    terminal: str | None = Field(description="How it ended; none while it is open.")
    error: str | None
    elapsed_ms: float | None = Field(description="Since the request came; none once it has ended.")
    head_ms: float | None
    first_byte_ms: float | None
    last_byte_ms: float | None
    streamed: bool
    request_bytes: int
    response_bytes: int
    chunks: int
    attempts: list[AttemptView]


class ExchangePage(Wire):
    """Those that are open, and some of those that ended."""

    open: list[ExchangeView]
    items: list[ExchangeView]
    next_cursor: str | None = None


class AccountNow(Wire):
    """An account that could be asked in its place, as it is now."""

    name: str
    state: str
    reason: str | None
    until: str | None


class Why(Wire):
    """The routing and account decision of one exchange."""

    id: str
    lines: list[str] = Field(description="In sentences, in order.")
    agent: str
    host: str
    account: str | None
    account_why: str | None
    attempts: list[AttemptView]
    status: int | None
    terminal: str | None
    remembered: bool = Field(description="False: only the history knows it, and it keeps less.")
    accounts_now: list[AccountNow] = Field(description="All accounts of the pool, as they are now.")


async def exchanges(plane: Plane, limit: int = 50, cursor: str = "") -> ExchangePage:
    """The newest first. The process keeps the last 500 that ended; GET /api/requests goes further back."""
    ended = list(ended_ones(plane))
    if cursor:
        [last] = cursors.decode(cursor, str)
        places = [place for place, exchange in enumerate(ended) if exchange.request_id == last]
        # What it was behind has been forgotten meanwhile, and all that is older with it.
        ended = ended[places[0] + 1 :] if places else []
    shown = ended[:limit]
    following = cursors.encode(shown[-1].request_id) if len(ended) > limit else None
    return ExchangePage(
        open=[view(exchange, model_of(plane, exchange)) for exchange in open_ones(plane)],
        items=[view(exchange) for exchange in shown],
        next_cursor=following,
    )


async def exchange(plane: Plane, request_id: str) -> ExchangeView:
    """One of them. NotFound when this process does not know it."""
    found = remembered(plane, request_id)
    if found is None:
        raise NotFound(f"This process does not remember {request_id[:80]!r}; try GET /api/requests/{{id}}.")
    return view(found, model_of(plane, found))


async def why(plane: Plane, request_id: str) -> Why:
    """Of an exchange that this process knows, else of a turn of the history; the start of its id will do there."""
    found = remembered(plane, request_id)
    if found is not None:
        return _of_exchange(plane, found)

    def stored(connection: Connection) -> Turn:
        turn = one(connection, whole_id(connection, request_id))
        if turn is None:
            raise no_such(request_id)
        return turn

    turn = await plane.read(stored)
    found = remembered(plane, turn.row["id"])
    return _of_exchange(plane, found) if found is not None else _of_turn(plane, turn)


def view(exchange: Exchange, model: str = "") -> ExchangeView:
    """For the API."""
    return ExchangeView(
        id=exchange.request_id,
        open=exchange.open,
        timestamp=iso(exchange.started_at * 1000) or "",
        method=exchange.method,
        host=exchange.host,
        path=exchange.path,
        model=model or None,
        agent=exchange.agent.name,
        api=str(exchange.api),
        session_id=exchange.session_id,
        conversation_id=exchange.conversation_id,
        api_key_name=exchange.client_key or None,
        account=exchange.account or None,
        account_why=exchange.account_why or None,
        status=exchange.status,
        terminal=None if exchange.terminal is None else str(exchange.terminal),
        error=redact_text(exchange.error) if exchange.error else None,
        elapsed_ms=exchange.elapsed_ms() if exchange.open else None,
        head_ms=exchange.head_ms,
        first_byte_ms=exchange.first_byte_ms,
        last_byte_ms=exchange.last_byte_ms,
        streamed=exchange.streamed,
        request_bytes=exchange.request_bytes,
        response_bytes=exchange.response_bytes,
        chunks=exchange.chunks,
        attempts=[_attempt(each) for each in exchange.attempts],
    )


def accounts_now(plane: Plane) -> list[AccountNow]:
    """As the pool has them."""
    pool = plane.pool
    found = []
    for account in pool.accounts if pool is not None else ():
        status = pool.status(account.id) if pool is not None else None
        if status is not None:
            until = iso(status.until * 1000) if status.until is not None else None
            found.append(AccountNow(name=account.name, state=status.state, reason=status.reason or None, until=until))
    return found


def _attempt(each: Attempt) -> AttemptView:
    failure = each.failure
    return AttemptView(
        n=each.number,
        account=each.account or None,
        host=each.host,
        status=each.status,
        reason=str(failure.reason) if failure is not None else None,
        detail=redact_text(failure.detail) if failure is not None and failure.detail else None,
        head_ms=each.head_ms,
        ended_ms=each.ended_ms,
    )


def _of_exchange(plane: Plane, found: Exchange) -> Why:
    seen = view(found)
    return Why(
        id=seen.id,
        lines=reasons.of_exchange(found),
        agent=seen.agent,
        host=seen.host,
        account=seen.account,
        account_why=seen.account_why,
        attempts=seen.attempts,
        status=seen.status,
        terminal=seen.terminal,
        remembered=True,
        accounts_now=accounts_now(plane),
    )


def _of_turn(plane: Plane, turn: Turn) -> Why:
    row = turn.row
    return Why(
        id=row["id"],
        lines=reasons.of_turn(turn),
        agent=row["agent"],
        host=row["host"],
        account=row["account"] or None,
        account_why=None,
        attempts=[attempt(each) for each in turn.attempts],
        status=row["status"],
        terminal=row["terminal"],
        remembered=False,
        accounts_now=accounts_now(plane),
    )
