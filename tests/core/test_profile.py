"""The CodeMie profile: which one is chosen, what the environment changes, and what never gets in."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.profile import Profile, load_profile

SSO = {
    "name": "codemie-sso",
    "provider": "ai-run-sso",
    "codeMieUrl": "https://codemie.example.com",
    "baseUrl": "https://codemie.example.com/code-assistant-api",
    "apiKey": "planted-api-key",
    "model": "claude-sonnet-4-6",
    "timeout": 120,
    "debug": "not a bool",
    "ignorePatterns": 7,
    "codeMieProject": "proj",
    "codeMieIntegration": {"id": "integration-1", "alias": "team"},
    "jwtConfig": {"tokenEnvVar": "CODEMIE_JWT_TOKEN", "token": "planted-token"},
}
OTHER = {"provider": "litellm", "baseUrl": "http://llm.example.com:4000/", "model": "gpt-5"}
TWO = {"version": 2, "activeProfile": "sso", "userEmail": [], "profiles": {"sso": SSO, "other": OTHER}}
OWN_VARIABLES = {
    "CODEMIE_BASE_URL": "https://env.example.com",
    "CODEMIE_URL": "https://env-codemie.example.com",
    "CODEMIE_MODEL": "env-model",
    "CODEMIE_PROVIDER": "bearer-auth",
    "CODEMIE_INTEGRATION_ID": "env-integration",
}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def write(places: Places, content: Any) -> None:
    places.profile.write_text(content if isinstance(content, str) else json.dumps(content))


def test_without_a_file_the_profile_is_empty(places: Places) -> None:
    assert load_profile(places, {}) == Profile()
    assert Profile().timeout_ms is None
    assert not Profile().requires_integration


def test_without_a_file_the_environment_still_counts(places: Places) -> None:
    profile = load_profile(places, {**OWN_VARIABLES, "CODEMIE_TIMEOUT": "1.5", "CODEMIE_PROJECT": "p"})
    assert profile == Profile(
        name="default",
        provider="bearer-auth",
        base_url="https://env.example.com/code-assistant-api",
        codemie_url="https://env-codemie.example.com",
        model="env-model",
        timeout_ms=1500,
        project="p",
        integration_id="env-integration",
        auth_method="jwt",
    )


def test_the_active_profile_is_read_and_unrelated_keys_do_not_matter(places: Places) -> None:
    write(places, TWO)
    assert load_profile(places, {}) == Profile(
        name="sso",
        provider="ai-run-sso",
        base_url="https://codemie.example.com/code-assistant-api",
        codemie_url="https://codemie.example.com",
        model="claude-sonnet-4-6",
        timeout_ms=120_000,
        project="proj",
        integration_id="integration-1",
        auth_method="sso",
        jwt_token=SecretStr("planted-token"),
    )


def test_a_flat_object_of_older_tools_is_the_default_profile(places: Places) -> None:
    write(places, OTHER)
    for name in (None, "default"):
        profile = load_profile(places, {}, name)
        assert (profile.name, profile.provider, profile.model) == ("default", "litellm", "gpt-5")


def test_the_environment_wins_over_the_file_and_empty_variables_do_not(places: Places) -> None:
    write(places, TWO)
    profile = load_profile(places, {**OWN_VARIABLES, "CODEMIE_PROJECT": "", "CODEMIE_TIMEOUT": ""})
    assert (profile.name, profile.model, profile.provider) == ("sso", "env-model", "bearer-auth")
    assert (profile.integration_id, profile.codemie_url) == ("env-integration", "https://env-codemie.example.com")
    assert (profile.project, profile.timeout_ms) == ("proj", 120_000)


def test_a_profile_picked_by_name_keeps_its_own_gateway_and_model(places: Places) -> None:
    write(places, TWO)
    env = {**OWN_VARIABLES, "CODEMIE_PROJECT": "env-project", "CODEMIE_TIMEOUT": "5"}
    profile = load_profile(places, env, "other")
    assert (profile.name, profile.provider, profile.model) == ("other", "litellm", "gpt-5")
    assert (profile.base_url, profile.codemie_url) == ("http://llm.example.com:4000", "")
    assert profile.integration_id == ""
    assert (profile.project, profile.timeout_ms) == ("env-project", 5000)


def test_the_profile_of_an_outer_start_is_used_and_the_environment_still_wins(places: Places) -> None:
    write(places, TWO)
    env = {"CODEMIE_PROFILE_NAME": "other"}
    assert load_profile(places, env).name == "other"
    assert load_profile(places, {**env, "CODEMIE_MODEL": "env-model"}).model == "env-model"
    assert load_profile(places, env, "sso").name == "sso"
    with pytest.raises(SettingsError, match="CODEMIE_PROFILE_NAME: there is no profile 'othr'; did you mean 'other'"):
        load_profile(places, {"CODEMIE_PROFILE_NAME": "othr"})


def test_the_outer_start_may_have_had_no_file(places: Places) -> None:
    assert load_profile(places, {"CODEMIE_PROFILE_NAME": "default", "CODEMIE_MODEL": "m"}).model == "m"


@pytest.mark.parametrize(
    "values,environ,expected",
    [
        ({"provider": "ai-run-sso"}, {}, "sso"),
        ({"provider": "bearer-auth"}, {}, "jwt"),
        ({"provider": "ai-run-sso", "authMethod": "jwt"}, {}, "jwt"),
        ({"provider": "litellm", "authMethod": "SSO"}, {}, "sso"),
        ({"provider": "litellm"}, {}, ""),
        ({"provider": "ai-run-sso", "authMethod": "api-key"}, {}, ""),
        ({"provider": "ai-run-sso", "authMethod": "sso"}, {"CODEMIE_AUTH_METHOD": "jwt"}, "jwt"),
    ],
)
def test_how_to_sign_in_is_what_the_profile_says_else_what_is_usual(
    places: Places, values: dict[str, str], environ: dict[str, str], expected: str
) -> None:
    write(places, values)
    assert load_profile(places, environ).auth_method == expected


def test_a_profile_picked_by_name_keeps_its_own_way_to_sign_in(places: Places) -> None:
    write(places, TWO)
    assert load_profile(places, {"CODEMIE_AUTH_METHOD": "jwt"}, "sso").auth_method == "sso"


@pytest.mark.parametrize(
    "jwt,variable,token",
    [
        (None, "CODEMIE_JWT_TOKEN", None),
        ({}, "CODEMIE_JWT_TOKEN", None),
        ({"tokenEnvVar": "MY_TOKEN"}, "MY_TOKEN", None),
        ({"token": " planted "}, "CODEMIE_JWT_TOKEN", "planted"),
    ],
)
def test_where_the_token_is(places: Places, jwt: Any, variable: str, token: str | None) -> None:
    write(places, {"provider": "bearer-auth", "jwtConfig": jwt})
    profile = load_profile(places, {})
    assert (profile.jwt_variable, profile.jwt_token) == (variable, SecretStr(token) if token else None)


@pytest.mark.parametrize(
    "values,gateway",
    [
        ({"provider": "ai-run-sso", "base_url": "https://c.example/x"}, "https://c.example/x/code-assistant-api"),
        ({"provider": "ai-run-sso", "codemie_url": "https://c.example"}, "https://c.example/code-assistant-api"),
        ({"provider": "bearer-auth", "codemie_url": "https://c.example"}, ""),
        ({"provider": "litellm", "base_url": "https://l.example"}, ""),
        ({"provider": "litellm", "base_url": "https://l.example", "auth_method": "jwt"}, "https://l.example"),
        ({}, ""),
    ],
)
def test_the_gateway_is_codemies_alone(values: dict[str, Any], gateway: str) -> None:
    assert Profile(**values).gateway_url == gateway


def test_without_a_base_url_the_portals_gateway_is_the_target_of_sso(places: Places) -> None:
    write(places, {"provider": "ai-run-sso", "codeMieUrl": "https://c.example/"})
    profile = load_profile(places, {})
    assert profile.base_url == profile.gateway_url == "https://c.example/code-assistant-api"
    assert profile.hosts == ("c.example:443", "c.example:443")


def test_only_the_sso_provider_wants_an_integration() -> None:
    assert [Profile(provider=p).requires_integration for p in ("ai-run-sso", "bearer-auth", "litellm", "")] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "provider,written,expected,path",
    [
        ("ai-run-sso", "https://c.example", "https://c.example/code-assistant-api", "/code-assistant-api"),
        ("bearer-auth", "https://c.example/", "https://c.example/code-assistant-api", "/code-assistant-api"),
        ("ai-run-sso", "https://c.example/x", "https://c.example/x/code-assistant-api", "/x/code-assistant-api"),
        ("ai-run-sso", "https://c.example/code-assistant-api/", "https://c.example/code-assistant-api", None),
        ("ai-run-sso", "https://c.example/code-assistant-api/v2", "https://c.example/code-assistant-api/v2", None),
        ("litellm", "https://c.example/", "https://c.example", ""),
        ("ai-run-sso", "", "", ""),
    ],
)
def test_codemies_providers_get_the_gateways_path_once(
    places: Places, provider: str, written: str, expected: str, path: str | None
) -> None:
    write(places, {"provider": provider, "baseUrl": written})
    profile = load_profile(places, {})
    assert profile.base_url == expected
    if path is not None:
        assert profile.base_path == path


@pytest.mark.parametrize(
    "seconds,expected", [(0, None), (30, 30_000), (0.25, 250), (0.0001, 1), (None, None), ("7", 7000)]
)
def test_timeouts_are_written_in_seconds_and_zero_is_none(places: Places, seconds: Any, expected: int | None) -> None:
    write(places, {"timeout": seconds})
    assert load_profile(places, {}).timeout_ms == expected


def test_a_timeout_of_zero_in_the_environment_lifts_the_files(places: Places) -> None:
    write(places, TWO)
    assert load_profile(places, {"CODEMIE_TIMEOUT": "0"}).timeout_ms is None


def test_keys_never_get_into_the_profile_and_tokens_are_not_shown(places: Places) -> None:
    write(places, TWO)
    profile = load_profile(places, {"CODEMIE_API_KEY": "planted", "CODEMIE_JWT_TOKEN": "planted"})
    assert "planted" not in repr(profile)
    assert "planted-api-key" not in repr(dataclasses.astuple(profile))


@pytest.mark.parametrize(
    "content,words",
    [
        ('{"version": 2,\n "x" 1}', "line 2, column 6: this is not JSON"),
        ("[]", "must hold one JSON object"),
        ("[" * 100_000, "too deep"),
        ('{"timeout": ' + "9" * 5000 + "}", "too long"),
        ({"version": 2, "activeProfile": "ss", "profiles": {"sso": {}}}, "did you mean 'sso'?"),
        ({"version": 2, "activeProfile": "q", "profiles": {"b": {}, "a": {}}}, "there are: a, b"),
        ({"version": 2, "activeProfile": 7, "profiles": {"a": {}}}, "no profile 7"),
        ({"version": 2, "activeProfile": "a", "profiles": {"a": []}}, "'a' must be a JSON object"),
        ({"model": 5}, "model must be text"),
        ({"timeout": "soon"}, "timeout must be a number of seconds"),
        ({"timeout": -1}, "timeout must be a number of seconds"),
        ({"timeout": True}, "timeout must be a number of seconds"),
        ('{"timeout": Infinity}', "timeout must be a number of seconds"),
        ({"codeMieIntegration": "id"}, "codeMieIntegration must be an object"),
        ({"jwtConfig": "planted"}, "jwtConfig must be an object"),
        ({"jwtConfig": {"tokenEnvVar": "planted name"}}, "jwtConfig.tokenEnvVar must be a variable's name"),
        ({"jwtConfig": {"token": 5}}, "jwtConfig.token must be text"),
        ({"authMethod": 5}, "authMethod must be text"),
        ({"codeMieIntegration": {"id": 5}}, "codeMieIntegration.id must be text"),
        ({"baseUrl": "codemie.example.com"}, "baseUrl must be like https://host/path"),
        ({"baseUrl": "https://h:port"}, "baseUrl must be like"),
        ({"baseUrl": "https://u:planted@h"}, "without user, password"),
        ({"baseUrl": "https://h/?key=planted"}, "without user, password"),
    ],
)
def test_a_bad_file_is_told_in_one_line_without_values(places: Places, content: Any, words: str) -> None:
    write(places, content)
    with pytest.raises(SettingsError) as caught:
        load_profile(places, {})
    message = str(caught.value)
    assert message.startswith(str(places.profile))
    assert words in message
    assert "\n" not in message
    assert "planted" not in message


def test_a_profile_asked_for_by_name_must_exist(places: Places) -> None:
    with pytest.raises(SettingsError, match=r"no profile 'sso': .*codemie-cli\.config\.json does not exist"):
        load_profile(places, {}, "sso")
    write(places, TWO)
    with pytest.raises(SettingsError, match="no profile 'othr'; did you mean 'other'"):
        load_profile(places, {}, "othr")
    write(places, OTHER)
    with pytest.raises(SettingsError, match="no profile 'sso'; there are: default"):
        load_profile(places, {}, "sso")


@pytest.mark.parametrize(
    "variable,text", [("CODEMIE_TIMEOUT", "5m"), ("CODEMIE_BASE_URL", "no url"), ("CODEMIE_URL", "x")]
)
def test_a_bad_variable_is_named(places: Places, variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} must be"):
        load_profile(places, {variable: text})


@pytest.mark.parametrize(
    "values, found",
    [
        ({}, (None, None, None, None)),
        ({"metrics": {"enabled": False}}, (False, None, None, None)),
        ({"session": {"sync": {"enabled": False, "dryRun": True}}}, (None, False, True, None)),
        ({"metrics": {"sync": {"enabled": False, "interval": 60000}}}, (None, False, None, 60000)),
        ({"metrics": {"sync": {"maxRetries": 0}}}, (None, None, None, None, 0)),
        ({"session": {"sync": {"maxRetries": -1}}}, (None, None, None, None, None)),
        (
            {"session": {"sync": {"enabled": True}}, "metrics": {"sync": {"enabled": False, "dryRun": True}}},
            (None, True, True, None),
        ),
        ({"session": "off", "metrics": {"enabled": "no", "sync": {"interval": True}}}, (None, None, None, None)),
    ],
)
def test_what_codemies_tools_were_told_about_metrics(
    places: Places, values: dict[str, Any], found: tuple[object, ...]
) -> None:
    """A word that is no switch keeps nobody from starting."""
    write(places, {"provider": "ai-run-sso", **values})
    profile = load_profile(places, {})
    told = (profile.metrics_enabled, profile.sync_enabled, profile.sync_dry_run, profile.sync_interval_ms)
    assert (*told, profile.sync_max_retries) == (*found, None)[:5]
