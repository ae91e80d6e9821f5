"""The accounts of the pool: how they are, and all one can do with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nicegui import ui

from codemie_core.admin.accounts import list_accounts
from codemie_core.admin.config import set_strategy, strategies, strategy
from codemie_core.admin.pages.account_acts import Acts
from codemie_core.admin.pages.account_adding import add_dialog
from codemie_core.admin.pages.format import moment, mood_of_account
from codemie_core.admin.pages.layout import View, acting, badge, box, button, empty, heading, panel, refreshing, say
from codemie_core.admin.pages.now import FULL, USABLE
from codemie_core.admin.problems import AdminProblem
from codemie_core.amounts import several

if TYPE_CHECKING:
    from codemie_core.admin.account_info import AccountInfo
    from codemie_core.admin.plane import Plane

SECONDS = 2.0
WHO = "dashboard"
SEARCHED = 6
"""Accounts from which on there is a field to find one."""


class AccountList(ui.element, component="components/accounts.js"):
    """Drawn in the browser, for the countdowns. `act` hears the id and what somebody chose."""

    def __init__(self) -> None:
        super().__init__()
        self._props["accounts"] = []

    def show(self, accounts: list[Mapping[str, object]]) -> None:
        """These are all now."""
        if accounts != self._props["accounts"]:
            self._props["accounts"] = accounts
            self.update()


async def build(plane: Plane) -> None:
    """The page."""
    known: dict[str, AccountInfo] = {}
    sought = ""

    async def add() -> None:
        await add_dialog(plane, look)

    async def act(chosen: Mapping[str, str]) -> None:
        if (account := known.get(chosen["id"])) is not None:
            await acts.do(account, chosen["action"])

    def seek(words: object) -> None:
        nonlocal sought
        sought = str(words or "").strip().lower()
        draw()

    with heading("Accounts"):
        summary = badge("")
        await _strategy(plane)
        button("Add account", add, "primary")
    with box("cm-row") as finder:
        ui.input(placeholder="Find an account", on_change=lambda event: seek(event.value)).props(
            'dense outlined clearable aria-label="Find an account"'
        )
    with panel(classes="cm-flush"):
        listed = AccountList()
        listed.on("act", lambda event: act(event.args))
        nothing = box("")
        with nothing:
            empty(
                "No accounts yet",
                "Without accounts, requests go out with what each agent sends. Add your own: the proxy serves requests "
                "with them, keeps a conversation on one, and moves on when it meets a limit.",
                "codemie-proxy accounts add",
            )

    def draw() -> None:
        accounts = sorted(known.values(), key=lambda one: (one.priority, one.name))
        listed.show([shown(one) for one in accounts if sought in f"{one.name} {one.provider_label}".lower()])
        usable = sum(one.state in USABLE for one in accounts)
        say(summary, f"{usable} of {several(len(accounts), 'account')} usable")
        mood = "good" if usable == len(accounts) else "warn" if usable else "bad"
        summary.classes(replace=f"cm-badge {mood}")
        summary.set_visibility(bool(accounts))
        finder.set_visibility(len(accounts) >= SEARCHED)
        nothing.set_visibility(not accounts)

    async def show() -> None:
        found = await list_accounts(plane)
        known.clear()
        known.update({one.id: one for one in found})
        draw()

    look = await refreshing(SECONDS, show)
    acts = Acts(plane, look)


async def _strategy(plane: Plane) -> None:
    """How an account is chosen; at once, for all proxies of this home."""
    try:
        options, now = await strategies(plane), await strategy(plane)
    except AdminProblem:
        return
    names = {one.name: one.name for one in options}
    told = {one.name: one.description for one in options}

    async def take(name: str) -> None:
        if name == now.strategy or not await acting(set_strategy(plane, name, WHO), f"Strategy: {name}. {told[name]}"):
            return

    select = ui.select(names, value=now.strategy, label="Strategy", on_change=lambda event: take(event.value))
    select.props("dense outlined options-dense").classes("cm-strategy")
    if now.pinned_by:
        select.disable()
        select.tooltip(f"Set by {now.pinned_by}: change it there.")


def shown(account: AccountInfo) -> dict[str, object]:
    """For the browser."""
    acts = [
        ("details", "Details"),
        ("rename", "Rename"),
        ("priority", "Priority and weight"),
        ("models", "Models it serves"),
    ]
    if account.kind == "oauth":
        acts.append(("sign in", "Sign in again"))
    else:
        acts.append(("key", "Replace the key"))
    acts += [("endpoint", "Endpoint"), ("test", "Test it"), ("reset", "Forget its limits"), ("remove", "Remove")]
    return {
        "id": account.id,
        "name": account.name,
        "provider": account.provider_label,
        "kind": "sign-in" if account.kind == "oauth" else "API key",
        "endpoint": account.custom_endpoint,
        "tags": account.tags,
        "state": account.state,
        "mood": mood_of_account(account.state),
        "until": moment(account.until),
        "verified": account.verified,
        "reason": account.reason,
        "paused": account.paused,
        "signs": account.requires_reauth and account.kind == "oauth",
        "windows": [
            {
                "name": window.name,
                "percent": round(window.utilization * 100),
                "mood": mood_of_window(window.utilization),
                "resets": moment(window.resets_at),
            }
            for window in account.windows
        ],
        "out": [{"model": out.model, "until": moment(out.until)} for out in account.models_out],
        "priority": account.priority,
        "conversations": account.conversations,
        "recent": account.request_count,
        "last": moment(account.last_used),
        "acts": acts,
    }


def mood_of_window(utilization: float) -> str:
    """For its bar."""
    return "bad" if utilization >= 1 else "warn" if utilization * 100 >= FULL else ""


VIEWS = (View("/accounts", "accounts", "Accounts", build),)
