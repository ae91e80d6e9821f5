from typing import Any

from codemie_core.accounts.account import Kind
from codemie_core.accounts.state import Cooldown, Status, Usage
from codemie_core.admin.account_info import Known
from codemie_core.admin.pages.accounts import mood_of_window, shown
from support.stored import new_account

NOW = 1_000_000.0


def test_the_browser_gets_what_it_counts_down_as_numbers() -> None:
    account = new_account("spare", "https://api.anthropic.com")
    rest = Cooldown(account.id, "", NOW + 60, "5h limit", True, 0, NOW)
    windows = [Usage(account.id, "5h", 0.95, NOW + 60, NOW)]
    status = Status("limited", "5h limit", NOW + 60, True, 0.95)
    told = shown(Known(account, status, windows, rest, NOW).as_info())
    assert told["until"] == (NOW + 60) * 1000
    assert (told["state"], told["mood"], told["verified"]) == ("limited", "warn", True)
    assert told["windows"] == [{"name": "5h", "percent": 95, "mood": "warn", "resets": (NOW + 60) * 1000}]


def test_a_key_is_replaced_and_a_sign_in_is_renewed() -> None:
    for kind, can, cannot in ((Kind.API_KEY, "key", "sign in"), (Kind.OAUTH, "sign in", "key")):
        account = new_account("main", "https://api.anthropic.com", kind=kind)
        pairs: Any = shown(Known(account, Status("ready"), [], None, NOW).as_info())["acts"]
        acts = dict(pairs)
        assert can in acts
        assert cannot not in acts


def test_a_window_warns_before_it_is_full() -> None:
    assert [mood_of_window(part) for part in (0.1, 0.9, 1.0, 1.2)] == ["", "warn", "bad", "bad"]
