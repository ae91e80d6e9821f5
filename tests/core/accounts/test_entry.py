from dataclasses import replace

import pytest

from codemie_core.accounts.account import Account, SecretRef, Source
from codemie_core.accounts.entry import Asked, account_of, proxy_user
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.errors import SettingsError

MAIN = Asked("main", "anthropic")


def made(asked: Asked) -> tuple[Account, list[str]]:
    notes: list[str] = []
    return account_of(asked, notes.append, now=lambda: 12.5), notes


def test_an_account_of_a_known_provider_needs_only_a_name() -> None:
    account, notes = made(MAIN)
    assert (account.name, account.provider, account.base_url) == ("main", "anthropic", "https://api.anthropic.com")
    assert (account.kind, account.secret) == ("api_key", SecretRef(Source.VAULT))
    assert account.created_at == 12_500
    assert notes == []
    assert made(MAIN)[0].id != account.id


def test_everything_that_is_said_is_kept() -> None:
    account, _ = made(
        Asked(
            "a.b_c@d+e-1",
            "openai-compatible",
            "https://llm.example.com/api",
            priority=3,
            weight=4,
            tags=["team", "eu", "team"],
            allow=["gpt-*"],
            deny=["gpt-4*"],
            serves=["openai", "http://127.0.0.1:9"],
            fallback_model="gpt-5-mini",
            outbound_proxy="https://ann@proxy.example.com",
            env="TEAM_KEY",
        )
    )
    assert account.base_url == "https://llm.example.com/api"
    assert (account.priority, account.weight, account.tags) == (3, 4, ("team", "eu"))
    assert (account.allow, account.deny, account.fallback_model) == (("gpt-*",), ("gpt-4*",), "gpt-5-mini")
    assert account.serves == ("https://api.openai.com:443", "http://127.0.0.1:9")
    assert account.secret == SecretRef(Source.ENV, "TEAM_KEY")
    assert account.outbound_proxy is not None
    assert account.outbound_proxy.address == ("https", ("proxy.example.com", 443))
    assert account.outbound_proxy.authorization is None


@pytest.mark.parametrize("name", ["", "-x", "two words", "a/b", "é", "a\nb", "a" * 65])
def test_a_name_that_fits_no_table_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="is no name for an account: begin with a letter or digit"):
        made(replace(MAIN, name=name))


@pytest.mark.parametrize(
    "typed, words",
    [("antropic", "did you mean 'anthropic'"), ("zzz", "There are: anthropic, openai, gemini, codemie,")],
)
def test_an_unknown_provider_is_refused_with_the_nearest(typed: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"--provider {typed}: there is no such provider; .*{words}"):
        made(replace(MAIN, provider=typed))


@pytest.mark.parametrize(
    "typed, kept, noted",
    [
        ("https://API.Example.com:443/", "https://api.example.com", False),
        ("llm.example.com/a/b/", "https://llm.example.com/a/b", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", False),
        ("http://[::1]:8000/x", "http://[::1]:8000/x", False),
        ("http://localhost/v1", "http://localhost", True),
        ("https://openrouter.example/api/v1/", "https://openrouter.example/api", True),
        ("https://gemini.example/v1beta", "https://gemini.example", True),
        ("https://llm.example.com/v1/eu", "https://llm.example.com/v1/eu", False),
    ],
)
def test_a_base_url_is_kept_in_one_form_without_the_version_that_clients_bring(
    typed: str, kept: str, noted: bool
) -> None:
    account, notes = made(replace(MAIN, base_url=typed))
    assert account.base_url == kept
    assert any("is kept without /v1" in note for note in notes) is noted


@pytest.mark.parametrize(
    "typed, words",
    [
        ("http://llm.example.com/x", "over http the secret would go .* in clear; write https://llm.example.com/x"),
        ("ftp://llm.example.com", "the scheme 'ftp' is not http or https"),
        ("https://", "there is no host in it"),
        ("https://h:99999", "write https://host"),
        ("https://h?key=1", "leave out everything from the"),
        ("https://two words", "this is no plain URL"),
    ],
)
def test_a_base_url_that_cannot_be_trusted_with_a_secret_is_refused(typed: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"--base-url .*{words}"):
        made(replace(MAIN, base_url=typed))


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="credentials do not belong in a URL") as refused:
        made(replace(MAIN, base_url="https://ann:planted-pass@llm.example.com"))
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("provider", [name for name, known in PROVIDERS.items() if not known.base_url])
def test_a_provider_that_is_elsewhere_for_everybody_needs_its_url(provider: str) -> None:
    with pytest.raises(SettingsError, match="--base-url is missing"):
        made(Asked("main", provider))


@pytest.mark.parametrize(
    "typed, words",
    [
        ("https://api.anthropic.com/v1", "leave out the path: .* all requests to https://api.anthropic.com:443"),
        ("*.anthropic.com", "write an origin, as in"),
        ("anthropic api", "write an origin, as in"),
        ("ws://api.anthropic.com", "the scheme 'ws' is not http or https"),
        ("antropic", "no such provider; did you mean 'anthropic'. A host is written https://antropic"),
        ("gateway", "no such provider; A host is written https://gateway"),
    ],
)
def test_an_origin_to_take_over_is_an_origin(typed: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"--serves .*{words}"):
        made(replace(MAIN, serves=[typed]))


@pytest.mark.parametrize("given", [{"env": "A", "command": "b"}, {"command": "b", "keyring": "c"}])
def test_an_account_has_one_secret(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="give only one of --env, --command and --keyring"):
        made(replace(MAIN, **given))  # type: ignore[arg-type]  # a table of its text fields


def test_a_secret_in_place_of_a_variable_name_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="--env takes the name of a variable") as refused:
        made(replace(MAIN, env="sk-ant-planted"))
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("command, words", [("pass 'show", "No closing quotation"), ("  ", "--command is empty")])
def test_a_command_is_one_that_can_be_split(command: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        made(replace(MAIN, command=command))


def test_the_password_of_a_proxy_is_not_taken_from_its_url() -> None:
    with pytest.raises(
        SettingsError, match=r"--outbound-proxy: leave the password out .* http://<user>@host"
    ) as refused:
        made(replace(MAIN, outbound_proxy="http://ann:planted-pass@proxy.example.com:3128"))
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("text, user", [("http://ann%40x@p:1", "ann@x"), ("http://p:1", None), ("ann@p:1", "ann")])
def test_the_user_of_a_proxy_is_the_one_its_url_names(text: str, user: str | None) -> None:
    assert proxy_user(text) == user


@pytest.mark.parametrize(
    "given, words",
    [
        ({"tags": ["two words"]}, "--tag 'two words'"),
        ({"allow": [""]}, "--allow ''"),
        ({"deny": ["a\x07"]}, "--deny"),
        ({"fallback_model": "x" * 300}, "--fallback-model"),
        ({"fallback_model": "claude-a", "deny": ["claude-*"]}, "--allow and --deny keep it from this account"),
    ],
)
def test_patterns_and_words_are_printable_and_agree(given: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        made(replace(MAIN, **given))  # type: ignore[arg-type]  # a table of any of its fields


def test_an_error_names_the_field_as_whoever_asks_writes_it() -> None:
    spelt = {"fallback_model": "fallbackModel", "allow": "allowed", "deny": "denied"}
    asked = replace(MAIN, fallback_model="claude-a", deny=["claude-*"])
    with pytest.raises(SettingsError, match=r"^fallbackModel claude-a: allowed and denied keep it"):
        account_of(asked, print, spell=lambda field: spelt.get(field, field))
