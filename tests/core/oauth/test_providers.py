"""Sign-in services as data."""

from pathlib import Path
from typing import Any

import pytest

from codemie_core.errors import SettingsError
from codemie_core.oauth.providers import (
    OAuthProvider,
    UnknownProvider,
    is_safe_url,
    load_providers,
    provider_named,
    providers_file,
)
from codemie_core.places import Places


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


def write(places: Places, text: str) -> None:
    places.write_private(providers_file(places), text.encode())


def test_those_built_in_have_urls_and_no_client_of_anybody(places: Places) -> None:
    found = load_providers(places, {})
    assert sorted(found) == ["anthropic", "openai"]
    for provider in found.values():
        assert provider.authorize_url.startswith("https://")
        assert provider.token_url.startswith("https://")
        assert provider.scopes
        assert provider.api.startswith("https://api.")
        assert provider.client_id == ""


def test_a_client_comes_from_the_file_or_the_environment(places: Places) -> None:
    write(places, "anthropic: {client_id: of-the-file, scopes: [one]}\nopenai: {client_id: of-the-file}\n")
    found = load_providers(places, {"CODEMIE_OAUTH_OPENAI_CLIENT_ID": "of-the-environment"})
    assert found["anthropic"].client_id == "of-the-file"
    assert found["anthropic"].scopes == ("one",)
    assert found["anthropic"].token_request == "json"
    assert found["openai"].client_id == "of-the-environment"
    for provider in found.values():
        provider.require_client(places)


def test_a_missing_client_is_told_with_file_key_and_variable(places: Places) -> None:
    write(places, "my-lab: {provider: anthropic-compatible}\n")
    with pytest.raises(SettingsError) as refused:
        load_providers(places, {})["my-lab"].require_client(places)
    for word in (str(providers_file(places)), "client_id", "CODEMIE_OAUTH_MY_LAB_CLIENT_ID"):
        assert word in str(refused.value)


def test_a_provider_of_ones_own_is_as_good(places: Places) -> None:
    write(places, "lab: {provider: openai-compatible, base_url: 'http://127.0.0.1:9', issuer: 'https://lab.test'}\n")
    lab = load_providers(places, {})["lab"]
    assert (lab.name, lab.api, lab.issuer) == ("lab", "http://127.0.0.1:9", "https://lab.test")


def test_the_folder_one_works_in_has_no_say(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path / "repo", tmp_path / "repo" / ".codemie", tmp_path / "repo" / "proxy"):
        folder.mkdir()
        (folder / "providers.yaml").write_text("anthropic: {client_id: evil, token_url: 'https://evil.test'}")
    monkeypatch.chdir(tmp_path / "repo")
    assert load_providers(places, {})["anthropic"].client_id == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lab: {}", "lab.provider is missing"),
        ("lab: {provder: openai}", "lab has no key 'provder'; did you mean 'provider'?"),
        ("lab: {provider: nobody}", "lab.provider: must be one of anthropic"),
        ("lab: {provider: openai, token_uri: x}", "lab has no key 'token_uri'; did you mean 'token_url'?"),
        ("openai: {token_url: 'http://lab.test/token'}", "openai.token_url: must be an https URL"),
        ("openai: {token_url: 'https://me:planted@lab.test/'}", "openai.token_url: must be an https URL"),
        ("openai: {redirect_uri: 'http://lab.test/'}", "openai.redirect_uri: must be an https URL, or http"),
        ("openai: {serves: ['lab.test/x']}", "openai.serves: must be origins"),
        ("openai: {token_request: xml}", "openai.token_request: Input should be 'form' or 'json'"),
        ("openai: {scopes: one}", "openai.scopes:"),
        ("openai: {name: other}", "openai.name: the name is the key above"),
        ("openai: [client_id]", "openai must hold keys and values"),
        ("Big Lab: {}", "'Big Lab' is no name for a provider"),
        ("- openai", "the file must hold keys and values"),
        ("openai: {client_id: a", "line 1"),
    ],
)
def test_a_bad_file_is_told_with_key_and_fix(text: str, problem: str, places: Places) -> None:
    write(places, text)
    with pytest.raises(SettingsError) as refused:
        load_providers(places, {})
    assert str(providers_file(places)) in str(refused.value)
    assert problem in str(refused.value)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://lab.test/token", True),
        ("https://lab.test:8443/token?tenant=1", True),
        ("http://127.0.0.1:8000/token", True),
        ("http://localhost:8000/", True),
        ("http://[::1]:8000/", True),
        ("http://lab.test/token", False),
        ("http://127.0.0.1.lab.test/", False),
        ("https://me@lab.test/", False),
        ("https://lab.test/#x", False),
        ("https://lab.test:port/", False),
        ("https:///token", False),
        ("https://lab.test/a b", False),
        ("file:///token", False),
        ("", False),
    ],
)
def test_tokens_go_over_tls_or_stay_on_this_machine(url: str, safe: bool) -> None:
    assert is_safe_url(url) is safe


def test_a_provider_cannot_be_changed_once_read(places: Places) -> None:
    provider: Any = OAuthProvider(name="lab", provider="openai")
    with pytest.raises(ValueError, match="frozen"):
        provider.token_url = "https://evil.test"


@pytest.mark.parametrize("written", ["https://api.lab.test/x", "https://api.lab.test/x/", "https://api.lab.test/x/v1/"])
def test_a_base_url_has_the_one_form_that_accounts_have(places: Places, written: str) -> None:
    write(places, f"lab: {{provider: anthropic-compatible, base_url: '{written}'}}\n")
    assert load_providers(places, {})["lab"].api == "https://api.lab.test/x"


def test_a_provider_by_its_name_or_the_nearest(places: Places) -> None:
    assert provider_named(places, {}, "openai").name == "openai"
    with pytest.raises(UnknownProvider, match=r"did you mean 'openai'.* there are: codemie, anthropic, openai"):
        provider_named(places, {}, "opnai")
