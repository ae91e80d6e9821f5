"""One session: what it cost turn by turn, which tools it called, which files it changed."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from nicegui import ui

from codemie_core.admin.pages.format import dollars, ending, moment, several
from codemie_core.admin.pages.layout import (
    badge,
    box,
    empty,
    heading,
    panel,
    refreshing,
    say,
    text,
)
from codemie_core.admin.pages.naming import agent_title, color_of
from codemie_core.admin.pages.widgets import Chart, Column, Kind, Line, Row, Table, Told, legend, shares
from codemie_core.admin.problems import NotFound
from codemie_core.admin.recent_exchanges import open_ones
from codemie_core.admin.request_rows import RequestSummary
from codemie_core.admin.sessions import SessionDetail, account_of, session, turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from codemie_core.admin.plane import Plane

REFRESH = 3.0
PAGE = 200
CARDS: tuple[tuple[str, Kind, Callable[[SessionDetail], float | None]], ...] = (
    ("Turns", "count", lambda one: one.requests),
    ("Cost", "money", lambda one: one.cost_usd),
    ("Tokens", "tokens", lambda one: one.total_tokens),
    ("Cache hits", "percent", lambda one: one.cache_hit_rate),
    ("Average turn", "ms", lambda one: one.avg_response_time),
    ("Lasted", "ms", lambda one: one.duration_ms),
)
PARTS = (
    ("read from the cache", "cache_read_input_tokens", "c1"),
    ("written to the cache", "cache_creation_input_tokens", "c2"),
    ("fresh input", "input_tokens", "c3"),
    ("output", "output_tokens", "c4"),
)
COLUMNS = (
    Column("n", "Turn", "count"),
    Column("time", "Time", "time"),
    Column("model", "Model"),
    Column("state", "State", "badge"),
    Column("prompt", "In", "tokens"),
    Column("cached", "Cached", "percent", wide=True),
    Column("output", "Out", "tokens"),
    Column("tools", "Tools", "count", wide=True),
    Column("took", "Took", "ms"),
    Column("account", "Account", wide=True),
    Column("cost", "Cost", "money"),
    Column("sum", "So far", "money", wide=True),
)


class SessionPage:
    """One per viewer."""

    def __init__(self, plane: Plane, session_id: str) -> None:
        self._plane, self._id = plane, session_id
        self._turns: list[RequestSummary] = []
        self._cursor = ""
        self._place = box("cm-stack cm-wholly")
        self._is_there: bool | None = None

    def _lay_out(self, found: SessionDetail) -> None:
        agent = agent_title(found.agent)
        with heading(found.project or found.repository or "Session", agent):
            self._live = badge("live", "live")
            text("All sessions", "cm-button", "a").props["href"] = "/sessions"
        with box("cm-row cm-session-facts"):
            for branch in found.branches:
                text(branch, "cm-tag cm-mono", "span").props["title"] = "branch"
            if found.repository:
                text(found.repository, "cm-muted", "span")
            text(found.id, "cm-faint cm-mono cm-wide", "span").props["title"] = "CodeMie's id of this session"
            self._served = text("", "cm-muted", "span")
        with box("cm-cards cm-six"):
            self._cards = {}
            for label, kind, _ in CARDS:
                with box("cm-card cm-card-plain"):
                    text(label, "cm-card-label")
                    self._cards[label] = Told(kind, classes="cm-card-value")
        with box("cm-grid"):
            with panel("Tokens, turn by turn", classes="cm-span-8"):
                self._tokens = Chart("Tokens of each turn by kind", kind="bars", format="tokens", height=200)
                legend([Line(name, (), color) for name, _, color in PARTS])
            with panel("Cost so far", classes="cm-span-4"):
                self._cost = Chart("Cost, added up turn by turn", format="money", height=200)
        with box("cm-grid"):
            with panel("Tools", classes="cm-span-4"):
                self._tools = box("cm-stack")
            with panel("Changed files", classes="cm-span-8 cm-flush"):
                columns = (
                    Column("path", "File", "mono"),
                    Column("language", "Language", wide=True),
                    Column("operations", "Changes", "count"),
                    Column("added", "Added", "count"),
                    Column("removed", "Removed", "count"),
                )
                self._files = Table(
                    "Changed files", columns, sort="operations", down=True, absent="No file was changed."
                )
        with box("cm-grid") as self._shares:
            with panel("Cost by model", classes="cm-span-6"):
                self._models = box("cm-stack")
            with panel("Cost by account", classes="cm-span-6"):
                self._accounts = box("cm-stack")
        self._shares.set_visibility(len(found.models) > 1 or len(found.accounts) > 1)
        with panel("Turns", classes="cm-flush"):
            self._table = Table("Turns", COLUMNS, sort="n", down=True)

    async def show(self) -> None:
        """As it is now."""
        if self._is_there is False:
            return
        try:
            found = await session(self._plane, self._id)
        except NotFound as problem:
            self._is_there = False
            with self._place:
                _absent(problem.detail.partition(": GET")[0])
            return
        if self._is_there is None:
            self._is_there, self._id = True, found.id
            with self._place:
                self._lay_out(found)
        await self._take_turns()
        serving = await account_of(self._plane, self._id)
        running = any(exchange.session_id == self._id for exchange in open_ones(self._plane))
        self._live.set_visibility(running)
        say(
            self._served, f"served by {serving.account}" if serving.account else "served by the client's own credential"
        )
        for label, _, value in CARDS:
            self._cards[label].show(value(found))
        moments = [moment(turn.timestamp) or 0 for turn in self._turns]
        lines = [Line(name, [getattr(turn, of) for turn in self._turns], color) for name, of, color in PARTS]
        sums = list(accumulate(turn.cost_usd or 0.0 for turn in self._turns))
        self._tokens.show(moments, lines)
        self._cost.show(moments, [Line("so far", sums, "c1")])
        self._table.show([_row(n, turn, sums[n]) for n, turn in enumerate(self._turns)])
        self._show_tools(found)
        self._files.show(
            {
                "id": file.path,
                "path": file.path,
                "language": file.language,
                "operations": file.operations,
                "added": file.lines_added,
                "removed": file.lines_removed,
            }
            for file in found.files
        )
        _show_costs(self._models, [(one.name or "unknown", one.cost_usd, one.requests) for one in found.models])
        named = [(one.name or "the client's own", one.cost_usd, one.requests) for one in found.accounts]
        _show_costs(self._accounts, named)

    async def _take_turns(self) -> None:
        """Those that are new; the last page is asked for again, since it may have been cut."""
        known = {turn.id for turn in self._turns}
        while True:
            page = await turns(self._plane, self._id, PAGE, self._cursor)
            self._turns += [turn for turn in page.items if turn.id not in known]
            if page.next_cursor is None:
                return
            self._cursor = page.next_cursor

    def _show_tools(self, found: SessionDetail) -> None:
        self._tools.clear()
        most = max((tool.calls for tool in found.tools), default=1)
        with self._tools:
            if not found.tools:
                text("No tool was called.", "cm-muted")
            with box("cm-shares"):
                for tool in found.tools:
                    text(tool.name, "cm-cut")
                    failed = f", {tool.failed} failed" if tool.failed else ""
                    text(f"{several(tool.calls, 'call')}{failed}", "cm-num cm-muted")
                    with box("cm-bar"):
                        box("").style(f"width: {100 * tool.calls / most:.0f}%")


def _show_costs(place: ui.element, named: list[tuple[str, float, int]]) -> None:
    whole = sum(cost for _, cost, _ in named) or 1
    place.clear()
    with place:
        shares(
            [
                (name, 100 * cost / whole, f"{dollars(cost)} · {several(count, 'turn')}", color_of(name))
                for name, cost, count in named
            ]
        )


def _row(n: int, turn: RequestSummary, so_far: float) -> Row:
    words, mood = ending(turn.terminal, turn.success, turn.status_code)
    if turn.failover_attempts:
        words = f"{words} · {turn.failover_attempts + 1} tries"
    prompt, read = turn.prompt_tokens, turn.cache_read_input_tokens
    return {
        "id": turn.id,
        "href": f"/requests/{turn.id}",
        "n": n + 1,
        "time": moment(turn.timestamp),
        "model": turn.model,
        "state": [words, mood],
        "prompt": prompt,
        "cached": 100 * read / prompt if prompt and read is not None else None,
        "output": turn.output_tokens,
        "tools": turn.tool_calls,
        "took": turn.response_time_ms,
        "account": turn.account_used,
        "cost": turn.cost_usd,
        "sum": so_far,
    }


def _absent(words: str) -> None:
    with heading("Session"):
        text("All sessions", "cm-button", "a").props["href"] = "/sessions"
    with panel():
        empty("There is no such session", f"{words}.")


async def build(plane: Plane, session_id: str) -> None:
    """The page of one."""
    await refreshing(REFRESH, SessionPage(plane, session_id).show)
