"""How long sign-ins are good for, and which of them only their owner can mend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from codemie_core.accounts import words
from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.roster import accounts, one
from codemie_core.admin.accounts import door_of
from codemie_core.admin.changing import has_store, looking
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import NotFound
from codemie_core.admin.wire import Wire
from codemie_core.oauth.held import Held, sign_ins

if TYPE_CHECKING:
    from sqlalchemy import Connection

SOON = 300.0
"""Seconds before the end in which a sign-in that nobody renews is told."""

type TokenStatus = Literal["good", "expires soon", "expired", "sign in again", "unreadable", "key"]


class AccountToken(Wire):
    """One account's."""

    id: str
    name: str
    provider: str
    status: TokenStatus = Field(description="key: it has an API key, of which no end is known.")
    needs_reauth: bool
    expires_at: str | None
    expires_in_seconds: int | None
    has_refresh_token: bool
    remedy: str | None = Field(description="A command for its owner.")


class TokenHealth(Wire):
    """All of them."""

    accounts: list[AccountToken]
    needing: int = Field(description="How many only their owner can mend.")


async def token_health(plane: Plane) -> TokenHealth:
    """Of every account."""
    return _health(await _tokens(plane, ""))


async def reauth_needed(plane: Plane) -> TokenHealth:
    """Only of those whose owner has to sign in again."""
    return _health([found for found in await _tokens(plane, "") if found.needs_reauth])


async def account_token_health(plane: Plane, name: str) -> AccountToken:
    """Of one account. NotFound names the nearest."""
    [found] = await _tokens(plane, name)
    return found


def _health(found: list[AccountToken]) -> TokenHealth:
    return TokenHealth(accounts=found, needing=sum(one.needs_reauth for one in found))


async def _tokens(plane: Plane, name: str) -> list[AccountToken]:
    if not has_store(plane):
        if name:
            raise NotFound("There are no accounts yet. Add one: POST /api/accounts, or codemie-proxy accounts add")
        return []

    def look(connection: Connection) -> list[AccountToken]:
        asked = [one(connection, name)] if name else accounts(connection)
        signed_in = {held.account.id: held for held in sign_ins(connection, asked, door_of(plane).vault_for)}
        return [_token(account, signed_in.get(account.id), plane.clock()) for account in asked]

    return await looking(plane, look)


def _token(account: Account, held: Held | None, now: float) -> AccountToken:
    tokens = held.tokens if held else None
    left = tokens.left(now) if tokens and tokens.expires_at is not None else None
    status = _status(account, held, left)
    return AccountToken(
        id=account.id,
        name=account.name,
        provider=account.provider,
        status=status,
        needs_reauth=(needs := status in ("sign in again", "unreadable") or (status == "expired" and _ends(held))),
        expires_at=words.moment(tokens.expires_at) if tokens else None,
        expires_in_seconds=None if left is None else round(left),
        has_refresh_token=bool(tokens and tokens.refresh),
        remedy=words.sign_in_command(account) if needs else None,
    )


def _status(account: Account, held: Held | None, left: float | None) -> TokenStatus:
    if account.kind is not Kind.OAUTH:
        return "key"
    if account.needs_login:
        return "sign in again"
    if held is None or held.tokens is None:
        return "unreadable"
    if left is not None and left <= 0:
        return "expired"
    return "expires soon" if left is not None and left < SOON and _ends(held) else "good"


def _ends(held: Held | None) -> bool:
    """Does nobody renew it?"""
    return held is None or not held.renewed
