"""Which strategy was chosen by command, for all proxies of the store; and what each of them does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.errors import SettingsError
from codemie_core.settings import nearest

if TYPE_CHECKING:
    from sqlalchemy import Connection

SETTING = "account_rotation.strategy"
OPTION = "codemie_account_rotation_strategy"
VARIABLE = OPTION.upper()
"""The two that stand above the choice."""
DEFAULT = "session"

WORDS: Mapping[str, str] = {
    "session": "a new conversation takes the lowest priority number, equals share by weight; it stays for 5 h",
    "global-session": "all clients share one account for 5 h, then the first that is free",
    "least-used": "a new conversation takes the account that has used least of its limits",
    "drain-soonest": "a new conversation takes the account whose limit resets first, before the rest of it is lost",
}


def check(name: str) -> None:
    """SettingsError with the nearest, unless there is such a strategy."""
    if name not in STRATEGIES:
        close = nearest(name, STRATEGIES)
        meant = f"did you mean {close!r}? There are" if close else "there are"
        raise SettingsError(f"there is no strategy {name!r}; {meant}: {', '.join(STRATEGIES)}")


def choose(connection: Connection, name: str, who: str) -> None:
    """Use it from now on, in all proxies."""
    from codemie_core.store.audit import record
    from codemie_core.store.settings import put_setting

    check(name)
    put_setting(connection, SETTING, name)
    record(connection, "", "", "strategy", name, who)


def chosen(connection: Connection) -> str:
    """The one that was chosen; "" when none was."""
    from codemie_core.store.settings import load_settings

    found = load_settings(connection).get(SETTING)
    return found if isinstance(found, str) and found in STRATEGIES else ""
