"""The window of a sign-in: where to go with a browser, and where the code is typed that it shows."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from codemie_core.top.shapes import SignIn

_COPIED = "Open this in a browser (it is in the clipboard, too, where your terminal allows that):"


class SignInForm(ModalScreen[str]):
    """The code; "" when somebody thought better of it, or when the browser's answer has come by itself."""

    DEFAULT_CSS = """
    SignInForm { align: center middle; }
    SignInForm > .window { width: 100%; height: auto; max-height: 100%; background: $surface; }
    SignInForm > .window { border-top: solid $accent; border-bottom: solid $accent; }
    SignInForm .url { margin: 1 0; }
    SignInForm Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss('')", "Back")]

    def __init__(self, begun: SignIn) -> None:
        super().__init__()
        self._begun = begun
        self.said = ""
        """What became of it, when the browser's answer came by itself."""

    def compose(self) -> ComposeResult:
        """No frame at the sides: a URL of several lines is to be copied as it stands."""
        with Vertical(classes="window") as window:
            window.border_title = "Sign in"
            window.border_subtitle = "Esc gives up"
            yield Static(_COPIED, markup=False)
            yield Static(self._begun.auth_url, markup=False, classes="url")
            yield Static(self._begun.how_to_end, markup=False)
            yield Input(placeholder="the code, or the whole address", compact=True, id="code")

    def on_mount(self) -> None:
        """Ready to be pasted into."""
        self.app.copy_to_clipboard(self._begun.auth_url)
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _done(self, event: Input.Submitted) -> None:
        if code := event.value.strip():
            self.dismiss(code)
