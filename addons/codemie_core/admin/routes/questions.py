"""What routes that read are asked with: which turns, how many, and where the list goes on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from codemie_core.admin.asked import Asked, Outcome, Range, names_in
from codemie_core.admin.cursor import LONGEST

NAMES = 4_000
_LATEST = 2**53

type Responses = dict[int | str, dict[str, Any]]
"""Answers that are documented beside the good one."""
type Names = Annotated[str | None, Query(max_length=NAMES, description="Names with commas; none: turns without one.")]
type Moment = Annotated[int | None, Query(ge=0, le=_LATEST, description="Milliseconds since 1970.")]
type Cursor = Annotated[str, Query(max_length=LONGEST, description="From the answer before; empty for the first.")]
type Limit = Annotated[int, Query(ge=1, le=1000)]


def _asked(
    accounts: Annotated[str | None, Query(max_length=NAMES, description="no_account: turns without one.")] = None,
    models: Names = None,
    agents: Names = None,
    sessions: Names = None,
    projects: Names = None,
    branches: Names = None,
    api_keys: Annotated[str | None, Query(alias="apiKeys", max_length=NAMES, description="Of clients.")] = None,
    status: Annotated[Outcome, Query()] = "all",
    since: Moment = None,
    until: Moment = None,
    span: Annotated[Range | None, Query(alias="range", description="Until now; since and until do not count.")] = None,
) -> Asked:
    return Asked(
        range=span or "",
        since=since,
        until=until,
        accounts=names_in(accounts),
        models=names_in(models),
        agents=names_in(agents),
        sessions=names_in(sessions),
        projects=names_in(projects),
        branches=names_in(branches),
        api_keys=names_in(api_keys),
        status=status,
    )


type Selection = Annotated[Asked, Depends(_asked)]
"""Which turns."""


def link_next(request: Request, response: Response, following: str | None) -> None:
    """For lists that are bare arrays: where they go on is in the Link header (RFC 8288)."""
    if following is not None:
        url = request.url.include_query_params(cursor=following)
        response.headers["link"] = f'<{url.path}?{url.query}>; rel="next"'
