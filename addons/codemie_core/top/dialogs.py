"""Small windows over the tables: a question, and all there is to know about one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

WINDOW = """
    %s { align: center middle; }
    %s > .window {
        width: 90%%; max-width: 100; height: auto; max-height: 90%%;
        border: round $accent; background: $surface; padding: 0 1;
    }
    %s .buttons { height: auto; padding-top: 1; }
    %s Button { margin-right: 2; }
"""
"""The look that all of them have; for the name of a class, four times."""

BACK = "back"


class Ask(ModalScreen[str]):
    """A question with a few answers: the id of the one that was given, "" for none."""

    DEFAULT_CSS = WINDOW % (("Ask",) * 4)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "Back"),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, words: str, answers: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._words, self._answers = title, words, answers

    def compose(self) -> ComposeResult:
        """The question, and a button for each answer."""
        with Vertical(classes="window") as window:
            window.border_title = self._title
            yield Static(self._words, markup=False)
            with Horizontal(classes="buttons"):
                for key, label in self._answers:
                    yield Button(label, id=key or BACK, compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """That one it is."""
        self.dismiss("" if event.button.id == BACK else event.button.id)


class Details(ModalScreen[None]):
    """Names and what they stand for; to be left with Escape, Enter or q."""

    DEFAULT_CSS = WINDOW % (("Details",) * 4)
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss", "Back")]

    def __init__(self, title: str, lines: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._lines = title, lines
        self._body = Static(markup=False)

    def compose(self) -> ComposeResult:
        """All of it, to be scrolled."""
        with VerticalScroll(classes="window") as window:
            window.border_title = self._title
            window.border_subtitle = "Esc goes back"
            yield self._body

    def on_mount(self) -> None:
        """Write what is known from the start."""
        self.tell(self._lines)

    def tell(self, lines: Sequence[tuple[str, str]]) -> None:
        """What is known by now."""
        self._lines = lines
        width = max((len(name) for name, _ in lines), default=0)
        body = Text()
        for name, words in lines:
            for n, line in enumerate(words.splitlines() or [""]):
                body.append(f"{name if n == 0 else '':{width}}  ", "bold" if n == 0 else "").append(f"{line}\n")
        self._body.update(body)
