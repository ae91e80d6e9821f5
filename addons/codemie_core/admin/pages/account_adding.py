"""Adding an account: with a key, or by signing in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from nicegui import ui
from pydantic import SecretStr, ValidationError

from codemie_core.admin.account_adding import NewAccount, add_account, providers
from codemie_core.admin.pages.account_acts import listed, wrong
from codemie_core.admin.pages.layout import box, button, text, toast
from codemie_core.admin.pages.signing_in import SignInForm
from codemie_core.admin.pages.widgets import Choices
from codemie_core.admin.problems import AdminProblem

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

WHO = "dashboard"
WAYS = {"key": "API key", "sign in": "Sign in"}


async def add_dialog(plane: Plane, look: Callable[[], Awaitable[None]]) -> None:
    """Asks for what is needed; closes when the account is there."""
    with ui.dialog() as dialog, box("cm-dialog"):
        text("Add an account", tag="h1")

        async def take(way: str) -> None:
            room.clear()
            with room:
                await (_KeyForm(plane, look, dialog) if way == "key" else SignInForm(plane, look, dialog)).build()

        Choices("How it proves itself", WAYS, "key", take)
        room = box("cm-stack")
        await take("key")
    dialog.on("hide", dialog.delete)
    dialog.open()


class _KeyForm:
    def __init__(self, plane: Plane, look: Callable[[], Awaitable[None]], dialog: ui.dialog) -> None:
        self._plane, self._look, self._dialog = plane, look, dialog

    async def build(self) -> None:
        """Its fields."""
        known = {one.name: one for one in await providers(self._plane)}
        names = {name: one.label for name, one in known.items()}

        def chosen(name: str) -> None:
            self._url.value = known[name].base_url or ""

        first = "anthropic" if "anthropic" in known else next(iter(known))
        with box("cm-form"):
            self._provider = ui.select(
                names, value=first, label="Provider", on_change=lambda event: chosen(event.value)
            ).props("dense outlined options-dense")
            self._name = _field("Name", "How it is called here, like team-main.").props("autofocus")
            self._key = _field("API key", "Sealed in the vault; shown to nobody.", secret=True)
            with ui.expansion("More").classes("cm-more-fields"), box("cm-form"):
                self._url = _field("Base URL", "Its API: the only place the key goes to.")
                with box("cm-two"):
                    self._priority = _field("Priority", "Lower goes first.", "0")
                    self._weight = _field("Weight", "Its share among equals.", "1")
                self._allow = _field("Only these models", "Patterns with commas, like claude-*; none: all.")
                self._fallback = _field("Fallback model", "Asked for when the asked one is nowhere left.")
            with box("cm-dialog-foot"):
                button("Cancel", self._dialog.close)
                button("Add", self._add, "primary")
        chosen(first)

    async def _add(self) -> None:
        try:
            new = NewAccount(
                name=_said(self._name),
                provider=self._provider.value,
                api_key=SecretStr(_said(self._key)),
                base_url=_said(self._url) or None,
                priority=int(_said(self._priority) or 0),
                weight=int(_said(self._weight) or 1),
                allow=listed(_said(self._allow)),
                fallback_model=_said(self._fallback),
            )
        except ValidationError as problem:
            toast(wrong(problem), "bad")
            return
        except ValueError:
            toast("Priority and weight are whole numbers.", "bad")
            return
        try:
            added = await add_account(self._plane, new, WHO)
        except AdminProblem as problem:
            toast(problem.detail, "bad")
            return
        self._dialog.close()
        toast(added.message, "good")
        for hint in added.hints:
            toast(hint)
        await self._look()


def _field(label: str, hint: str, value: str = "", secret: bool = False) -> ui.input:
    made = ui.input(label, value=value, password=secret).props("dense outlined autocomplete=off")
    made.props["hint"] = hint
    return made


def _said(field: ui.input) -> str:
    return (field.value or "").strip()
