"""One request: what it cost, where the time went, why it went where it went, and what was said where that was kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from nicegui import ui

from codemie_core.admin.exchanges import ExchangeView, exchange, why
from codemie_core.admin.pages import request_parts as parts
from codemie_core.admin.pages.format import ending, moment
from codemie_core.admin.pages.layout import View, badge, box, empty, heading, panel, text
from codemie_core.admin.pages.naming import agent_title
from codemie_core.admin.pages.widgets import Choices, Moment
from codemie_core.admin.payload import RequestPayload
from codemie_core.admin.problems import AdminProblem, NotFound, Unavailable
from codemie_core.admin.request_rows import RequestDetail
from codemie_core.admin.requests import payload, request

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

PACE = 1.0
SECTIONS: Mapping[str, str] = {
    "conversation": "Conversation",
    "why": "Why",
    "request": "Request",
    "response": "Response",
    "tools": "Tools",
    "details": "Details",
}


async def build(plane: Plane, request_id: str) -> None:
    """The page. One that is under way is followed until it is counted."""
    room = box("cm-column")
    chosen = ""

    async def show() -> bool:
        """Is it known for good?"""
        nonlocal chosen

        def choose(key: str) -> None:
            nonlocal chosen
            chosen = key

        try:
            found = await request(plane, request_id)
        except NotFound as problem:
            return await _show_open(plane, request_id, room, problem)
        room.clear()
        with room:
            await _show_kept(plane, found, chosen, choose)
        return True

    async def again() -> None:
        if await show():
            following.cancel()

    try:
        known = await show()
    except AdminProblem as problem:
        with room:
            empty("This cannot be shown now", problem.detail)
        return
    if not known:
        following = ui.timer(PACE, again, immediate=False)


async def _show_open(plane: Plane, request_id: str, room: ui.element, problem: NotFound) -> bool:
    try:
        found, told = await exchange(plane, request_id), await why(plane, request_id)
    except NotFound:
        room.clear()
        with room:
            with heading("Request"):
                pass
            with panel():
                empty("There is no such request", problem.detail)
        return True
    room.clear()
    with room:
        _head(agent_title(found.agent), found.timestamp, *_state(found))
        with panel("Why it went where it went"):
            parts.reasons(told.lines)
        with panel("Attempts", classes="cm-flush"):
            parts.attempts(found.attempts)
    # One that is no turn of a model is never counted.
    return not found.open and not found.api


def _state(found: ExchangeView) -> tuple[str, str]:
    if found.open:
        return ("streaming" if found.first_byte_ms is not None else "waiting"), "live"
    return ending(found.terminal or "", found.status is not None and found.status < 400, found.status)


def _head(title: str, timestamp: str, words: str, mood: str) -> None:
    text("All requests", "cm-back", "a").props('href="/requests"')
    with heading(title or "Request"):
        pass
    with box("cm-row cm-under"):
        badge(words, mood)
        Moment(moment(timestamp), "full", classes="cm-muted")


async def _show_kept(plane: Plane, found: RequestDetail, chosen: str, choose: Callable[[str], None]) -> None:
    _head(found.model or found.path, found.timestamp, *ending(found.terminal, found.success, found.status_code))
    parts.figures(found)
    with box("cm-grid"):
        with panel("Where the time went", classes="cm-span-6"):
            parts.timeline(found)
        with panel("Tokens and cost", classes="cm-span-6"):
            parts.costs(found)
    said: RequestPayload | str | None = None
    chosen = chosen or ("conversation" if found.payload_kept else "why")

    async def spoken() -> RequestPayload | str:
        nonlocal said
        if said is None:
            try:
                said = await payload(plane, found.id)
            except (NotFound, Unavailable) as problem:
                said = problem.detail
        return said

    async def take(key: str) -> None:
        choose(key)
        section.clear()
        with section:
            await _section(key, found, spoken)

    with panel():
        with box("cm-tabs-row"):
            Choices("Part of the request", SECTIONS, chosen, take)
        section = box("cm-stack")
    with section:
        await _section(chosen, found, spoken)


async def _section(key: str, found: RequestDetail, spoken: Callable[[], Awaitable[RequestPayload | str]]) -> None:
    match key:
        case "why":
            parts.reasons(found.why)
            parts.attempts(found.attempts)
        case "tools":
            parts.tools(found.tools)
        case "details":
            parts.details(found)
        case _:
            kept = await spoken()
            if isinstance(kept, str):
                empty("What was said was not kept", kept)
            elif key == "conversation":
                parts.conversation(found, kept)
            else:
                parts.message(kept.request if key == "request" else kept.response)


VIEWS = (View("/requests/{request_id}", "requests", "Request", build),)
