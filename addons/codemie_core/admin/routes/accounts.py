"""The accounts of the pool: add, look at, pause, order, remove."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from codemie_core.accounts.account import NAME
from codemie_core.accounts.changes import HIGHEST, LONGEST_REASON
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.admin import account_adding, account_changes, accounts
from codemie_core.admin.account_adding import (
    AccountAdded,
    KeyedAccount,
    NewAccount,
    NewEndpoint,
    NewKey,
    ProviderInfo,
    TrialResult,
)
from codemie_core.admin.account_changes import AccountChanged, ModelRules
from codemie_core.admin.account_info import AccountInfo
from codemie_core.admin.changing import Body
from codemie_core.admin.guard import By
from codemie_core.admin.plane import Plane
from codemie_core.admin.routes.questions import Responses

Name = Annotated[str, Path(pattern=f"^{NAME.pattern}$", description="The account's name, or its id.")]

_UNKNOWN: Responses = {404: {"description": "There is no such account; the nearest is named."}}
_BAD: Responses = {400: {"description": "It cannot be understood; the field and the fix are named."}}
_TAKEN: Responses = {409: {"description": "Another account has this name."}}
_AWAY: Responses = {503: {"description": "The database or the vault cannot be used now; nothing has changed."}}


class Pause(Body):
    """Why, if anybody asks."""

    reason: str = Field("", max_length=LONGEST_REASON, description="Shown in lists, logs and errors.")


class Rename(Body):
    """Its new name."""

    name: str = Field(pattern=f"^{NAME.pattern}$")


class Priority(Body):
    """Lower goes first."""

    priority: int = Field(ge=0, le=HIGHEST)


class Weight(Body):
    """A share among accounts of one priority."""

    weight: int = Field(ge=1, le=HIGHEST)


class Confirm(Body):
    """The name once more, as ccflare wants it."""

    confirm: str = Field(max_length=64)


def router(plane: Plane) -> APIRouter:
    """The paths. Whatever changes counts for all proxies of this home, and in this one when it is answered."""
    routes = APIRouter(prefix="/api/accounts", tags=["accounts"], responses=_AWAY)
    _add_and_remove(routes, plane)
    _change(routes, plane)
    _secrets(routes, plane)
    return routes


def _add_and_remove(routes: APIRouter, plane: Plane) -> None:
    @routes.get("", summary="All accounts, those that go first at the top")
    async def listed() -> list[AccountInfo]:
        return await accounts.list_accounts(plane)

    @routes.get("/providers", summary="Whose accounts there can be")
    async def providers() -> list[ProviderInfo]:
        return await account_adding.providers(plane)

    @routes.post("", summary="Add an account with its key", responses={**_BAD, **_TAKEN})
    async def add(body: NewAccount, who: By) -> AccountAdded:
        return await account_adding.add_account(plane, body, who)

    @routes.get("/{account}", summary="One account", responses=_UNKNOWN)
    async def one(account: Name) -> AccountInfo:
        return await accounts.get_account(plane, account)

    @routes.delete("/{account}", summary="Remove an account and its secret", responses={**_UNKNOWN, **_BAD})
    async def remove(account: Name, body: Confirm, who: By) -> AccountChanged:
        return await account_changes.remove_account(plane, account, body.confirm, who)

    for name in PROVIDERS:
        _add_of(routes, plane, name)


def _add_of(routes: APIRouter, plane: Plane, provider: str) -> None:
    """ccflare's fork has a path for each provider."""
    label = PROVIDERS[provider].label

    @routes.post(
        f"/{provider}",
        summary=f"Add an account: {label}",
        operation_id=f"add_{provider.replace('-', '_')}",
        responses={**_BAD, **_TAKEN},
    )
    async def add_of(body: KeyedAccount, who: By) -> AccountAdded:
        return await account_adding.add_account(plane, body, who, provider)


def _change(routes: APIRouter, plane: Plane) -> None:
    known = {**_UNKNOWN, **_BAD}

    @routes.post("/{account}/pause", summary="Leave it alone until it is resumed", responses=known)
    async def pause(account: Name, who: By, body: Pause | None = None) -> AccountChanged:
        return await account_changes.pause_account(plane, account, body.reason if body else "", who)

    @routes.post("/{account}/resume", summary="Use it again", responses=_UNKNOWN)
    async def resume(account: Name, who: By) -> AccountChanged:
        return await account_changes.resume_account(plane, account, who)

    @routes.post("/{account}/rename", summary="Another name for it", responses={**known, **_TAKEN})
    async def rename(account: Name, body: Rename, who: By) -> AccountChanged:
        return await account_changes.rename_account(plane, account, body.name, who)

    @routes.post("/{account}/priority", summary="Say who goes first", responses=_UNKNOWN)
    async def priority(account: Name, body: Priority, who: By) -> AccountChanged:
        return await account_changes.set_priority(plane, account, body.priority, who)

    @routes.post("/{account}/weight", summary="Its share among equals", responses=_UNKNOWN)
    async def weight(account: Name, body: Weight, who: By) -> AccountChanged:
        return await account_changes.set_weight(plane, account, body.weight, who)

    @routes.post("/{account}/model-mappings", summary="Which models it serves", responses=known)
    async def models(account: Name, body: ModelRules, who: By) -> AccountChanged:
        return await account_changes.set_models(plane, account, body, who)

    @routes.post("/{account}/force-reset-rate-limit", summary="Forget what was heard of its limits", responses=_UNKNOWN)
    async def reset(account: Name, who: By) -> AccountChanged:
        return await account_changes.reset_limits(plane, account, who)


def _secrets(routes: APIRouter, plane: Plane) -> None:
    failed: Responses = {**_UNKNOWN, 409: {"description": "Its secret cannot be had; the reason is named."}}

    @routes.post("/{account}/key", summary="Give it another key", responses={**_UNKNOWN, **_BAD})
    async def key(account: Name, body: NewKey, who: By) -> AccountChanged:
        return await account_adding.replace_key(plane, account, body, who)

    @routes.post(
        "/{account}/custom-endpoint",
        summary="Another base URL",
        description="A stored key goes to no other origin: for one it has to be given again.",
        responses={**_UNKNOWN, **_BAD, 409: {"description": "The key is needed, or the account has a sign-in."}},
    )
    async def endpoint(account: Name, body: NewEndpoint, who: By) -> AccountChanged:
        return await account_adding.set_endpoint(plane, account, body, who)

    @routes.post("/{account}/reload", summary="Have its secret anew, or its sign-in renewed", responses=failed)
    async def reload(account: Name, who: By) -> AccountChanged:
        return await account_changes.reload_account(plane, account, who)

    @routes.post("/{account}/test", summary="Ask its provider whether the secret is good", responses=failed)
    async def test(account: Name) -> TrialResult:
        return await account_adding.test_account(plane, account)
