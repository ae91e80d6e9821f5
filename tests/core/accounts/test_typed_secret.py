import pytest
from pydantic import SecretStr

from codemie_core.accounts import typed_secret
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.accounts.typed_secret import LONGEST, checked, hints
from codemie_core.errors import SettingsError

WHAT = "the key of main"


@pytest.mark.parametrize(
    "typed",
    ["planted-key", "  planted-key \n", '"planted-key"', "'planted-key'", "Bearer planted-key", '"Bearer planted-key"'],
)
def test_what_comes_along_with_a_pasted_secret_is_left_out(typed: str) -> None:
    assert checked(typed, WHAT).get_secret_value() == "planted-key"


@pytest.mark.parametrize(
    "typed, words",
    [
        ("", "is empty; nothing was stored"),
        (" \n", "is empty"),
        ("''", "is empty"),
        ("$OPENAI_API_KEY", "is the name of a variable"),
        ("${OPENAI_API_KEY}", "is the name of a variable"),
        ("ANTHROPIC_API_KEY=planted-key", "begins like a line of an .env file"),
        ('export OPENAI_API_KEY="planted-key"', "begins like a line of an .env file"),
        ("planted key", "one word of ASCII"),
        ("planted\x00key", "one word of ASCII"),
        ("plänted", "one word of ASCII"),
        ("planted" + "x" * LONGEST, "up to 16 KiB"),
    ],
)
def test_what_can_be_no_secret_is_refused_and_not_repeated(typed: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        checked(typed, WHAT)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    "provider, secret, words",
    [
        ("openai", "sk-ant-api03-planted", "looks like a key of Anthropic, and the account is one of OpenAI"),
        ("anthropic", "sk-proj-planted", "--provider openai"),
        ("anthropic", "sk-" + "p" * 48, "--provider openai"),
        ("openai", "AIza" + "p" * 35, "--provider gemini"),
        ("gemini", "sk-or-v1-planted", "--provider openai-compatible"),
        ("anthropic", "eyJplanted.planted.planted", "--provider codemie"),
        ("anthropic", "sk-ant-oat01-planted", "the token of a sign-in, not an API key"),
        ("anthropic-compatible", "cmk_planted_planted", "a client key of this proxy"),
    ],
)
def test_a_secret_of_somebody_else_is_told(provider: str, secret: str, words: str) -> None:
    [hint] = hints(provider, SecretStr(secret))
    assert words in hint
    assert "planted" not in hint


@pytest.mark.parametrize(
    "provider, secret",
    [
        ("anthropic", "sk-ant-api03-planted"),
        ("openai", "sk-proj-planted"),
        ("gemini", "AIza" + "p" * 35),
        ("codemie", "eyJplanted.planted.planted"),
        ("openai-compatible", "sk-ant-planted"),
        ("anthropic-compatible", "sk-proj-planted"),
        ("anthropic", "something-new-planted"),
    ],
)
def test_a_secret_that_may_be_right_is_taken_without_a_word(provider: str, secret: str) -> None:
    assert hints(provider, SecretStr(secret)) == []


def test_shapes_name_providers_there_are() -> None:
    assert {owner for _, owner in typed_secret._SHAPES} <= PROVIDERS.keys()
