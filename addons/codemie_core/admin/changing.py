"""Changing what all proxies of this home share: told as a problem when it cannot be, known here when it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from codemie_core.accounts.roster import NoSuchAccount
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import BadQuestion, Conflict, NotFound
from codemie_core.admin.wire import Wire
from codemie_core.errors import CodemieError
from codemie_core.store.accounts import NameTaken
from codemie_core.store.database import accounts_revision
from codemie_core.store.place import DatabaseTrouble, store_exists
from codemie_core.vault import VaultError

if TYPE_CHECKING:
    from sqlalchemy import Connection

API, PAGE = "admin api", "dashboard"
"""Through whom: for the audit trail."""


class Body(Wire):
    """The base of what is asked: a name that is not known is a mistake, not a wish."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Done(Wire):
    """As ccflare tells that something was done."""

    success: bool = True
    message: str


def spelt(field: str) -> str:
    """As the API writes a field of ours."""
    return to_camel(field)


def has_store(plane: Plane) -> bool:
    """Is there a database? Asking it would make one."""
    return store_exists(plane.places, plane.environ)


@contextmanager
def told() -> Iterator[None]:
    """What our own rooms complain about, as a problem that fits. Trouble with database or vault passes."""
    try:
        yield
    except NoSuchAccount as problem:
        raise NotFound(sentence(problem)) from None
    except NameTaken as problem:
        raise Conflict(sentence(problem)) from None
    except (DatabaseTrouble, VaultError):
        raise
    except CodemieError as problem:
        raise BadQuestion(sentence(problem)) from None


async def changing[T](plane: Plane, change: Callable[[Connection], T]) -> T:
    """Change accounts or settings, for all proxies; when this returns, the pool of this one has it too."""

    def work(connection: Connection) -> tuple[T, int]:
        with told():
            result = change(connection)
        return result, accounts_revision(connection)

    result, revision = await plane.write(work)
    if (keeper := plane.keeper) is not None:
        await keeper.has(revision)
    return result


async def looking[T](plane: Plane, question: Callable[[Connection], T]) -> T:
    """Ask the database."""

    def work(connection: Connection) -> T:
        with told():
            return question(connection)

    return await plane.read(work)


def sentence(problem: object) -> str:
    """Our messages, as they stand alone."""
    text = f"{problem}"
    return f"{text[:1].upper()}{text[1:]}" if text.startswith(("there ", "an ", "a ", "this ", "what ")) else text
