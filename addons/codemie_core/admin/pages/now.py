"""What is so at this moment: the pool and its accounts, the last requests, what went wrong last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codemie_core.admin.pages.format import ending, moment, mood_of_account
from codemie_core.admin.pages.layout import badge, box, empty, text
from codemie_core.admin.pages.request_table import COLUMNS, row_of
from codemie_core.admin.pages.widgets import Moment, Table
from codemie_core.admin.recent_exchanges import open_ones
from codemie_core.amounts import several

if TYPE_CHECKING:
    from codemie_core.admin.account_info import AccountInfo
    from codemie_core.admin.plane import Plane
    from codemie_core.admin.request_rows import RequestSummary

SHOWN = 6
"""Accounts; those that need somebody first."""
USABLE = frozenset({"ready", "in use", "recovering", "probing"})
FULL = 90
"""Percent of a window from which a bar warns."""
_ORDER = ("sign in again", "limited", "guessed", "probing", "recovering", "paused", "in use", "ready")


class Now:
    """How many requests are open, and how the accounts are."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._room = box("cm-stack cm-now")
        self._shown: object = None

    def show(self, accounts: Sequence[AccountInfo]) -> None:
        """What it is now."""
        pool = self._plane.pool
        working = len(open_ones(self._plane))
        strategy = pool.strategy if pool is not None else ""
        fresh = working, strategy, tuple(accounts)
        if fresh == self._shown:
            return
        self._shown = fresh
        self._room.clear()
        with self._room:
            with box("cm-row"):
                badge(f"{several(working, 'request')} open", "live" if working else "")
                if accounts:
                    usable = sum(account.state in USABLE for account in accounts)
                    mood = "good" if usable == len(accounts) else "warn" if usable else "bad"
                    badge(f"{usable} of {several(len(accounts), 'account')} usable", mood)
            if not accounts:
                empty(
                    "No accounts",
                    "Agents use their own credentials. Add accounts, and the proxy serves requests with them and "
                    "moves on when one meets a limit.",
                    "codemie-proxy accounts add",
                )
                return
            for account in sorted(accounts, key=_urgency)[:SHOWN]:
                _line(account)
            with box("cm-row cm-note"):
                text(f"Strategy {strategy}", tag="span")
                if len(accounts) > SHOWN:
                    text(f"and {len(accounts) - SHOWN} more", tag="span")
                text("All accounts", tag="a").props('href="/accounts"').style("margin-left: auto")


def _urgency(account: AccountInfo) -> tuple[int, float]:
    place = _ORDER.index(account.state) if account.state in _ORDER else len(_ORDER)
    return place, -(account.usage_utilization or 0.0)


def _line(account: AccountInfo) -> None:
    with box("cm-now-account"):
        text(account.name, "cm-cut cm-strong").props["title"] = account.name
        badge(account.state, mood_of_account(account.state))
        used = round((account.usage_utilization or 0.0) * 100)
        with box(f"cm-bar {'bad' if used >= 100 else 'warn' if used >= FULL else ''}"):
            box("").style(f"width: {min(used, 100)}%")
        with box("cm-note cm-num", "span"):
            if account.until:
                text("back in ", tag="span")
                Moment(moment(account.until), "until")
            else:
                text(f"{used}% used" if account.usage_utilization is not None else "", tag="span")


class Latest:
    """The newest requests."""

    def __init__(self) -> None:
        names = ("time", "agent", "model", "state", "tokens", "cost", "took")
        self._table = Table("The last requests", [column for column in COLUMNS if column.key in names])

    def show(self, found: Sequence[RequestSummary]) -> None:
        """What it is now."""
        self._table.show([row_of(each) for each in found])


class Errors:
    """What went wrong last."""

    def __init__(self) -> None:
        self._room = box("cm-stack cm-errors")
        self._shown: object = None

    def show(self, failed: Sequence[RequestSummary]) -> None:
        """What it is now."""
        if (fresh := [one.id for one in failed]) == self._shown:
            return
        self._shown = fresh
        self._room.clear()
        with self._room:
            if not failed:
                text("Nothing that is kept has failed.", "cm-muted")
            for one in failed:
                self._line(one)

    def _line(self, failed: RequestSummary) -> None:
        words, _ = ending(failed.terminal, failed.success, failed.status_code)
        with box("cm-error", "a") as link:
            text(failed.error_message or words, "cm-cut cm-strong")
            Moment(moment(failed.timestamp), "ago", classes="cm-note")
            text(f"{words} · {failed.account_used or failed.host} · {failed.model or failed.path}", "cm-cut")
        link.props["href"] = f"/requests/{failed.id}"
