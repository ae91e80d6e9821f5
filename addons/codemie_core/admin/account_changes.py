"""What operators do to accounts that are there. Each is in the audit trail, and in the pool when it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from codemie_core.accounts import changes, words
from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.changes import Changed
from codemie_core.accounts.entry import LONGEST_PATTERN
from codemie_core.admin.account_info import AccountInfo
from codemie_core.admin.accounts import get_account
from codemie_core.admin.changing import Body, Done, changing, has_store, sentence, spelt, told
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import BadQuestion, Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from codemie_core.accounts.keeper import PoolKeeper


type Word = Annotated[str, Field(max_length=LONGEST_PATTERN, json_schema_extra={"pattern": "^[!-~]+$"})]
"""Of a list: printable, without spaces."""


class AccountChanged(Done):
    """What was done, and what follows from it."""

    notice: str = Field(description='What follows: conversations that move, agents that get an error; or "".')
    new_name: str | None = None
    account: AccountInfo | None = Field(description="As it is now; null when it is gone.")


class ModelRules(Body):
    """Which models an account serves. Patterns are like `claude-opus-*`."""

    allow: list[Word] = Field([], max_length=100, description="Only these; none: all.")
    deny: list[Word] = Field([], max_length=100, description="Not these; they count more.")
    fallback_model: str = Field(
        "", max_length=200, description="Asked for when no account that serves the asked model is left."
    )


async def pause_account(plane: Plane, account: str, reason: str, who: str) -> AccountChanged:
    """Leave it alone until it is resumed. Pausing a paused one gives it the new reason."""
    with told():
        reason = changes.checked_reason(reason, spelt)
    done = await _change(plane, lambda connection, now: changes.pause(connection, account, reason, who, now))
    notice = _joined(changes.moving(done), changes.none_left(done))
    return await _told(plane, done, f"{done.account.name} is paused: {reason}", notice)


async def resume_account(plane: Plane, account: str, who: str) -> AccountChanged:
    """Use it again."""
    done = await _change(plane, lambda connection, now: changes.resume(connection, account, who, now))
    what = "is not paused" if done.was_so else "is used again"
    fix = words.remedy(done.account, done.status)
    return await _told(plane, done, f"{done.account.name} {what}", f"To have it back: {fix}" if fix else "")


async def set_priority(plane: Plane, account: str, priority: int, who: str) -> AccountChanged:
    """Who goes first, the lowest number."""
    done = await _change(plane, lambda connection, now: changes.set_priority(connection, account, priority, who, now))
    notice = "It counts for new conversations; those that have an account keep it."
    return await _told(plane, done, f"{done.account.name} has priority {priority}", notice)


async def set_weight(plane: Plane, account: str, weight: int, who: str) -> AccountChanged:
    """Its share among accounts of one priority."""
    done = await _change(plane, lambda connection, now: changes.set_weight(connection, account, weight, who, now))
    return await _told(plane, done, f"{done.account.name} has weight {weight}", "It counts for new conversations.")


async def rename_account(plane: Plane, account: str, new_name: str, who: str) -> AccountChanged:
    """Another name; its id, history and conversations stay."""
    done = await _change(plane, lambda connection, now: changes.rename(connection, account, new_name, who, now))
    renamed = await _told(plane, done, f"It is called {new_name} now", "Its id, history and conversations stay.")
    return renamed.model_copy(update={"new_name": new_name})


async def set_models(plane: Plane, account: str, rules: ModelRules, who: str) -> AccountChanged:
    """Which models it serves."""

    def change(connection: Connection, now: float) -> Changed:
        return changes.set_models(connection, account, rules.allow, rules.deny, rules.fallback_model, who, now, spelt)

    done = await _change(plane, change)
    return await _told(plane, done, f"{done.account.name} serves other models now", "")


async def reset_limits(plane: Plane, account: str, who: str) -> AccountChanged:
    """Forget what was heard of its limits: the next request may go to it."""
    # What this process has not saved yet, first; then what all have.
    pool, keeper = plane.pool, plane.keeper
    if pool is not None and keeper is not None:
        for known in pool.accounts:
            if account in (known.id, known.name):
                pool.forgive(known.id)
                keeper.note()
    done = await _change(plane, lambda connection, now: changes.end_limits(connection, account, who, now))
    notice = "If its provider still limits it, the next answer says so again."
    return await _told(plane, done, f"The limits of {done.account.name} are forgotten", notice)


async def remove_account(plane: Plane, account: str, confirm: str, who: str) -> AccountChanged:
    """Forget it and its secret. `confirm` is its name once more, as ccflare wants it."""

    def change(connection: Connection, now: float) -> Changed:
        removed = changes.remove(connection, account, who, now)
        if confirm not in (removed.account.name, account):
            raise BadQuestion(f"Write the account's name into `confirm` to remove it: {removed.account.name}")
        return removed

    done = await _change(plane, change)
    notice = _joined(changes.moving(done), *changes.left_behind(done))
    if done.account.kind is Kind.OAUTH:
        notice = _joined(notice, "Its sign-in stays valid at the provider: end it on the provider's own pages.")
    return AccountChanged(message=f"{done.account.name} is removed", notice=notice, account=None)


async def reload_account(plane: Plane, account: str, who: str) -> AccountChanged:
    """Have its secret anew from where it is; a sign-in is renewed at its provider."""
    found, keeper = at_hand(plane, account)
    try:
        await keeper.secret(found, refresh=True)
    except Exception as problem:
        # Whatever it was: its own words may hold an address or a secret, unless they are ours.
        raise Conflict(secret_words(problem)) from None
    await plane.audit("reloaded", found.name, who)
    info = await get_account(plane, found.id)
    return AccountChanged(message=f"The secret of {found.name} was fetched anew", notice="", account=info)


def at_hand(plane: Plane, name: str) -> tuple[Account, PoolKeeper]:
    """The account as the pool has it, signed in to its outbound proxy, and who knows its secret."""
    pool, keeper = plane.pool, plane.keeper
    if pool is None or keeper is None or keeper.worker is None:
        if not has_store(plane):
            raise NotFound("There are no accounts yet.")
        raise Unavailable("account_rotation is not at work in this proxy: enable it.")
    for account in pool.accounts:
        if name in (account.name, account.id):
            return account, keeper
    raise NotFound(f"There is no account {name!r}.")


def secret_words(problem: Exception) -> str:
    """Ours, or the kind of error."""
    from codemie_core.errors import CodemieError

    return sentence(problem) if isinstance(problem, CodemieError) else f"It failed: {type(problem).__name__}"


async def _change(plane: Plane, change: Callable[[Connection, float], Changed]) -> Changed:
    if not has_store(plane):
        raise NotFound("There are no accounts yet. Add one: POST /api/accounts, or codemie-proxy accounts add")
    return await changing(plane, lambda connection: change(connection, plane.clock()))


async def _told(plane: Plane, done: Changed, message: str, notice: str) -> AccountChanged:
    return AccountChanged(message=message, notice=notice, account=await get_account(plane, done.account.id))


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))
