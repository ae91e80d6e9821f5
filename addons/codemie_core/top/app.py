"""The screen of `codemie-proxy top`."""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Static

from codemie_core.errors import CodemieError
from codemie_core.top import details, headline, rows
from codemie_core.top.account_actions import AccountActions
from codemie_core.top.attachment import Attachment, Wanted
from codemie_core.top.board import Board
from codemie_core.top.client import AdminClient, ApiTrouble
from codemie_core.top.dialogs import Ask, Details
from codemie_core.top.pane import Pane

QUIT = (("stop", "End it too"), ("keep", "Leave it running"), ("", "Back"))
KEYS = (
    ("Tab", "the next list; arrow keys, Page Up, Page Down, Home and End move in it"),
    ("Enter", "all about the chosen row: why a request went where it went, the turns of a session"),
    ("1 2 3 0", "accounts, sessions or requests alone; all three"),
    ("a", "add an account, by key or by signing in"),
    ("Space", "pause the chosen account, or have it back"),
    ("c", "end the rest of the chosen account: it is tried again at once"),
    ("p", "the next proxy, where several run"),
    ("s", "start a proxy, where none runs any more"),
    ("t", "light or dark colors"),
    ("q", "end this, and the proxy if it was started here"),
)
LIGHT, DARK = "textual-light", "textual-dark"
FRAME = 0.25
"""Seconds between two drawings; a terminal far away gets no more than four a second."""


