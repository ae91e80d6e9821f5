"""What happens now: requests and words of the proxy, as server-sent events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from codemie_core.admin.log_ring import ENTRIES, LogEntry, matching
from codemie_core.admin.plane import Plane
from codemie_core.admin.streams import MEDIA_TYPE, EventStream, live_stream, log_stream

type Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]
type Least = Annotated[Level | None, Query(description="Leave out what is less serious.")]
type Search = Annotated[str, Query(max_length=200, description="Leave out what does not hold this, in any case.")]

_TOO_MANY = {"description": "All 64 places are taken; Retry-After says when to come again."}
_REQUESTS = """\
First `event: connected`, then one `data:` line of JSON for each thing that happens: `{"type": "start", ...}` when a
request goes out (at once for those already under way), `first_token`, `progress` (once a second at most), and
`{"type": "summary", "payload": {...}}` when it has ended; a model turn gets a second summary, with `"counted": true`,
tokens and cost. Put each in the place of the row with the same id. A comment comes every 15 seconds when nothing else
does. `event: dropped` ends the stream of whoever lags 256 events behind: connect again."""
_LOGS = """\
First `{"connected": true}`, then one `data:` line of JSON for each entry, as in the history. A comment comes every 15
seconds when nothing else does. `event: dropped` ends the stream of whoever lags 256 entries behind."""


def router(plane: Plane) -> APIRouter:
    """The paths of the live view."""
    routes = APIRouter(tags=["live"])

    @routes.get(
        "/api/requests/stream",
        summary="Requests as they happen",
        description=_REQUESTS,
        response_class=EventStream,
        response_model=None,
        status_code=200,
        responses={200: _stream("What happens to requests."), 503: _TOO_MANY},
    )
    async def requests_stream() -> EventStream[Any]:
        return live_stream(plane.hub.subscribe())

    @routes.get(
        "/api/logs/stream",
        summary="The log as it is written",
        description=_LOGS,
        response_class=EventStream,
        response_model=None,
        status_code=200,
        responses={200: _stream("What the proxy says."), 503: _TOO_MANY},
    )
    async def logs_stream(level: Least = None, search: Search = "") -> EventStream[Any]:
        return log_stream(plane.logs.subscribe(), matching(level or "", search))

    @routes.get("/api/logs/history", summary="The newest entries of the log, oldest first")
    async def logs_history(
        level: Least = None, search: Search = "", limit: Annotated[int, Query(ge=1, le=ENTRIES)] = ENTRIES
    ) -> list[LogEntry]:
        wanted = matching(level or "", search)
        return [entry for entry in plane.logs.history() if wanted(entry)][-limit:]

    return routes


def _stream(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}
