"""The numbers of all time, at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from codemie_core.admin.counted import all_tokens, success_rate
from codemie_core.admin.plane import Plane
from codemie_core.admin.wire import Wire, percent, usd
from codemie_core.redact import redact_text
from codemie_core.store.breakdown import Breakdown
from codemie_core.store.filters import Filter
from codemie_core.store.requests import page

if TYPE_CHECKING:
    from sqlalchemy import Connection

TOP = 10
ERRORS = 10


class ModelShare(Wire):
    """A model, by how often it served."""

    model: str
    count: int
    percentage: float = Field(description="Of all requests, 0 to 100.")


class AccountShare(Wire):
    """An account, by how often it served. Requests without one are "no_account"."""

    name: str
    request_count: int
    success_rate: float = Field(description="0 to 100.")
    total_requests: int


class Stats(Wire):
    """All time."""

    total_requests: int
    success_rate: int = Field(description="A whole number, 0 to 100.")
    active_accounts: int = Field(description="Accounts that have served anything.")
    avg_response_time: float = Field(description="Milliseconds.")
    total_tokens: int
    total_cost_usd: float
    avg_tokens_per_second: float | None
    top_models: list[ModelShare]
    accounts: list[AccountShare]
    recent_errors: list[str] = Field(description="What went wrong last, newest first, without secrets.")


async def stats(plane: Plane) -> Stats:
    """Of everything the history holds."""
    return await plane.read(_asked)


def _asked(connection: Connection) -> Stats:
    found = Breakdown(connection, dimensions=("model", "account"))
    whole, models, accounts = found.whole(), found.by_name("model"), found.by_name("account")
    figures = whole.figures
    return Stats(
        total_requests=figures.requests,
        success_rate=round(success_rate(figures)),
        active_accounts=sum(1 for name in accounts if name),
        avg_response_time=whole.average_ms or 0.0,
        total_tokens=all_tokens(figures),
        total_cost_usd=usd(figures.cost_nano_usd) or 0.0,
        avg_tokens_per_second=figures.tokens_per_second,
        top_models=[
            ModelShare(
                model=name,
                count=one.figures.requests,
                percentage=percent(one.figures.requests, figures.requests),
            )
            for name, one in list(models.items())[:TOP]
        ],
        accounts=[
            AccountShare(
                name=name or "no_account",
                request_count=one.figures.requests,
                success_rate=success_rate(one.figures),
                total_requests=one.figures.requests,
            )
            for name, one in accounts.items()
        ],
        recent_errors=recent_errors(connection),
    )


def recent_errors(connection: Connection, asked: Filter | None = None) -> list[str]:
    """The newest, each in a few words."""
    rows = page(connection, asked or Filter(status="error"), limit=ERRORS)
    return [_words(row["status"], row["terminal"], row["error"]) for row in rows]


def _words(status: int | None, terminal: str, error: str) -> str:
    said = redact_text(error) if error else terminal.replace("_", " ")
    return f"{status}: {said}" if status is not None and status >= 400 else said