class Top(App[str]):
    """Ends with what there is to say on the terminal afterwards."""

    TITLE = "codemie-proxy top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; overflow: hidden; }
    #proxy, #figures { height: 1; padding: 0 1; }
    #trouble { display: none; height: auto; max-height: 5; padding: 0 1; color: $text-warning; }
    #trouble.some { display: block; }
    #accounts { height: auto; max-height: 7; }
    #sessions { height: auto; max-height: 6; }
    .-low #accounts, .-low #sessions { max-height: 3; }
    .-high #accounts, .-high #sessions { max-height: 14; }
    #requests { height: 1fr; }
    Screen.alone Pane { display: none; }
    Screen.alone #accounts, Screen.alone #sessions, Screen.alone #requests { max-height: 100%; height: 1fr; }
    Screen.accounts #accounts, Screen.sessions #sessions, Screen.requests #requests { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "Add account"),
        Binding("space", "pause", "Pause/resume", key_display="space"),
        Binding("0", "alone('')", "All", show=False),
        Binding("1", "alone('accounts')", "One list", key_display="0-3"),
        Binding("2", "alone('sessions')", show=False),
        Binding("3", "alone('requests')", show=False),
        Binding("c", "end_rest", "End rest", show=False),
        Binding("p", "next_proxy", "Next proxy", show=False),
        Binding("s", "start_proxy", "Start a proxy", show=False),
        Binding("t", "colors", "Colors", show=False),
        Binding("question_mark", "keys", "Keys", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
    ]

    def __init__(
        self,
        wanted: Wanted,
        connect: Callable[[int, str], AdminClient] = AdminClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-middle"), (36, "-high")]
        # Over a slow line each frame of an animation is one too many.
        self.animation_level = "none"
        self._clock, self._wanted = clock, wanted
        self.board = Board()
        self.attachment = Attachment(wanted, self.board, self._mark, connect)
        self.failure: CodemieError | None = None
        """Why there was nothing to show."""
        self._dirty = True
        self._proxy = Static(id="proxy", markup=False)
        self._figures = Static(id="figures", markup=False)
        self._trouble = Static(id="trouble", markup=False)
        self.panes = (
            Pane("accounts", "Accounts", rows.ACCOUNTS, "None. a adds one; until then your agents' own keys are used."),
            Pane("sessions", "Sessions", rows.SESSIONS, "None in the history yet."),
            Pane("requests", "Requests", rows.REQUESTS, "None yet. Send an agent here: codemie-proxy status"),
        )

    def compose(self) -> ComposeResult:
        """Two lines, three lists, the keys."""
        yield self._proxy
        yield self._figures
        yield self._trouble
        yield from self.panes
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Begin to look."""
        self.panes[-1].table.focus()
        self.set_interval(FRAME, self._draw_if_changed)
        self.set_interval(1.0, self._mark)
        self.run_worker(self._watch(), name="watch", exit_on_error=True)

    async def _watch(self) -> None:
        try:
            await self.attachment.run()
        except CodemieError as problem:
            self.failure = problem
            self.exit(return_code=1)

    def _fatal_error(self) -> None:
        # Textual's own prints the variables of all functions, too: one of them is the token, another a key.
        self._exit_renderables.append(Text(traceback.format_exc()))
        self._close_messages_no_wait()

    def _mark(self) -> None:
        self._dirty = True

    def _draw_if_changed(self) -> None:
        if self._dirty:
            self._dirty = False
            self.draw()

    def draw(self) -> None:
        """All that is known by now."""
        now, width = self._clock(), self.size.width - 2
        attachment, board = self.attachment, self.board
        entry, feed = attachment.entry, attachment.feed
        if entry is None:
            self._proxy.update(attachment.told.partition("\n")[0])
        else:
            live = feed is not None and feed.live
            line = headline.proxy_line(entry, attachment.is_own, attachment.others, live, width, now)
            self._proxy.update(line)
        self._figures.update(headline.figures_line(board, width))
        trouble = attachment.told if feed is None and entry is not None else feed.trouble if feed is not None else ""
        self._trouble.update(trouble)
        self._trouble.set_class(bool(trouble), "some")
        made = (rows.account_rows, rows.session_rows, rows.request_rows)
        for pane, rows_of in zip(self.panes, made, strict=True):
            pane.show(rows_of(board, now))

    @property
    def pane(self) -> Pane:
        """The one that has the keyboard."""
        return next((pane for pane in self.panes if pane.has_focus_within), self.panes[-1])

    def action_alone(self, name: str) -> None:
        """One list over the whole height, or all three."""
        screen = self.screen
        screen.remove_class("accounts", "sessions", "requests")
        screen.set_class(bool(name), "alone")
        if name:
            screen.add_class(name)
            self.query_one(f"#{name}", Pane).table.focus()

    def action_colors(self) -> None:
        """For light terminals, or for dark ones again."""
        self.theme = DARK if self.theme == LIGHT else LIGHT

    def action_keys(self) -> None:
        """What can be done here."""
        self.push_screen(Details("Keys", KEYS))

    def action_add(self) -> None:
        """Another account, with a key or a sign-in."""
        self._act(lambda actions: actions.add())

    def action_pause(self) -> None:
        """Pause the chosen account, or have it back."""
        self._act(lambda actions: actions.pause_or_resume(self._chosen_account))

    def action_end_rest(self) -> None:
        """Have the chosen account tried again at once."""
        self._act(lambda actions: actions.end_rest(self._chosen_account))

    def action_next_proxy(self) -> None:
        """Another of those that run."""
        self.attachment.next()

    def action_start_proxy(self) -> None:
        """When none runs any more."""
        self.attachment.start_one()

    def end(self) -> str:
        """After all is drawn: what becomes of a proxy that was started here, and a word about it."""
        own = self.attachment.own
        if own is None or not own.runs:
            return ""
        own.stop()
        return f"The proxy goes on, process {own.pid}. To end it: kill {own.pid}" if own.kept else ""

    async def action_quit(self) -> None:
        """End; with a proxy that was started here and that agents use, only when that is meant."""
        own, entry = self.attachment.own, self.attachment.entry
        used = entry is not None and self.board.since(entry.started_at)
        if own is None or not own.runs or own.kept or not used:
            self.exit()
            return
        using = f"{self.board.open} requests are open." if self.board.open else "Agents have used it."
        words = f"The proxy was started here and ends with this. {using}"
        self.push_screen(Ask("Quit", words, QUIT), self._quit)

    def on_data_table_row_selected(self, _: DataTable.RowSelected) -> None:
        """Enter, or a click on the row under the cursor: all about it."""
        board, key = self.board, self.pane.chosen
        match self.pane.id:
            case "accounts" if account := board.account(key):
                self._details(f"Account {account.name}", details.of_account(account))
            case "sessions" if session := board.session(key):
                self._details("Session", details.of_session(session), lambda client: details.turns(client, key))
            case "requests" if turn := board.turn(key):
                self._details("Request", details.of_turn(turn), lambda client: details.why(client, key))

    def _details(
        self, title: str, lines: details.Lines, more: Callable[[AdminClient], Awaitable[details.Lines]] | None = None
    ) -> None:
        window = Details(title, lines)
        self.push_screen(window)
        client = self.attachment.client
        if more is not None and client is not None:
            self.run_worker(self._more(window, lines, more(client)), exit_on_error=False)

    async def _more(self, window: Details, lines: details.Lines, asked: Awaitable[details.Lines]) -> None:
        found = await asked
        if window.is_attached:
            window.tell([*lines, *found])

    def _quit(self, answer: str | None) -> None:
        own = self.attachment.own
        if answer == "keep" and own is not None:
            own.keep()
        if answer:
            self.exit()

    @property
    def _chosen_account(self) -> str:
        """Only where it can be seen to be chosen."""
        return self.panes[0].chosen if self.pane is self.panes[0] else ""

    def _act(self, action: Callable[[AccountActions], Awaitable[None]]) -> None:
        client, feed = self.attachment.client, self.attachment.feed
        if client is None or feed is None:
            self.notify("No proxy answers just now.", severity="warning")
        else:
            self.run_worker(
                self._acted(action(AccountActions(self, self.board, client, feed))), group="act", exclusive=True
            )

    async def _acted(self, action: Awaitable[None]) -> None:
        try:
            await action
        except ApiTrouble as problem:
            self.notify(str(problem), severity="error", markup=False)
