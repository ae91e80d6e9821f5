"""The window in which an account is described: what its key is, or that somebody signs in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Select, Static

from codemie_core.top.dialogs import WINDOW
from codemie_core.top.shapes import Provider


@dataclass(frozen=True, slots=True)
class Filled:
    """What was typed. `key` is "" when somebody is to sign in instead, with `sign_in`."""

    provider: str
    name: str
    key: str = ""
    base_url: str = ""
    sign_in: str = ""

    def __repr__(self) -> str:
        return f"Filled({self.provider!r}, {self.name!r})"


class AccountForm(ModalScreen[Filled | None]):
    """None when somebody thought better of it. `before` is what was typed when it was refused, `problem` says why."""

    DEFAULT_CSS = (
        WINDOW % (("AccountForm",) * 4)
        + """
    AccountForm Grid { grid-size: 2; grid-columns: 10 1fr; grid-rows: auto; height: auto; }
    AccountForm #problem { color: $text-error; display: none; height: auto; }
    AccountForm #problem.some { display: block; }
    AccountForm #hint { color: $text-muted; height: auto; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back"),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, providers: Sequence[Provider], before: Filled | None = None, problem: str = "") -> None:
        super().__init__()
        self._providers: Mapping[str, Provider] = {provider.name: provider for provider in providers}
        self._before = before or Filled(next(iter(self._providers), ""), "")
        self._problem = problem

    def compose(self) -> ComposeResult:
        """A line for each thing to know."""
        named = [(provider.label or provider.name, provider.name) for provider in self._providers.values()]
        with Vertical(classes="window") as window:
            window.border_title = "Add an account"
            yield Static(self._problem, id="problem", markup=False, classes="some" if self._problem else "")
            with Grid():
                yield Label("Provider")
                yield Select(named, value=self._before.provider, allow_blank=False, compact=True, id="provider")
                yield Label("Name")
                yield Input(self._before.name, placeholder="as in work-1", compact=True, id="name")
                yield Label("API key")
                yield Input(password=True, placeholder="empty: sign in instead", compact=True, id="key")
                yield Label("Base URL")
                yield Input(self._before.base_url, compact=True, id="url")
            yield Static(id="hint", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Add", id="add", variant="primary", compact=True)
                yield Button("Back", id="back", compact=True)

    def on_mount(self) -> None:
        """The name comes first; of the provider there is one already."""
        self.query_one("#name", Input).focus()
        self._tell()

    @on(Select.Changed)
    def _tell(self) -> None:
        chosen = self._chosen
        url = self.query_one("#url", Input)
        url.placeholder = chosen.base_url if chosen and chosen.base_url else "https://host[:port][/path]"
        key = self.query_one("#key", Input)
        key.placeholder = "empty: sign in instead" if chosen and chosen.sign_in else ""
        self.query_one("#hint", Static).update(
            "The key goes to the proxy on this machine, which seals it into its vault. "
            "Use accounts of your own, as your provider's terms allow."
        )

    @on(Input.Submitted)
    @on(Button.Pressed, "#add")
    def _add(self) -> None:
        chosen = self._chosen
        filled = Filled(
            chosen.name if chosen else "",
            self.query_one("#name", Input).value.strip(),
            self.query_one("#key", Input).value.strip(),
            self.query_one("#url", Input).value.strip(),
            chosen.sign_in if chosen else "",
        )
        if problem := self._missing(filled):
            told = self.query_one("#problem", Static)
            told.update(problem)
            told.add_class("some")
        else:
            self.dismiss(filled)

    @on(Button.Pressed, "#back")
    def _back(self) -> None:
        self.dismiss(None)

    @property
    def _chosen(self) -> Provider | None:
        return self._providers.get(str(self.query_one("#provider", Select).value))

    def _missing(self, filled: Filled) -> str:
        chosen = self._chosen
        if not filled.name:
            return "Give it a name."
        if not filled.key and not filled.sign_in:
            return "Its API key is missing."
        if not filled.key and chosen and chosen.missing:
            return f"Its API key is missing. To sign in instead: {chosen.missing}"
        if filled.key and chosen and chosen.needs_base_url and not filled.base_url:
            return "Its base URL is missing: this provider is somewhere else for everybody."
        return ""
