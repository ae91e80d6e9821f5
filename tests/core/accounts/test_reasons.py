"""Phrases for people."""

import dataclasses

import pytest

from codemie_core.accounts import reasons
from codemie_core.accounts.health import Health
from codemie_core.accounts.member import Member
from codemie_core.accounts.state import Cooldown
from support.pools import GUESS, NOW, OPUS, Proxy, named_account, used, verified

LIMITED = Cooldown("main", "", NOW + 60, "limited (429)", True, 1, NOW)


def member(cooldown: Cooldown | None = None, **changes: object) -> Member:
    one = Member(named_account("main", **changes), 0, Health("main"))
    if cooldown is not None:
        one.health.put(cooldown)
    return one


def test_a_moved_conversation_says_what_is_wrong_with_its_account() -> None:
    at = reasons.clock(NOW + 60, NOW)
    model = dataclasses.replace(LIMITED, model=OPUS, verified=False)
    assert [
        reasons.moved(None, OPUS, NOW),
        reasons.moved(member(paused="lunch"), OPUS, NOW),
        reasons.moved(member(LIMITED), OPUS, NOW),
        reasons.moved(member(model), OPUS, NOW),
    ] == [
        "moved: its account is gone",
        "moved: main is paused: lunch",
        f"moved: main is limited until {at} (upstream said so)",
        f"moved: main is out of {OPUS} until {at} (a guess)",
    ]


def test_a_time_of_another_day_names_the_day() -> None:
    assert len(reasons.clock(NOW + 60, NOW)) == len("12:03")
    assert len(reasons.clock(NOW + 3 * 86400, NOW)) == len("2027-01-15 12:03")


@pytest.mark.parametrize(
    "changes, cooldown, reason",
    [
        ({"paused": "lunch"}, LIMITED, "paused: lunch"),
        ({"paused": ""}, None, "paused"),
        ({"needs_login": True}, None, "sign in again"),
        ({}, LIMITED, "limited (429)"),
        ({}, dataclasses.replace(LIMITED, model=OPUS), f"{OPUS}: limited (429)"),
        ({}, None, ""),
    ],
)
def test_why_an_account_is_out(changes: dict[str, object], cooldown: Cooldown | None, reason: str) -> None:
    assert reasons.out(member(cooldown, **changes), OPUS, NOW) == reason


def test_an_accounts_state_from_good_to_bad_and_back() -> None:
    proxy = Proxy("a")
    status = lambda: proxy.pool.status("a")  # noqa: E731 - asked after each step
    assert (status().state, status().utilization) == ("ready", None)
    choice = proxy.choice("c")
    proxy.succeed(choice, used(("5h", 0.25, None)))
    assert (status().state, status().utilization, status().conversations) == ("in use", 0.25, 1)
    proxy.bench("a", GUESS)
    assert (status().state, status().until, status().verified) == ("guessed", NOW + 60, False)
    proxy.bench("a", verified(NOW + 90))
    assert (status().state, status().until, status().verified) == ("limited", NOW + 90, True)
    proxy.wait(90)
    assert status().state == "in use"
    proxy.bench("a", GUESS)
    proxy.wait(120)
    assert status().state == "recovering"
    proxy.choice("c")
    assert (status().state, status().until) == ("probing", NOW + 240)
    proxy.pool.set_accounts([named_account("a", paused="lunch")])
    assert (status().state, status().reason) == ("paused", "lunch")
    proxy.pool.set_accounts([named_account("a", needs_login=True)])
    assert status().state == "sign in again"
    assert proxy.pool.status("nobody").state == "unknown"
