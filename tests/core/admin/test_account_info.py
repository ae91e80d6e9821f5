"""What an account looks like in every state: names and texts that scripts and the page build on."""

from dataclasses import replace

import pytest

from codemie_core.accounts.account import Account, Kind, SecretRef, Source
from codemie_core.accounts.state import Cooldown, Status, Usage
from codemie_core.accounts.verdicts import REFUSED
from codemie_core.accounts.words import moment
from codemie_core.admin.account_info import AccountInfo, Known
from codemie_core.egress import OutboundProxy
from support.stored import new_account

NOW = 1_790_000_000.0
MAIN = replace(new_account("main", "https://api.anthropic.com"), created_at=1_780_000_000_000)


def info(status: Status, account: Account = MAIN, windows: tuple[Usage, ...] = ()) -> AccountInfo:
    rest = Cooldown(account.id, "", status.until or 0, status.reason, status.verified, 0, NOW - 5)
    return Known(account, status, windows, rest, NOW).as_info()


@pytest.mark.parametrize(
    "status, limit, until",
    [
        (Status("ready"), "OK", None),
        (Status("paused", "holidays"), "OK", None),
        (Status("limited", "full", NOW + 720, True), "limited (12m)", NOW + 720),
        (Status("guessed", "overloaded", NOW + 61), "limited, a guess (1m)", NOW + 61),
        # A key that is refused is no limit.
        (Status("guessed", REFUSED, NOW + 61), "OK", None),
        (Status("recovering", "overloaded"), "OK", None),
    ],
)
def test_a_limit_is_told_with_the_minutes_that_are_left(status: Status, limit: str, until: float | None) -> None:
    found = info(status)
    assert (found.state, found.rate_limit_status) == (status.state, limit)
    assert found.rate_limited_until == found.rate_limit_reset == moment(until)
    assert (found.rate_limited_at is None) is (until is None)


def test_the_fullest_window_counts_and_one_that_has_reset_does_not() -> None:
    windows = (
        Usage(MAIN.id, "5h", 0.9, NOW - 1, NOW - 100),
        Usage(MAIN.id, "7d", 0.4, NOW + 500, NOW - 100),
        Usage(MAIN.id, "opus", 0.2, NOW + 100, NOW - 100),
    )
    found = info(Status("ready", utilization=0.4), windows=windows)
    assert (found.usage_window, found.usage_utilization) == ("7d", 0.4)
    assert found.rate_limit_reset == moment(NOW + 100)
    assert [window.name for window in found.windows] == ["5h", "7d", "opus"]


def test_json_has_ccflares_names_and_no_tier() -> None:
    shown = info(Status("ready")).model_dump(mode="json")
    assert {"requestCount", "lastUsed", "rateLimitStatus", "tokenExpiresAt", "customEndpoint"} <= shown.keys()
    assert "tier" not in shown
    assert shown["created"] == "2026-05-28T20:26:40.000Z"
    assert shown["customEndpoint"] is None


def test_where_a_secret_is_had_from_is_shown_without_what_a_command_may_hold() -> None:
    secret = SecretRef(Source.COMMAND, "vault read --token=sk-ant-api03-" + "planted0" * 8)
    way = OutboundProxy("http", "proxy.test", 3128)
    found = info(Status("ready"), replace(MAIN, secret=secret, outbound_proxy=way))
    assert found.secret.source == "command"
    assert "planted" not in found.model_dump_json()
    assert found.outbound_proxy == "http://proxy.test:3128"


def test_a_sign_in_that_is_over_names_the_command() -> None:
    account = replace(MAIN, kind=Kind.OAUTH, needs_login=True)
    found = info(Status("sign in again"), account)
    assert (found.token_status, found.requires_reauth) == ("expired", True)
    assert found.remedy == "codemie-proxy auth login anthropic --name main"
