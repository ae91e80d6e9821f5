"""Which requests an account may ever get."""

import pytest

from codemie_core.accounts import member as members
from codemie_core.accounts.health import Health
from codemie_core.accounts.member import Member
from support.pools import HAIKU, OPUS, ORIGIN, named_account

OTHER = "https://gateway.example.com:443"


def member(**changes: object) -> Member:
    return Member(named_account("a", **changes), 0, Health("a"))


@pytest.mark.parametrize(
    "changes, origin, model, served",
    [
        ({}, ORIGIN, OPUS, True),
        ({}, ORIGIN, "", True),
        ({}, OTHER, OPUS, False),
        ({"serves": (OTHER,)}, OTHER, OPUS, True),
        ({"serves": (OTHER,)}, ORIGIN, OPUS, True),
        ({"allow": ("claude-opus-*",)}, ORIGIN, OPUS, True),
        ({"allow": ("claude-opus-*",)}, ORIGIN, HAIKU, False),
        ({"deny": ("*haiku*",)}, ORIGIN, HAIKU, False),
        ({"deny": ("*haiku*",)}, ORIGIN, OPUS, True),
    ],
)
def test_an_account_serves_its_origins_and_models(
    changes: dict[str, object], origin: str, model: str, served: bool
) -> None:
    one = member(**changes)
    assert [one.serves(origin, model), one.serves(origin, model)] == [served, served]


def test_answers_about_models_that_clients_make_up_are_not_kept_forever() -> None:
    one = member(deny=("bad*",))
    for number in range(members.MOST_ANSWERS * 3):
        assert one.serves(ORIGIN, f"model-{number}")
    assert len(one._allowed or ()) <= members.MOST_ANSWERS


def test_paused_accounts_and_those_to_sign_in_again_stand_still() -> None:
    assert member(paused="").stopped
    assert member(needs_login=True).stopped
    assert not member().stopped
