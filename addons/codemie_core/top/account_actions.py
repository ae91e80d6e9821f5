"""What somebody does with accounts from the terminal: add, pause, have back."""

from __future__ import annotations

import asyncio
from typing import Any

from textual.app import App

from codemie_core.top.account_form import AccountForm, Filled
from codemie_core.top.board import Board
from codemie_core.top.client import AdminClient, ApiTrouble, part
from codemie_core.top.feed import Feed, items
from codemie_core.top.shapes import Provider, SignIn, SignInProvider, one, several
from codemie_core.top.sign_in_form import SignInForm

ASK_AGAIN = 1.0
"""Seconds between two looks whether the browser's answer has come."""
CHOOSE = "Choose an account first: 1 shows them, the arrow keys go to one."


class AccountActions:
    """Of one proxy. Each says on the screen what became of it; ApiTrouble goes to the caller."""

    def __init__(self, app: App[Any], board: Board, client: AdminClient, feed: Feed) -> None:
        self._app, self._board, self._client, self._feed = app, board, client, feed

    async def pause_or_resume(self, account_id: str) -> None:
        """The other of the two."""
        account = self._board.account(account_id)
        if account is None:
            self._app.notify(CHOOSE, severity="warning")
            return
        await self._change(account.id, "resume" if account.paused else "pause")

    async def end_rest(self, account_id: str) -> None:
        """It is tried again at once, whatever its provider said."""
        if self._board.account(account_id) is None:
            self._app.notify(CHOOSE, severity="warning")
            return
        await self._change(account_id, "force-reset-rate-limit")

    async def add(self) -> None:
        """Ask until it is added, or not wanted any more."""
        providers = await self._providers()
        filled: Filled | None = None
        problem = ""
        while filled := await self._app.push_screen_wait(AccountForm(providers, filled, problem)):
            try:
                said = await (self._add_key(filled) if filled.key else self._sign_in(filled))
            except ApiTrouble as trouble:
                problem = str(trouble)
                continue
            if said:
                self._app.notify(said, markup=False)
            break
        await self._feed.accounts()

    async def _providers(self) -> list[Provider]:
        signing = several(SignInProvider, items(await self._client.get("/api/oauth/providers")))
        # Of several ways to the same API the one named like it is the usual one.
        ways = {way.provider: way for way in sorted(signing, key=lambda way: way.name == way.provider)}
        found = several(Provider, items(await self._client.get("/api/accounts/providers")))
        return [_with_way(provider, ways.get(provider.name)) for provider in found]

    async def _add_key(self, filled: Filled) -> str:
        body = {"name": filled.name, "provider": filled.provider, "apiKey": filled.key}
        return _message(await self._client.post("/api/accounts", body | _url(filled)), f"Added {filled.name}.")

    async def _sign_in(self, filled: Filled) -> str:
        body = {"name": filled.name, "provider": filled.sign_in}
        begun = one(SignIn, await self._client.post("/api/oauth/init", body))
        if begun is None:
            raise ApiTrouble("The proxy's answer about the sign-in cannot be understood.")
        form = SignInForm(begun)
        waiting = asyncio.get_running_loop().create_task(self._comes_back(begun, form)) if begun.comes_back else None
        try:
            code = await self._app.push_screen_wait(form)
        finally:
            if waiting is not None:
                waiting.cancel()
        if not code:
            return form.said
        body = {"sessionId": begun.session_id, "code": code}
        return _message(await self._client.post("/api/oauth/callback", body), f"Signed in as {filled.name}.")

    async def _comes_back(self, begun: SignIn, form: SignInForm) -> None:
        while True:
            await asyncio.sleep(ASK_AGAIN)
            try:
                found = await self._client.get(f"/api/oauth/sessions/{part(begun.session_id)}")
            except ApiTrouble:
                continue  # The next look may find it.
            if isinstance(found, dict) and found.get("state") != "waiting":
                form.said = _message(found, "The sign-in is over.")
                form.dismiss("")
                return

    async def _change(self, account_id: str, what: str) -> None:
        said = await self._client.post(f"/api/accounts/{part(account_id)}/{what}")
        self._app.notify(_message(said, "Done."), markup=False)
        await self._feed.accounts()


def _url(filled: Filled) -> dict[str, str]:
    return {"baseUrl": filled.base_url} if filled.base_url else {}


def _with_way(provider: Provider, way: SignInProvider | None) -> Provider:
    return provider.model_copy(update={"sign_in": way.name, "missing": way.missing}) if way else provider


def _message(answer: object, otherwise: str) -> str:
    """What was done, what follows from it, and what is odd about it."""
    if not isinstance(answer, dict):
        return otherwise
    hints = answer.get("hints")
    more = [answer.get("notice"), *(hints if isinstance(hints, list) else ())]
    return "\n".join(str(each) for each in (answer.get("message") or otherwise, *more) if each)
