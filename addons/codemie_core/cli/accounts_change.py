"""`codemie-proxy accounts pause`, `resume`, `priority`, `rename` and `remove`: what was done, and what follows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from codemie_core.accounts import words
from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.state import Status
from codemie_core.cli.accounts_book import Book, accounts, one, operator, statuses
from codemie_core.cli.accounts_input import checked_name
from codemie_core.cli.accounts_output import NOTICE, result, say
from codemie_core.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection

LONGEST_REASON = 200


def pause(name: str, reason: str, as_json: bool) -> None:
    """Leave it alone. Pausing a paused one gives it the new reason."""
    from codemie_core.store.accounts import change_account

    reason = _checked_reason(reason) or "by hand"
    book = Book()
    now = book.clock()
    with book.writing() as connection:
        account = one(connection, name)
        change_account(connection, account.id, "paused", reason, operator(), paused=reason)
        listed = accounts(connection)
        known = statuses(connection, listed, now)
        account = one(connection, account.id)
        moving, left = known[account.id].conversations, _others_left(account, listed, known)
    result(f"Paused {account.name}: {reason}", words.as_json(account, known[account.id], now), as_json)
    say(f"{NOTICE}{_moves(moving, left)}")
    if not left:
        say(_none_left(account))


def resume(name: str, as_json: bool) -> None:
    """Use it again."""
    from codemie_core.store.accounts import change_account

    book = Book()
    now = book.clock()
    with book.writing() as connection:
        account = one(connection, name)
        was_paused = account.paused is not None
        if was_paused:
            change_account(connection, account.id, "resumed", "", operator(), paused=None)
            account = one(connection, account.id)
        status = statuses(connection, [account], now)[account.id]
    text = f"Resumed {account.name}" if was_paused else f"{account.name} is not paused"
    state = words.state_words(account, status, now)
    result(f"{text}; it is {state}", words.as_json(account, status, now), as_json)
    if was_paused:
        say(NOTICE)
    if fix := words.remedy(account, status):
        say(f"To have it back: {fix}")


def priority(name: str, number: int, as_json: bool) -> None:
    """Who goes first."""
    from codemie_core.store.accounts import change_account

    book = Book()
    now = book.clock()
    with book.writing() as connection:
        account = one(connection, name)
        reason = f"from {account.priority} to {number}"
        change_account(connection, account.id, "priority", reason, operator(), priority=number)
        account = one(connection, account.id)
        status = statuses(connection, [account], now)[account.id]
    result(f"{account.name} has priority {number} now", words.as_json(account, status, now), as_json)
    say(f"{NOTICE} It counts for new conversations; those that have an account keep it.")


def rename(name: str, new_name: str, as_json: bool) -> None:
    """Another name for the same account."""
    from codemie_core.store.accounts import change_account

    checked_name(new_name)
    book = Book()
    now = book.clock()
    with book.writing() as connection:
        account = one(connection, name)
        change_account(connection, account.id, "renamed", f"from {account.name}", operator(), name=new_name)
        renamed = one(connection, account.id)
        status = statuses(connection, [renamed], now)[account.id]
    result(f"Renamed {account.name} to {new_name}", words.as_json(renamed, status, now), as_json)
    say(f"{NOTICE} Its id, history and conversations stay.")


def remove(name: str, yes: bool, as_json: bool) -> None:
    """Forget it and its secret, once whoever is asked says so."""
    from codemie_core.store.accounts import remove_account

    book = Book()
    now = book.clock()
    with book.reading() as connection:
        account = one(connection, name)
        status, left = _standing(connection, account, now)
    if not yes:
        _ask(account, status, left)
    with book.writing() as connection:
        # It may be another one's name by now.
        account = one(connection, account.id)
        remove_account(connection, account.id, operator())
        rest = accounts(connection)
    result(
        f"Removed {account.name} ({account.id}) and its secret",
        {"removed": words.as_json(account, status, now)},
        as_json,
    )
    say(f"{NOTICE}{_moves(status.conversations, left)}")
    for origin in (account.origin, *account.serves):
        if not any(origin in {other.origin, *other.serves} for other in rest):
            say(f"No account is left for {origin}: clients' own keys pass through to it from now on.")
        elif not left and origin == account.origin:
            say(_none_left(account))


def _ask(account: Account, status: Status, left: int) -> None:
    if not sys.stdin.isatty():
        raise SettingsError(f"nobody is here to ask; to remove {account.name} anyway: add --yes")
    what = f"{account.name} ({account.provider}, {account.base_url}) and its secret go for good."
    say(f"{what}{_moves(status.conversations, left)}")
    if account.kind is Kind.OAUTH:
        say(f"Its sign-in stays valid at the provider; to end it there: codemie-proxy auth logout {account.provider}")
    typer.confirm(f"Remove {account.name}?", abort=True, err=True)


def _standing(connection: Connection, account: Account, now: float) -> tuple[Status, int]:
    listed = accounts(connection)
    known = statuses(connection, listed, now)
    return known[account.id], _others_left(account, listed, known)


def _others_left(account: Account, listed: list[Account], known: dict[str, Status]) -> int:
    """Accounts that could take over now or later what this one serves."""
    origins = {account.origin, *account.serves}
    return sum(
        other.id != account.id
        and bool(origins & {other.origin, *other.serves})
        and known[other.id].state not in ("paused", "sign in again")
        for other in listed
    )


def _moves(conversations: int, left: int) -> str:
    if not conversations or not left:
        return ""
    verb = "moves" if conversations == 1 else "move"
    return f" {words.conversations(conversations)} {verb} to other accounts with the next request."


def _none_left(account: Account) -> str:
    return (
        f"No account in use is left for {account.origin}: agents get an error that says so. "
        "To bring one back: codemie-proxy accounts list"
    )


def _checked_reason(reason: str) -> str:
    if not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise SettingsError(f"--reason: write up to {LONGEST_REASON} printable characters on one line")
    return reason.strip()
