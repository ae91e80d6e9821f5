"""`codemie-proxy accounts pause`, `resume`, `priority` and the like: what was done, and what follows."""

from __future__ import annotations

import sys

import typer

from codemie_core.accounts import changes, words
from codemie_core.accounts.account import Kind
from codemie_core.accounts.changes import Changed
from codemie_core.accounts.entry import checked_name
from codemie_core.accounts.roster import one
from codemie_core.cli.accounts_book import Book, operator
from codemie_core.cli.accounts_output import NOTICE, result, say
from codemie_core.errors import SettingsError


def pause(name: str, reason: str, as_json: bool) -> None:
    """Leave it alone. Pausing a paused one gives it the new reason."""
    reason = changes.checked_reason(reason)
    book = Book()
    now = book.clock()
    with book.writing() as connection:
        changed = changes.pause(connection, name, reason, operator(), now)
    result(f"Paused {changed.account.name}: {reason}", _shown(changed, now), as_json)
    _say(changes.moving(changed))
    if words_of_end := changes.none_left(changed):
        say(words_of_end)


def resume(name: str, as_json: bool) -> None:
    """Use it again."""
    book = Book()
    now = book.clock()
    with book.writing() as connection:
        changed = changes.resume(connection, name, operator(), now)
    account, status = changed.account, changed.status
    text = f"{account.name} is not paused" if changed.was_so else f"Resumed {account.name}"
    result(f"{text}; it is {words.state_words(account, status, now)}", _shown(changed, now), as_json)
    if not changed.was_so:
        say(NOTICE)
    if fix := words.remedy(account, status):
        say(f"To have it back: {fix}")


def priority(name: str, number: int, as_json: bool) -> None:
    """Who goes first."""
    book = Book()
    now = book.clock()
    with book.writing() as connection:
        changed = changes.set_priority(connection, name, number, operator(), now)
    result(f"{changed.account.name} has priority {number} now", _shown(changed, now), as_json)
    _say("It counts for new conversations; those that have an account keep it.")


def weight(name: str, number: int, as_json: bool) -> None:
    """Its share among accounts of one priority."""
    book = Book()
    now = book.clock()
    with book.writing() as connection:
        changed = changes.set_weight(connection, name, number, operator(), now)
    result(f"{changed.account.name} has weight {number} now", _shown(changed, now), as_json)
    _say("It counts for new conversations; those that have an account keep it.")


def reset(name: str, as_json: bool) -> None:
    """Ask it again, whatever was heard of its limits."""
    book = Book()
    now = book.clock()
    with book.writing() as connection:
        changed = changes.end_limits(connection, name, operator(), now)
    account, status = changed.account, changed.status
    text = f"Forgot the limits of {account.name}; it is {words.state_words(account, status, now)}"
    result(text, _shown(changed, now), as_json)
    say(NOTICE)
    if fix := words.remedy(account, status):
        say(f"To have it back: {fix}")


def rename(name: str, new_name: str, as_json: bool) -> None:
    """Another name for the same account."""
    checked_name(new_name)
    book = Book()
    now = book.clock()
    with book.writing() as connection:
        former = one(connection, name)
        changed = changes.rename(connection, former.id, new_name, operator(), now)
    result(f"Renamed {former.name} to {new_name}", _shown(changed, now), as_json)
    _say("Its id, history and conversations stay.")


def remove(name: str, yes: bool, as_json: bool) -> None:
    """Forget it and its secret, once whoever is asked says so."""
    book = Book()
    now = book.clock()
    with book.reading() as connection:
        before = changes.standing(connection, one(connection, name), now)
    if not yes:
        _ask(before)
    with book.writing() as connection:
        # By its id: it may be another one's name by now.
        removed = changes.remove(connection, before.account.id, operator(), now)
    text = f"Removed {removed.account.name} ({removed.account.id}) and its secret"
    result(text, {"removed": _shown(removed, now)}, as_json)
    _say(changes.moving(removed))
    for line in changes.left_behind(removed):
        say(line)


def _ask(standing: Changed) -> None:
    account = standing.account
    if not sys.stdin.isatty():
        raise SettingsError(f"nobody is here to ask; to remove {account.name} anyway: add --yes")
    what = f"{account.name} ({account.provider}, {account.base_url}) and its secret go for good."
    say(f"{what} {changes.moving(standing)}".rstrip())
    if account.kind is Kind.OAUTH:
        say(f"Its sign-in stays valid at the provider; to end it there: codemie-proxy auth logout {account.provider}")
    typer.confirm(f"Remove {account.name}?", abort=True, err=True)


def _shown(changed: Changed, now: float) -> dict[str, object]:
    return words.as_json(changed.account, changed.status, now)


def _say(more: str) -> None:
    say(f"{NOTICE} {more}".rstrip())
