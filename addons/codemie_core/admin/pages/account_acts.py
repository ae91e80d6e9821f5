"""What one can do with an account: each act asks for what it needs, does it, and says what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from nicegui import ui
from pydantic import SecretStr, ValidationError

from codemie_core.admin import account_adding, account_changes
from codemie_core.admin.account_adding import NewEndpoint, NewKey
from codemie_core.admin.account_changes import ModelRules
from codemie_core.admin.audit import audit_trail
from codemie_core.admin.pages.format import moment
from codemie_core.admin.pages.layout import acting, badge, box, button, text, toast
from codemie_core.admin.pages.signing_in import sign_in_dialog
from codemie_core.admin.pages.widgets import Column, Table
from codemie_core.admin.problems import AdminProblem

if TYPE_CHECKING:
    from codemie_core.admin.account_info import AccountInfo
    from codemie_core.admin.plane import Plane

WHO = "dashboard"
EVENTS = (
    Column("at", "When", "time", sorts=False),
    Column("event", "What", sorts=False),
    Column("reason", "Why", sorts=False),
    Column("who", "Who", sorts=False, wide=True),
)
type Field = tuple[str, str, str, str]
"""Name, label, value, hint. A name that ends in a key or a password is not shown while it is typed."""


class Acts:
    """`look` shows the list anew."""

    def __init__(self, plane: Plane, look: Callable[[], Awaitable[None]]) -> None:
        self._plane, self._look = plane, look
        self._known: Mapping[str, Callable[[AccountInfo], Awaitable[None]]] = {
            "details": self._details,
            "pause": self._pause,
            "resume": self._resume,
            "rename": self._rename,
            "priority": self._priority,
            "models": self._models,
            "key": self._key,
            "endpoint": self._endpoint,
            "test": self._test,
            "reset": self._reset,
            "remove": self._remove,
            "sign in": self._sign_in,
        }

    async def do(self, account: AccountInfo, action: str) -> None:
        """One of them."""
        if (known := self._known.get(action)) is not None:
            await known(account)

    async def _done(self, work: Awaitable[object], words: str) -> bool:
        did = await acting(work, words)
        if did:
            await self._look()
        return did

    async def _pause(self, account: AccountInfo) -> None:
        work = account_changes.pause_account(self._plane, account.id, "by hand", WHO)
        await self._done(work, f"{account.name} is paused: conversations move to other accounts.")

    async def _resume(self, account: AccountInfo) -> None:
        work = account_changes.resume_account(self._plane, account.id, WHO)
        await self._done(work, f"{account.name} serves again.")

    async def _rename(self, account: AccountInfo) -> None:
        async def save(said: Mapping[str, str]) -> bool:
            work = account_changes.rename_account(self._plane, account.id, said["name"].strip(), WHO)
            return await self._done(work, "Renamed.")

        fields = [
            ("name", "Name", account.name, "Letters, digits and . _ @ + -; its history stays under the old name.")
        ]
        ask(f"Rename {account.name}", fields, "Rename", save)

    async def _priority(self, account: AccountInfo) -> None:
        async def save(said: Mapping[str, str]) -> bool:
            try:
                priority, weight = int(said["priority"]), int(said["weight"])
            except ValueError:
                toast("Write whole numbers.", "bad")
                return False
            if priority != account.priority:
                work = account_changes.set_priority(self._plane, account.id, priority, WHO)
                if not await self._done(work, f"Priority {priority}."):
                    return False
            if weight != account.weight:
                work = account_changes.set_weight(self._plane, account.id, weight, WHO)
                return await self._done(work, f"Weight {weight}.")
            return True

        fields = [
            ("priority", "Priority", str(account.priority), "Lower goes first."),
            ("weight", "Weight", str(account.weight), "Its share among accounts of one priority."),
        ]
        ask(f"Priority of {account.name}", fields, "Save", save)

    async def _models(self, account: AccountInfo) -> None:
        async def save(said: Mapping[str, str]) -> bool:
            rules = ModelRules(
                allow=listed(said["allow"]), deny=listed(said["deny"]), fallback_model=said["fallback"].strip()
            )
            return await self._done(account_changes.set_models(self._plane, account.id, rules, WHO), "Saved.")

        fields = [
            ("allow", "Only these models", ", ".join(account.allow), "Patterns with commas, like claude-*; none: all."),
            ("deny", "Never these", ", ".join(account.deny), "They count more than the ones above."),
            (
                "fallback",
                "Fallback model",
                account.fallback_model or "",
                "Asked for when the asked one is nowhere left.",
            ),
        ]
        ask(f"Models of {account.name}", fields, "Save", save)

    async def _key(self, account: AccountInfo) -> None:
        async def save(said: Mapping[str, str]) -> bool:
            new = NewKey(api_key=SecretStr(said["key"].strip()))
            work = account_adding.replace_key(self._plane, account.id, new, WHO)
            return await self._done(work, "The key was replaced; requests use the new one from now on.")

        ask(
            f"Another key for {account.name}",
            [("key", "API key", "", "Sealed in the vault; shown to nobody.")],
            "Replace",
            save,
        )

    async def _endpoint(self, account: AccountInfo) -> None:
        async def save(said: Mapping[str, str]) -> bool:
            key = SecretStr(said["key"].strip()) if said["key"].strip() else None
            new = NewEndpoint(base_url=said["url"].strip(), api_key=key)
            return await self._done(account_adding.set_endpoint(self._plane, account.id, new, WHO), "Saved.")

        fields = [
            ("url", "Base URL", account.base_url, "The only place its secret goes to."),
            ("key", "API key", "", "Needed again where another host shall get it."),
        ]
        ask(f"Endpoint of {account.name}", fields, "Save", save)

    async def _test(self, account: AccountInfo) -> None:
        toast(f"Asking {account.provider_label} …")
        try:
            told = await account_adding.test_account(self._plane, account.id)
        except AdminProblem as problem:
            toast(problem.detail, "bad")
            return
        toast(f"{account.name}: {told.meaning}", "bad" if told.secret_accepted is False else "good")

    async def _reset(self, account: AccountInfo) -> None:
        work = account_changes.reset_limits(self._plane, account.id, WHO)
        await self._done(work, f"What was known of {account.name}'s limits is forgotten: the next request tries it.")

    async def _remove(self, account: AccountInfo) -> None:
        async def save(said: Mapping[str, str]) -> bool:
            work = account_changes.remove_account(self._plane, account.name, said["confirm"].strip(), WHO)
            return await self._done(work, f"{account.name} is gone, and its secret with it; its history stays.")

        hint = f"Write {account.name} to confirm. Its secret is deleted; its history stays."
        ask(f"Remove {account.name}", [("confirm", "Name of the account", "", hint)], "Remove", save, "danger")

    async def _sign_in(self, account: AccountInfo) -> None:
        await sign_in_dialog(self._plane, self._look, account.name, account.provider)

    async def _details(self, account: AccountInfo) -> None:
        with ui.dialog() as dialog, box("cm-dialog wide"):
            with box("cm-row"):
                text(account.name, tag="h1")
                badge(account.state)
            text(account.state_in_words, "cm-muted")
            if account.remedy:
                text(account.remedy, "cm-code", "code")
            with box("cm-pairs"):
                for name, value in facts(account):
                    text(name)
                    text(value)
            text("What happened to it", tag="h2")
            table = Table("What happened to it", EVENTS, absent="Nothing yet.")
            with box("cm-dialog-foot"):
                button("Close", dialog.close)
        dialog.on("hide", dialog.delete)
        dialog.open()
        try:
            found = await audit_trail(self._plane, 20, account=account.name)
        except AdminProblem as problem:
            toast(problem.detail, "bad")
            return
        table.show(
            [
                {"id": str(one.id), "at": moment(one.at), "event": one.event, "reason": one.reason, "who": one.who}
                for one in found.events
            ]
        )


def ask(
    title: str,
    fields: list[Field],
    verb: str,
    save: Callable[[Mapping[str, str]], Awaitable[bool]],
    kind: str = "primary",
) -> None:
    """A few fields, and what is done with them; it closes when that worked."""
    with ui.dialog() as dialog, box("cm-dialog").props('role="dialog" aria-modal="true"'):
        text(title, tag="h1")
        inputs: dict[str, ui.input] = {}

        async def finish() -> None:
            try:
                done = await save({name: each.value or "" for name, each in inputs.items()})
            except ValidationError as problem:
                toast(wrong(problem), "bad")
                return
            if done:
                dialog.close()

        with box("cm-form"):
            for name, label, value, hint in fields:
                secret = name in ("key", "password")
                made = ui.input(label, value=value, password=secret).props("dense outlined autocomplete=off")
                made.props["hint"] = hint
                made.on("keydown.enter", finish, [])
                inputs[name] = made
        with box("cm-dialog-foot"):
            button("Cancel", dialog.close)
            button(verb, finish, kind)
    next(iter(inputs.values())).props("autofocus")
    dialog.on("hide", dialog.delete)
    dialog.open()


def wrong(problem: ValidationError) -> str:
    """What cannot be so, without what was written: it may be a key."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problem.errors())


def listed(words: str) -> list[str]:
    """Of a text with commas."""
    return [each.strip() for each in words.split(",") if each.strip()]


def facts(account: AccountInfo) -> list[tuple[str, str]]:
    """What else there is to know."""
    told = [
        ("Provider", account.provider_label),
        ("Endpoint", account.base_url),
        ("Secret", f"{account.secret.source} {account.secret.place}".strip()),
        ("Sign-in", f"{account.token_status}{', renewed by itself' if account.has_refresh_token else ''}"),
        ("Serves too", ", ".join(account.serves)),
        ("Only these models", ", ".join(account.allow)),
        ("Never these", ", ".join(account.deny)),
        ("Fallback model", account.fallback_model or ""),
        ("Outbound proxy", account.outbound_proxy or ""),
        ("Requests, all time", f"{account.total_requests:,}"),
        ("Weight", str(account.weight)),
    ]
    if account.kind != "oauth":
        told = [pair for pair in told if pair[0] != "Sign-in"]
    return [pair for pair in told if pair[1]]
