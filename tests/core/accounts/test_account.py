"""An account as a value: what it may be asked for, where it is."""

import dataclasses

import pytest

from codemie_core.accounts.account import NAME, Account, Kind, SecretRef, Source
from codemie_core.errors import SettingsError

MAIN = Account("id-1", "main", "anthropic", Kind.API_KEY, "https://api.anthropic.com/")


@pytest.mark.parametrize(
    "allow, deny, model, allowed",
    [
        ((), (), "claude-opus-4-1", True),
        ((), (), "", True),
        (("claude-haiku-*",), (), "claude-haiku-4-5", True),
        (("claude-haiku-*",), (), "claude-opus-4-1", False),
        (("claude-haiku-*",), (), "", True),
        ((), ("claude-opus-*",), "claude-opus-4-1", False),
        (("claude-*",), ("claude-opus-*",), "claude-opus-4-1", False),
        (("claude-*",), ("claude-opus-*",), "claude-sonnet-4-5", True),
        (("Claude-*",), (), "claude-sonnet-4-5", False),
    ],
)
def test_the_lists_say_which_models_it_serves(
    allow: tuple[str, ...], deny: tuple[str, ...], model: str, allowed: bool
) -> None:
    assert dataclasses.replace(MAIN, allow=allow, deny=deny).allows(model) is allowed


@pytest.mark.parametrize(
    "base_url, origin, path",
    [
        ("https://api.anthropic.com/", "https://api.anthropic.com:443", ""),
        ("https://gateway.example.com/anthropic", "https://gateway.example.com:443", "/anthropic"),
        ("http://127.0.0.1:8081", "http://127.0.0.1:8081", ""),
    ],
)
def test_an_origin_always_names_its_port(base_url: str, origin: str, path: str) -> None:
    account = dataclasses.replace(MAIN, base_url=base_url)
    assert (account.origin, account.target.path) == (origin, path)


def test_a_base_url_that_is_none_is_told_with_the_account() -> None:
    with pytest.raises(SettingsError, match="account main"):
        _ = dataclasses.replace(MAIN, base_url="ftp://files.example.com").origin


@pytest.mark.parametrize("name", ["main", "a.b-c_d@e+f", "9"])
def test_a_plain_name_is_one(name: str) -> None:
    assert NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "a\nb", "x" * 65, "ä"])
def test_what_would_confuse_a_table_or_a_shell_is_no_name(name: str) -> None:
    assert not NAME.fullmatch(name)


def test_where_a_secret_is_says_nothing_of_the_secret() -> None:
    assert repr(SecretRef(Source.ENV, "MY_KEY")) == "SecretRef(source=<Source.ENV: 'env'>, place='MY_KEY')"
