"""Which account a request gets: stickiness, moves, exclusions, fallback models."""

import pytest

from codemie_core.accounts import reasons
from codemie_core.accounts.account import Account
from codemie_core.accounts.asking import Ask
from codemie_core.accounts.verdicts import Scope
from support.pools import GUESS, HAIKU, NOTHING, NOW, OPUS, ORIGIN, Proxy, named_account, overload, verified

OTHER = "https://gateway.example.com:443"
SONNET = "claude-sonnet-4-5"


def test_a_conversation_keeps_its_account_for_five_hours_after_its_last_use() -> None:
    proxy = Proxy("a", "b", "c", "d")
    home = proxy.name("c")
    for _ in range(20):
        proxy.wait(17999)
        assert (proxy.name("c"), proxy.choice("c").why) == (home, reasons.KEPT)
    proxy.wait(18000)
    assert proxy.choice("c").why == "new conversation, priority 0"


def test_requests_without_a_conversation_take_turns() -> None:
    proxy = Proxy("a", "b", "c")
    assert len({proxy.name() for _ in range(3)}) == 3
    assert proxy.choice().why == "no conversation, priority 0"


def test_a_better_priority_takes_new_conversations_only() -> None:
    proxy = Proxy(named_account("b", priority=5))
    assert proxy.name("old") == "b"
    proxy.pool.set_accounts([named_account("a", priority=1), named_account("b", priority=5)])
    assert [proxy.name("old"), proxy.name("new")] == ["b", "a"]


def homed(**changes: object) -> Proxy:
    """Conversation "c" lives on a; b and c come after."""
    return Proxy(named_account("a", **changes), named_account("b", priority=1), named_account("c", priority=2))


def others(*first: Account) -> list[Account]:
    return [*first, named_account("b", priority=1), named_account("c", priority=2)]


@pytest.mark.parametrize("how", ["limited", "guess", "overload", "model", "paused", "needs login", "removed"])
def test_a_conversation_moves_once_when_its_account_is_out_and_does_not_move_back(how: str) -> None:
    proxy = homed()
    assert proxy.name("c") == "a"
    match how:
        case "limited":
            proxy.bench("a", verified(NOW + 600))
        case "guess":
            proxy.bench("a", GUESS)
        case "overload":
            proxy.bench("a", overload(NOW))
        case "model":
            proxy.bench("a", verified(NOW + 600, Scope.MODEL))
        case "paused":
            proxy.pool.set_accounts(others(named_account("a", paused="lunch")))
        case "needs login":
            proxy.pool.set_accounts(others(named_account("a", needs_login=True)))
        case "removed":
            proxy.pool.set_accounts(others())
    moved = proxy.choice("c")
    assert (moved.account.name, moved.why[:6]) == ("b", "moved:")
    proxy.wait(601)
    proxy.pool.set_accounts(others(named_account("a")))
    assert proxy.choice("c").why == reasons.KEPT
    assert [proxy.name("c"), proxy.name("c", HAIKU)] == ["b", "b"]


def test_a_failed_request_moves_alone() -> None:
    proxy = homed()
    first = proxy.choice("c")
    proxy.fail(first, NOTHING)
    second = proxy.choice("c", OPUS, first.tried)
    assert (second.account.name, second.why) == ("b", "this request only: a failed it")
    third = proxy.choice("c", OPUS, first.tried, second.tried)
    assert third.account.name == "c"
    assert proxy.name("c") == "a"
    assert [one.reason for one in proxy.nobody("c", OPUS, "a", "b", "c")] == [reasons.FAILED] * 3


def test_while_its_account_is_probed_by_another_a_conversation_goes_elsewhere_but_stays_at_home() -> None:
    proxy = homed()
    assert proxy.name("c") == "a"
    proxy.bench("a", GUESS)
    proxy.wait(60)
    probe = proxy.choice("other")
    assert (probe.account.name, probe.probe) == ("a", True)
    assert proxy.choice("c").why == "this request only: a is being tried by another one"
    proxy.succeed(probe)
    assert proxy.choice("c").why == reasons.KEPT
    assert proxy.name("c") == "a"


def test_the_conversation_itself_may_be_the_probe() -> None:
    proxy = Proxy("a")
    proxy.choice("c")
    proxy.bench("a", GUESS)
    proxy.wait(60)
    probe = proxy.choice("c")
    assert (probe.probe, probe.why) == (True, reasons.KEPT + reasons.BACK)
    waits = proxy.nobody("c")
    assert [(one.reason, one.until) for one in waits] == [("probing", NOW + 61)]


def test_what_its_account_never_serves_lives_beside_it() -> None:
    gemini = named_account("g", base_url=OTHER.removesuffix(":443"))
    proxy = Proxy(
        named_account("opus1", allow=("*opus*",)),
        named_account("opus2", allow=("*opus*",)),
        named_account("haiku1", allow=("*haiku*",)),
        named_account("haiku2", allow=("*haiku*",)),
        gemini,
    )
    opus, haiku = proxy.name("c"), proxy.name("c", HAIKU)
    for _ in range(5):
        assert (proxy.name("c"), proxy.name("c", HAIKU)) == (opus, haiku)
        assert proxy.choice("c", "gemini-3", origin=OTHER).account.name == "g"


