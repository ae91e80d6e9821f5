"""Signing in to an account in the browser: to the provider, and back with the answer or with a code to paste."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from nicegui import ui
from pydantic import SecretStr

from codemie_core.admin.oauth import (
    TERMS,
    BeginSignIn,
    EndSignIn,
    SignInBegun,
    begin_sign_in,
    end_sign_in,
    sign_in_providers,
    sign_in_state,
)
from codemie_core.admin.pages.layout import acting, banner, box, button, say, text, toast
from codemie_core.admin.problems import AdminProblem

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

WHO = "dashboard"
PACE = 1.0


async def sign_in_dialog(plane: Plane, look: Callable[[], Awaitable[None]], name: str, provider: str) -> None:
    """For an account that there is."""
    with ui.dialog() as dialog, box("cm-dialog"):
        text(f"Sign in again: {name}", tag="h1")
        form = SignInForm(plane, look, dialog)
        await form.build(name, provider)
    dialog.on("hide", dialog.delete)
    dialog.open()


class SignInForm:
    """Two steps: who with, and then the answer. For a new account, or anew for one that there is."""

    def __init__(self, plane: Plane, look: Callable[[], Awaitable[None]], dialog: ui.dialog) -> None:
        self._plane, self._look, self._dialog = plane, look, dialog
        self._session = ""

    async def build(self, name: str = "", provider: str = "") -> None:
        """The first step."""
        try:
            known = await sign_in_providers(self._plane)
        except AdminProblem as problem:
            text(problem.detail, "cm-banner warn")
            return
        names = {one.name: one.label for one in known}
        chosen = next((one.name for one in known if provider in (one.name, one.provider)), next(iter(names), ""))
        self._missing = {one.name: one.missing for one in known}
        with box("cm-form") as self._form:
            self._terms = banner("")
            self._provider = ui.select(
                names, value=chosen, label="Provider", on_change=lambda event: self._say_missing(event.value)
            ).props("dense outlined options-dense")
            self._to_do = banner("", "bad")
            self._say_missing(chosen)
            self._name = ui.input("Name of the account", value=name).props("dense outlined autocomplete=off")
            if name:
                self._name.disable()
                self._provider.disable()
            with box("cm-dialog-foot"):
                button("Cancel", self._dialog.close)
                button("Go on", self._begin, "primary")

    def _say_missing(self, provider: str) -> None:
        """What its operator has to do before anybody can sign in, and what it is good for."""
        say(self._terms, TERMS.format(provider=provider))
        missing = self._missing.get(provider, "")
        say(self._to_do, missing)
        self._to_do.set_visibility(bool(missing))

    async def _begin(self) -> None:
        asked = BeginSignIn(name=(self._name.value or "").strip(), provider=self._provider.value)
        try:
            begun = await begin_sign_in(self._plane, asked, WHO)
        except AdminProblem as problem:
            toast(problem.detail, "bad")
            return
        self._session = begun.session_id
        self._form.clear()
        with self._form:
            self._second(begun)

    def _second(self, begun: SignInBegun) -> None:
        text("1. Open the provider's page and agree there.")
        link = text("Open the sign-in page", "cm-button primary", "a")
        link.props('target="_blank" rel="noopener noreferrer"').props["href"] = begun.auth_url
        if begun.comes_back:
            text("2. Come back: this goes on by itself.", "cm-muted")
            self._waiting = ui.timer(PACE, self._wait, immediate=False)
        else:
            text(f"2. {begun.how_to_end}")
        code = ui.input("Code, or the whole address you were sent to").props("dense outlined autocomplete=off")

        async def finish() -> None:
            ended = EndSignIn(session_id=self._session, code=SecretStr((code.value or "").strip()))
            if await acting(end_sign_in(self._plane, ended, WHO), "Signed in."):
                await self._ended()

        with box("cm-dialog-foot"):
            button("Cancel", self._dialog.close)
            button("Finish", finish, "primary")

    async def _wait(self) -> None:
        told = await sign_in_state(self._plane, self._session)
        if told.state == "waiting":
            return
        self._waiting.cancel()
        if told.state == "done":
            toast(told.message, "good")
            await self._ended()
        else:
            toast(told.message, "bad")

    async def _ended(self) -> None:
        self._dialog.close()
        await self._look()
