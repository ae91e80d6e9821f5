"""What operators do to an account that is there, inside the transaction they are given, and what follows from it.

The command line and the admin API say it each in its own way; the doing, the checks and the consequences are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codemie_core.accounts import words
from codemie_core.accounts.account import Account
from codemie_core.accounts.entry import Spelling, as_option, checked_name, with_models
from codemie_core.accounts.roster import accounts, one, statuses
from codemie_core.accounts.state import Status
from codemie_core.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection

HIGHEST = 1000
"""Of a priority, and of a weight."""
LONGEST_REASON = 200
BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class Changed:
    """An account after a change, or as it was before it was removed."""

    account: Account
    status: Status
    left: int
    """Accounts that could take over, now or later, what this one serves."""
    was_so: bool = False
    """There was nothing to do."""
    unserved: tuple[str, ...] = ()
    """After a removal: origins that no account is for any more."""


def checked_reason(reason: str, spell: Spelling = as_option) -> str:
    """A line for lists, logs and errors; BY_HAND where nothing was said."""
    if not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise SettingsError(f"{spell('reason')}: write up to {LONGEST_REASON} printable characters on one line")
    return reason.strip() or BY_HAND


def pause(connection: Connection, name: str, reason: str, who: str, now: float) -> Changed:
    """Leave it alone. Pausing a paused one gives it the new reason, one that `checked_reason` has passed."""
    account = one(connection, name)
    return _changed(connection, account, "paused", reason, who, now, paused=reason)


def resume(connection: Connection, name: str, who: str, now: float) -> Changed:
    """Use it again."""
    account = one(connection, name)
    if account.paused is None:
        return standing(connection, account, now, was_so=True)
    return _changed(connection, account, "resumed", "", who, now, paused=None)


def set_priority(connection: Connection, name: str, number: int, who: str, now: float) -> Changed:
    """Who goes first, the lowest number."""
    account = one(connection, name)
    reason = f"from {account.priority} to {number}"
    return _changed(connection, account, "priority", reason, who, now, priority=_number(number, "priority", 0))


def set_weight(connection: Connection, name: str, number: int, who: str, now: float) -> Changed:
    """Its share among accounts of one priority."""
    account = one(connection, name)
    reason = f"from {account.weight} to {number}"
    return _changed(connection, account, "weight", reason, who, now, weight=_number(number, "weight", 1))


def rename(connection: Connection, name: str, new_name: str, who: str, now: float) -> Changed:
    """Another name for the same account."""
    account = one(connection, name)
    reason = f"from {account.name}"
    return _changed(connection, account, "renamed", reason, who, now, name=checked_name(new_name))


def set_models(
    connection: Connection,
    name: str,
    allow: Sequence[str],
    deny: Sequence[str],
    fallback_model: str,
    who: str,
    now: float,
    spell: Spelling = as_option,
) -> Changed:
    """Which models it serves, and which one is asked for when no other account is left."""
    account = with_models(one(connection, name), allow, deny, fallback_model, spell)
    fields = {"allow": account.allow, "deny": account.deny, "fallback_model": account.fallback_model}
    reason = "; ".join(
        f"{key} {' '.join(value) if isinstance(value, tuple) else value or '-'}" for key, value in fields.items()
    )
    return _changed(connection, account, "models", reason, who, now, **fields)


def end_limits(connection: Connection, name: str, who: str, now: float) -> Changed:
    """Ask it again at once, whatever was heard of its limits."""
    from codemie_core.store.pool import end_rests

    account = one(connection, name)
    end_rests(connection, account.id, who, now)
    return _changed(connection, account, "limits forgotten", "", who, now)


def remove(connection: Connection, name: str, who: str, now: float) -> Changed:
    """Forget it and its secret; its history stays."""
    from codemie_core.store.accounts import remove_account

    account = one(connection, name)
    before = standing(connection, account, now)
    remove_account(connection, account.id, who)
    served = {origin for other in accounts(connection) for origin in (other.origin, *other.serves)}
    unserved = tuple(origin for origin in (account.origin, *account.serves) if origin not in served)
    return Changed(account, before.status, before.left, unserved=unserved)


def standing(connection: Connection, account: Account, now: float, was_so: bool = False) -> Changed:
    """How it is, and who could take over."""
    listed = accounts(connection)
    known = statuses(connection, listed, now)
    origins = {account.origin, *account.serves}
    left = sum(
        other.id != account.id
        and bool(origins & {other.origin, *other.serves})
        and known[other.id].state not in ("paused", "sign in again")
        for other in listed
    )
    return Changed(account, known[account.id], left, was_so)


def moving(changed: Changed) -> str:
    """`2 conversations move to other accounts with the next request.`, or ""."""
    conversations = changed.status.conversations
    if not conversations or not changed.left:
        return ""
    verb = "moves" if conversations == 1 else "move"
    return f"{words.conversations(conversations)} {verb} to other accounts with the next request."


def none_left(changed: Changed) -> str:
    """What agents will meet when this was the last account in use; "" when it was not."""
    if changed.left:
        return ""
    return (
        f"No account in use is left for {changed.account.origin}: agents get an error that says so. "
        "To bring one back: codemie-proxy accounts list"
    )


def left_behind(removed: Changed) -> list[str]:
    """What follows from a removal for each origin it served."""
    found = [
        f"No account is left for {origin}: clients' own keys pass through to it from now on."
        for origin in removed.unserved
    ]
    still_served = removed.account.origin not in removed.unserved
    return found + ([none_left(removed)] if still_served and not removed.left else [])


def _changed(
    connection: Connection, account: Account, event: str, reason: str, who: str, now: float, **fields: Any
) -> Changed:
    from codemie_core.store.accounts import change_account

    change_account(connection, account.id, event, reason, who, **fields)
    return standing(connection, one(connection, account.id), now)


def _number(number: int, what: str, lowest: int) -> int:
    if not lowest <= number <= HIGHEST:
        raise SettingsError(f"a {what} is a number from {lowest} to {HIGHEST}")
    return number
