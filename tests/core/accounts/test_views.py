"""Rankings are kept for what makes a difference, and no more of them than that."""

import random

from codemie_core.accounts import views as view_module
from codemie_core.accounts.health import Health
from codemie_core.accounts.member import Member
from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.accounts.views import Views
from support.pools import HAIKU, NOW, OPUS, ORIGIN, named_account, used

LEAST_USED = STRATEGIES["least-used"]


def member(name: str, **changes: object) -> Member:
    return Member(named_account(name, **changes), 0, Health(name))


def views(*members: Member) -> Views:
    made = Views(LEAST_USED, random.Random(1).random)
    made.reset({one.id: one for one in members}, LEAST_USED)
    return made


def test_models_share_a_view_until_it_makes_a_difference_which_one_is_asked() -> None:
    some = views(member("a"), member("b"))
    assert some.of(ORIGIN, OPUS, False, NOW) is some.of(ORIGIN, HAIKU, False, NOW)
    some.benched(OPUS)
    assert some.of(ORIGIN, OPUS, False, NOW) is not some.of(ORIGIN, HAIKU, False, NOW)
    choosy = views(member("a"), member("b", deny=(HAIKU,)))
    assert [one.id for one in choosy.of(ORIGIN, HAIKU, False, NOW).everyone] == ["a"]
    assert [one.id for one in choosy.of(ORIGIN, OPUS, False, NOW).everyone] == ["a", "b"]


def test_models_that_clients_make_up_do_not_pile_up() -> None:
    some = views(member("a", deny=("x",)))
    for number in range(view_module.MOST_VIEWS * 3):
        some.of(ORIGIN, f"model-{number}", False, NOW)
    assert len(some._views) <= view_module.MOST_VIEWS


def test_paused_accounts_are_known_and_not_ranked() -> None:
    view = views(member("a", paused=""), member("b")).of(ORIGIN, OPUS, False, NOW)
    assert [one.id for one in view.everyone] == ["a", "b"]
    assert [one.id for one in view.ranking.members] == ["b"]


def test_an_account_whose_window_resets_is_looked_at_again_by_itself() -> None:
    full, half = member("a"), member("b")
    full.health.note(used(("5h", 0.9, NOW + 60)), NOW)
    half.health.note(used(("5h", 0.5, NOW + 600)), NOW)
    some = views(full, half)
    for one in (full, half):
        some.await_reset(one, NOW)
    best = some.of(ORIGIN, OPUS, False, NOW).ranking.best
    assert best(NOW) is half
    some.tick(NOW + 60)
    assert best(NOW + 60) is full


def test_waiting_for_resets_holds_no_more_than_there_are_accounts() -> None:
    one = member("a")
    some = views(one)
    for number in range(1000):
        one.health.note(used(("requests", 0.5, NOW + 60 + number)), NOW)
        some.await_reset(one, NOW)
    assert len(some._resets) == 1
