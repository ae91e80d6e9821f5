"""Accounts, sessions and requests as rows of a table that is 80 columns wide, or wider.

Cells are `Text`, so that a name in which somebody wrote markup or an escape sequence is shown and not obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from codemie_core.amounts import NONE, money, plain, tokens
from codemie_core.top.board import Board, Turn
from codemie_core.top.shapes import Account, Session
from codemie_core.usage.cost import NANO

STREAMS = ("first_token", "progress")


@dataclass(frozen=True, slots=True)
class Column:
    """`width` in characters; 0 takes what the others leave. Figures stand at the right."""

    title: str
    width: int
    right: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """`key` is the id of what it shows."""

    key: str
    cells: Sequence[Text]


ACCOUNTS = (
    Column("Account", 0),
    Column("Provider", 10),
    Column("State", 31),
    Column("Used", 5, right=True),
    Column("Prio", 4, right=True),
    Column("Requests", 8, right=True),
)
SESSIONS = (
    Column("Last", 8),
    Column("Agent", 12),
    Column("Project", 0),
    Column("Model", 17),
    Column("Turns", 5, right=True),
    Column("Tokens", 6, right=True),
    Column("Cost", 8, right=True),
)
REQUESTS = (
    Column("Began", 8),
    Column("Model", 0),
    Column("Agent", 11),
    Column("Account", 9),
    Column("Status", 9),
    Column("Tokens", 6, right=True),
    Column("Cost", 7, right=True),
    Column("Took", 5, right=True),
)

_DAY = re.compile(r"-20\d{2}-?\d{2}-?\d{2}$")
_STATE_STYLES = {"ready": "green", "in use": "green", "paused": "dim", "sign in again": "red"}


def account_rows(board: Board, now: float) -> list[Row]:
    """Those that go first, first."""
    ordered = sorted(board.accounts, key=lambda account: (account.priority, account.name))
    return [
        Row(
            account.id,
            (
                shown(account.name),
                shown(account.provider),
                account_state(account, now),
                Text(NONE if account.usage_utilization is None else f"{account.usage_utilization:.0%}"),
                Text(str(account.priority)),
                Text(f"{account.request_count:,}"),
            ),
        )
        for account in ordered
    ]


def session_rows(board: Board, now: float) -> list[Row]:
    """The one used last first; those with an open request are marked."""
    at_it = {turn.request.session_id for turn in board.turns if turn.open}
    return [_session_row(session, session.id in at_it, now) for session in board.sessions]


def request_rows(board: Board, now: float) -> list[Row]:
    """The newest first."""
    return [_request_row(turn, now) for turn in board.turns]


def account_state(account: Account, now: float) -> Text:
    """Like `ready`, `limited, 12 min left` or `paused: holidays`."""
    words, style = account.state_in_words or account.state, _STATE_STYLES.get(account.state, "yellow")
    if account.state in ("limited", "guessed") and account.until is not None and account.until > now:
        words = f"limited, {left(account.until - now)} left"
    return Text(plain(words), style)


def status(turn: Turn, now: float) -> Text:
    """Like `200`, `429 2x` after another attempt, `waiting` or `streaming`."""
    request = turn.request
    if turn.open:
        return Text("streaming" if turn.state in STREAMS else "waiting", "cyan")
    again = f" {request.failover_attempts + 1}x" if request.failover_attempts else ""
    if request.status_code is None:
        return Text(f"{'ok' if request.success else 'failed'}{again}", "green" if request.success else "red")
    good = request.success if request.success is not None else request.status_code < 400
    # A stream can break off behind a 200.
    return Text(
        f"{request.status_code}{again}{'' if good or request.status_code >= 400 else ' broke'}",
        "green" if good else "red",
    )


def took(turn: Turn, now: float) -> str:
    """How long it took; of an open one, how long it has been at it."""
    ms = turn.request.response_time_ms
    if turn.open and turn.request.timestamp is not None:
        ms = max(0.0, now - turn.request.timestamp) * 1000
    return NONE if ms is None else brief(ms / 1000)


def brief(seconds: float) -> str:
    """In five characters: 0.8s, 12s, 5m07s, 2h05m."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02}" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02}"


def left(seconds: float) -> str:
    """A countdown: 90 s, 12 min, 3 h 05 min, 2 d 4 h."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return (
        f"{whole // 3600} h {whole % 3600 // 60:02} min"
        if whole < 86_400
        else f"{whole // 86_400} d {whole % 86_400 // 3600} h"
    )


def clock(moment: float | None, now: float) -> str:
    """In eight characters, of this machine's time zone: the time of a moment of today, else its day."""
    if moment is None:
        return NONE
    seen, today = datetime.fromtimestamp(moment), datetime.fromtimestamp(now)
    return f"{seen:%H:%M:%S}" if seen.date() == today.date() else f"{seen:%d %b}"


def cost(usd: float | None) -> str:
    """As the history has it."""
    return money(None if usd is None else round(usd * NANO))


def undated(model: str) -> str:
    """Without the day at its end: where there is room for little, the name matters more."""
    return _DAY.sub("", model)


def shown(text: str, style: str = "") -> Text:
    """A name that somebody else made up."""
    return Text(plain(text), style)


def _session_row(session: Session, at_it: bool, now: float) -> Row:
    style = "bold" if at_it else ""
    last = Text("now", "cyan") if at_it else Text(clock(session.last_used, now))
    return Row(
        session.id,
        (
            last,
            shown(session.agent, style),
            shown(session.project, style),
            shown(undated(session.model), style),
            Text(f"{session.requests:,}"),
            Text(tokens(session.total_tokens)),
            Text(cost(session.cost_usd)),
        ),
    )


def _request_row(turn: Turn, now: float) -> Row:
    request = turn.request
    return Row(
        request.id,
        (
            Text(clock(request.timestamp, now)),
            shown(undated(request.model) or request.path),
            shown(request.agent_used),
            shown(request.account_used),
            status(turn, now),
            Text(NONE if request.total_tokens is None else tokens(request.total_tokens)),
            Text(cost(request.cost_usd)),
            Text(took(turn, now)),
        ),
    )
