import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from codemie_core.accounts import words
from codemie_core.accounts.account import Account, Kind, SecretRef, Source
from codemie_core.accounts.state import Cooldown, Status
from codemie_core.accounts.verdicts import REFUSED
from codemie_core.accounts.words import NO_SECRET
from codemie_core.egress import parse_proxy

NOON = time.mktime((2026, 8, 21, 12, 0, 0, 0, 0, -1))
MAIN = Account("id-1", "main", "anthropic", Kind.API_KEY, "https://api.anthropic.com", created_at=1_755_000_000_000)


def out(model: str = "", **changes: object) -> Cooldown:
    return replace(Cooldown("id-1", model, NOON + 180, "out of credits", True, 0, NOON), **changes)  # type: ignore[arg-type]  # a table of any of its fields


@pytest.mark.parametrize(
    "status, expected",
    [
        (Status("ready"), "ready"),
        (Status("in use", conversations=2), "in use"),
        (Status("limited", "5-hour limit", NOON + 180, True), "limited until 12:03 (upstream said so)"),
        (Status("guessed", "overloaded", NOON + 10), "limited until 12:00 (a guess)"),
        (
            Status("limited", "weekly limit", NOON + 5 * 86400, True),
            "limited until 2026-08-26 12:00 (upstream said so)",
        ),
        (Status("recovering", "limited"), "recovering: the next request tries it"),
        (Status("probing", "limited"), "recovering: one request is trying it"),
        (Status("guessed", REFUSED, NOON + 60), "key refused, tried again at 12:01"),
        (Status("guessed", NO_SECRET, NOON + 60), "secret missing, tried again at 12:01"),
        (Status("sign in again"), "sign in again"),
        (Status("paused", "holidays"), "paused: holidays"),
    ],
)
def test_a_state_in_words(status: Status, expected: str) -> None:
    account = replace(MAIN, paused=status.reason) if status.state == "paused" else MAIN
    assert words.state_words(account, status, NOON) == expected
    assert words.line(account, status, NOON).startswith(f"main (anthropic), priority 0: {expected}")


def test_a_line_holds_reason_use_and_models() -> None:
    status = Status("limited", "5-hour limit", NOON + 180, True, 0.987, 3, (out("claude-a"),))
    assert words.line(MAIN, status, NOON) == (
        "main (anthropic), priority 0: limited until 12:03 (upstream said so), 5-hour limit, 99% used, without claude-a"
    )


@pytest.mark.parametrize(
    "secret, kind, expected",
    [
        (SecretRef(), Kind.API_KEY, "the vault"),
        (SecretRef(), Kind.OAUTH, "the vault, from a sign-in"),
        (SecretRef(Source.ENV, "MY_KEY"), Kind.API_KEY, "the environment variable MY_KEY of the proxy"),
        (SecretRef(Source.COMMAND, "pass show x"), Kind.API_KEY, "what this command prints: pass show x"),
        (SecretRef(Source.KEYRING, "work"), Kind.API_KEY, "the keyring, under work"),
    ],
)
def test_where_a_secret_is_had_from(secret: SecretRef, kind: Kind, expected: str) -> None:
    assert words.secret_words(replace(MAIN, secret=secret, kind=kind)) == expected


def test_json_has_the_same_keys_whatever_is_known() -> None:
    bare = words.as_json(MAIN, Status("ready"), NOON)
    proxy = parse_proxy("http://ann:planted-password@proxy.example.com:3128", "test")
    full = replace(
        MAIN,
        paused=None,
        tags=("a",),
        allow=("claude-*",),
        fallback_model="claude-b",
        serves=("https://api.openai.com:443",),
        outbound_proxy=proxy,
        secret=SecretRef(Source.COMMAND, "show --token sk-ant-api03-planted-planted-planted-planted"),
    )
    status = Status("limited", "5-hour limit", NOON, True, 0.5, 1, (out("claude-a"),))
    shown = words.as_json(full, status, NOON)
    assert shown.keys() == bare.keys()
    assert shown["until"] == datetime.fromtimestamp(NOON, UTC).isoformat(timespec="seconds")
    assert shown["outbound_proxy"] == "http://proxy.example.com:3128"
    assert shown["models_out"][0].keys() == {"model", "until", "verified", "reason"}
    assert (bare["reason"], bare["until"], bare["utilization"]) == (None, None, None)
    assert "planted" not in json.dumps(shown)


def test_an_end_that_no_calendar_has_is_shown_all_the_same() -> None:
    assert words.moment(1e18) == "9999-12-30T00:00:00+00:00"


def test_all_about_an_account_leaves_out_what_is_not_set() -> None:
    names = [name for name, _ in words.lines(MAIN, Status("ready"), NOON)]
    assert names == ["Account", "Provider", "API", "State", "Priority", "Secret", "Since"]
    account = replace(MAIN, paused="holidays", deny=("claude-opus-*",), serves=("https://x:443",), tags=("eu", "team"))
    rows = dict(words.lines(account, Status("paused", "holidays", conversations=1, models=(out("claude-a"),)), NOON))
    assert rows["Models"] == "all, but not claude-opus-*"
    assert rows["Models out"] == "claude-a until 12:03: out of credits"
    assert rows["In use by"] == "1 conversation"
    assert rows["To mend it"] == "codemie-proxy accounts resume main"
    assert "Why" not in rows


@pytest.mark.parametrize(
    "account, status, command",
    [
        (MAIN, Status("paused"), "codemie-proxy accounts resume main"),
        (MAIN, Status("sign in again"), "codemie-proxy auth login anthropic --name main"),
        (MAIN, Status("guessed", REFUSED), "codemie-proxy accounts key main"),
        (
            replace(MAIN, secret=SecretRef(Source.ENV, "K")),
            Status("guessed", REFUSED),
            "codemie-proxy accounts test main",
        ),
        (MAIN, Status("guessed", NO_SECRET), "codemie-proxy accounts test main"),
        (MAIN, Status("guessed", "overloaded"), ""),
        (MAIN, Status("limited"), ""),
    ],
)
def test_what_mends_it(account: Account, status: Status, command: str) -> None:
    assert words.remedy(account, status) == command


@pytest.mark.parametrize(
    "status, color",
    [
        (Status("ready"), "green"),
        (Status("in use"), "green"),
        (Status("paused"), "dim"),
        (Status("limited"), "yellow"),
        (Status("guessed", "overloaded"), "yellow"),
        (Status("guessed", REFUSED), "red"),
        (Status("probing"), "yellow"),
        (Status("sign in again"), "red"),
        (Status("unknown"), ""),
    ],
)
def test_what_only_its_owner_can_mend_is_red(status: Status, color: str) -> None:
    assert words.style(status) == color