def test_accounts_serve_their_own_origin_and_those_they_name() -> None:
    proxy = Proxy("a", named_account("b", base_url="https://gateway.example.com", serves=(ORIGIN,), priority=1))
    assert [proxy.pool.homes(ORIGIN), proxy.pool.homes(OTHER), proxy.pool.homes("https://else.example:443")] == [
        True,
        True,
        False,
    ]
    assert proxy.choice("x", origin=OTHER).account.name == "b"
    assert [proxy.name("y"), proxy.name("y", OPUS, "a")] == ["a", "b"]
    assert proxy.pool.choose(Ask("https://else.example:443", OPUS)) == ()


def test_a_model_that_is_out_on_an_account_leaves_its_other_models_there() -> None:
    proxy = homed()
    proxy.bench("a", verified(NOW + 600, Scope.MODEL))
    assert [proxy.name("x"), proxy.name("y", HAIKU), proxy.name("z", "")] == ["b", "a", "a"]


def test_an_account_that_denies_a_model_says_so() -> None:
    proxy = Proxy(named_account("a", deny=("*opus*",)))
    assert [one.reason for one in proxy.nobody()] == [f"does not serve {OPUS}"]


def test_a_fallback_model_is_asked_for_only_when_every_account_is_out() -> None:
    proxy = homed(fallback_model=SONNET)
    proxy.bench("a", verified(NOW + 600, Scope.MODEL))
    proxy.bench("b", verified(NOW + 600))
    assert (proxy.name("c"), proxy.choice("c").model) == ("c", "")
    proxy.bench("c", verified(NOW + 60))
    choice = proxy.choice("c")
    assert (choice.account.name, choice.model, choice.tried) == ("a", SONNET, f"a {SONNET}")
    assert choice.why.startswith(f"{SONNET} instead of {OPUS}: ")
    proxy.wait(60)
    assert (proxy.name("c"), proxy.choice("c").model) == ("c", "")


def test_an_account_that_is_out_altogether_is_not_asked_for_its_fallback() -> None:
    proxy = Proxy(named_account("a", fallback_model=SONNET))
    proxy.bench("a", verified(NOW + 600))
    assert [one.until for one in proxy.nobody()] == [NOW + 600]


def test_in_one_exchange_an_account_is_tried_once_for_each_model() -> None:
    proxy = Proxy(named_account("a", fallback_model=SONNET))
    first = proxy.choice("c")
    proxy.fail(first, verified(NOW + 600, Scope.MODEL))
    second = proxy.choice("c", OPUS, first.tried)
    assert (second.account.name, second.model) == ("a", SONNET)
    proxy.fail(second, NOTHING)
    proxy.nobody("c", OPUS, first.tried, second.tried)


def test_an_account_that_failed_without_running_out_is_not_asked_for_its_fallback() -> None:
    proxy = Proxy(named_account("a", fallback_model=SONNET))
    first = proxy.choice("c")
    proxy.fail(first, NOTHING)
    proxy.nobody("c", OPUS, first.tried)


def test_the_pools_own_fallbacks_come_last_and_in_order() -> None:
    rules = [f"claude-opus-*={SONNET}", f"claude-*={HAIKU}"]
    proxy = Proxy("a", named_account("b", fallback_model="own", priority=1), fallback_models=rules)
    models = []
    for name, model in (("a", OPUS), ("b", OPUS), ("b", "own"), ("a", SONNET), ("b", SONNET)):
        proxy.bench(name, verified(NOW + 600, Scope.MODEL), model)
        models.append(proxy.choice().model)
    assert models == ["", "own", SONNET, SONNET, HAIKU]


def test_without_a_model_there_is_nothing_to_fall_back_to() -> None:
    proxy = Proxy(named_account("a", fallback_model=SONNET), fallback_models=["*=x"])
    proxy.bench("a", verified(NOW + 60))
    proxy.nobody("", "")


def test_looking_has_no_effect() -> None:
    proxy = Proxy("a", "b")
    ask = Ask(ORIGIN, OPUS, "c")
    before = proxy.pool.peek(ask)
    assert all(proxy.pool.peek(ask) == before for _ in range(5))
    assert proxy.pool.drain() == []
    proxy.bench("a", GUESS)
    proxy.bench("b", GUESS)
    proxy.wait(60)
    proxy.pool.peek(ask)
    assert proxy.choice("c").probe


def test_names_of_any_length_are_told_apart() -> None:
    proxy = Proxy("a", "b", "c")
    long = ["x" * 5000 + end for end in "123\ud800"]
    assert [proxy.name(key) for key in long] == [proxy.name(key) for key in long]
    assert len({proxy.name(key) for key in long}) == 3
    assert all(len(home.key) < 100 for home in proxy.saved().homes)


def test_each_account_says_why_it_is_out() -> None:
    proxy = Proxy(named_account("a", paused="lunch"), named_account("b", needs_login=True), "c", "d")
    proxy.bench("c", verified(NOW + 600))
    proxy.bench("d", verified(NOW + 60, Scope.MODEL))
    assert [(one.name, one.reason, one.until) for one in proxy.nobody()] == [
        ("a", "paused: lunch", None),
        ("b", "sign in again", None),
        ("c", "limited (429)", NOW + 600),
        ("d", f"{OPUS}: limited (429)", NOW + 60),
    ]
