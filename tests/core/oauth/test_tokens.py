"""Tokens from answers, to the vault and back."""

import json
import math
from typing import Any

import pytest
from pydantic import SecretStr

from codemie_core.oauth.errors import OAuthFailed
from codemie_core.oauth.tokens import Tokens

NOW = 1_800_000_000.0
FORMER = Tokens(SecretStr("planted-a0"), SecretStr("planted-r0"), NOW - 10, NOW - 3610, "one two", "lab")


def test_what_is_sealed_is_what_was_given() -> None:
    assert Tokens.parse(FORMER.dump()) == FORMER
    bare = Tokens(SecretStr("planted-a0"), None, None, NOW, "", "lab")
    assert Tokens.parse(bare.dump()) == bare


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "planted", '{"access": ""}', '{"access": 5, "refresh": ""}'])
def test_what_is_not_tokens_is_told_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"^these are not the tokens of a sign-in$"):
        Tokens.parse(text)


def test_secrets_are_in_no_repr() -> None:
    assert "planted" not in repr(FORMER)


@pytest.mark.parametrize(
    ("answer", "refresh", "expires_at", "scope"),
    [
        ({"expires_in": 3600, "refresh_token": "planted-r1", "scope": "one"}, "planted-r1", NOW + 3600, "one"),
        ({"expires_in": "3600"}, "planted-r0", NOW + 3600, "one two"),
        ({"expires_in": 60, "refresh_token": ""}, "planted-r0", NOW + 60, "one two"),
        ({"expires_in": 60, "refresh_token": None}, "planted-r0", NOW + 60, "one two"),
        ({"expires_in": -5}, "planted-r0", None, "one two"),
        ({"expires_in": 0}, "planted-r0", None, "one two"),
        ({"expires_in": 1e300}, "planted-r0", NOW + 10 * 366 * 86_400, "one two"),
        ({"expires_in": True}, "planted-r0", None, "one two"),
        ({"expires_in": "soon"}, "planted-r0", None, "one two"),
        ({"expires_in": "nan"}, "planted-r0", None, "one two"),
        ({"token_type": "bearer"}, "planted-r0", None, "one two"),
    ],
)
def test_an_answer_is_read_and_what_it_leaves_out_stays(
    answer: dict[str, Any], refresh: str, expires_at: float | None, scope: str
) -> None:
    tokens = Tokens.from_response({"access_token": "planted-a1", **answer}, "lab", NOW, FORMER)
    assert tokens.access.get_secret_value() == "planted-a1"
    assert tokens.refresh is not None
    assert tokens.refresh.get_secret_value() == refresh
    assert (tokens.expires_at, tokens.obtained_at, tokens.scope, tokens.provider) == (expires_at, NOW, scope, "lab")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": ""},
        {"access_token": None},
        {"access_token": ["planted"]},
        {"access_token": "planted\r\nx-other: 1"},
        {"access_token": "planted a"},
        {"access_token": "plänted"},
        {"access_token": "planted", "refresh_token": 7},
        {"access_token": "planted", "token_type": "mac"},
    ],
)
def test_an_answer_without_a_usable_token_fails_without_being_shown(answer: dict[str, Any]) -> None:
    with pytest.raises(OAuthFailed) as failed:
        Tokens.from_response(answer, "lab", NOW)
    assert "planted" not in str(failed.value)
    assert not failed.value.lasting


def test_a_token_that_says_nothing_of_its_end_has_none() -> None:
    tokens = Tokens.from_response({"access_token": "planted-a1"}, "lab", NOW)
    assert (tokens.left(NOW), tokens.lifetime, tokens.refresh, tokens.scope) == (math.inf, math.inf, None, "")
    assert (FORMER.left(NOW), FORMER.lifetime) == (-10, 3600)


def test_commands_find_the_access_token_where_they_look() -> None:
    assert json.loads(FORMER.dump())["access"] == "planted-a0"
