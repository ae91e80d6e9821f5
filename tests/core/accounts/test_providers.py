"""Which header carries an account's secret, and where it may go."""

import pytest
from pydantic import SecretStr

from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.providers import AGENT_CREDENTIALS, OWNER, PROVIDERS, beside_sign_in, credential_of

SECRET = SecretStr("planted-key")


def account(provider: str, base_url: str = "", kind: Kind = Kind.API_KEY) -> Account:
    url = base_url or PROVIDERS[provider].base_url or "https://gateway.example.com/api"
    return Account("id-1", "main", provider, kind, url)


@pytest.mark.parametrize(
    "provider, kind, header, value",
    [
        ("anthropic", Kind.API_KEY, "x-api-key", "planted-key"),
        ("anthropic", Kind.OAUTH, "authorization", "Bearer planted-key"),
        ("anthropic-compatible", Kind.API_KEY, "x-api-key", "planted-key"),
        ("openai", Kind.API_KEY, "authorization", "Bearer planted-key"),
        ("openai-compatible", Kind.API_KEY, "authorization", "Bearer planted-key"),
        ("gemini", Kind.API_KEY, "x-goog-api-key", "planted-key"),
        ("gemini", Kind.OAUTH, "authorization", "Bearer planted-key"),
        ("codemie", Kind.API_KEY, "authorization", "Bearer planted-key"),
    ],
)
def test_the_secret_goes_where_its_provider_looks_for_it(provider: str, kind: Kind, header: str, value: str) -> None:
    credential = credential_of(account(provider, kind=kind), SECRET)
    assert {name: secret.get_secret_value() for name, secret in credential.headers.items()} == {header: value}
    assert (credential.drops, credential.owner) == (AGENT_CREDENTIALS, OWNER)
    assert "planted-key" not in repr(credential)


@pytest.mark.parametrize(
    "scheme, host, port, path, fits",
    [
        ("https", "gateway.example.com", 443, "/api/v1/messages", True),
        ("https", "gateway.example.com", 443, "/other/v1/messages", False),
        ("https", "gateway.example.com", 443, "/api/../other", False),
        ("https", "gateway.example.com", 8443, "/api/v1/messages", False),
        ("https", "api.anthropic.com", 443, "/api/v1/messages", False),
        ("http", "gateway.example.com", 443, "/api/v1/messages", False),
    ],
)
def test_the_secret_fits_the_base_url_of_its_account_alone(
    scheme: str, host: str, port: int, path: str, fits: bool
) -> None:
    credential = credential_of(account("anthropic-compatible", "https://gateway.example.com/api"), SECRET)
    assert credential.fits(scheme, host, port, path) is fits


def test_a_secret_never_goes_in_clear_to_another_machine() -> None:
    with pytest.raises(ValueError, match="needs https"):
        credential_of(account("openai-compatible", "http://gateway.example.com"), SECRET)


def test_every_provider_of_its_own_api_says_where_that_is() -> None:
    assert {name for name, provider in PROVIDERS.items() if not provider.base_url} == {
        "codemie",
        "anthropic-compatible",
        "openai-compatible",
    }


@pytest.mark.parametrize(
    "said, sent",
    [
        (None, "oauth-2025-04-20"),
        ("", "oauth-2025-04-20"),
        ("a-2025-01-01, b", "a-2025-01-01, b,oauth-2025-04-20"),
        ("a-2025-01-01,oauth-2025-04-20-x", "a-2025-01-01,oauth-2025-04-20-x,oauth-2025-04-20"),
        ("a-2025-01-01, oauth-2025-04-20 ,b", None),
        ("oauth-2025-04-20", None),
    ],
)
def test_a_sign_in_of_anthropic_is_announced_behind_the_clients_own_words(said: str | None, sent: str | None) -> None:
    signed_in = account("anthropic", kind=Kind.OAUTH)
    plain = credential_of(signed_in, SECRET)
    asked = {"anthropic-beta": said} if said is not None else {}
    found = beside_sign_in(plain, signed_in, asked.get)
    headers = {name: secret.get_secret_value() for name, secret in found.headers.items()}
    assert headers.pop("authorization") == "Bearer planted-key"
    assert headers == ({"anthropic-beta": sent} if sent else {})
    assert (found.host, found.drops, found.owner) == (plain.host, plain.drops, plain.owner)


@pytest.mark.parametrize(
    "provider, kind",
    [("anthropic", Kind.API_KEY), ("anthropic-compatible", Kind.OAUTH), ("openai", Kind.OAUTH)],
)
def test_no_other_account_announces_anything(provider: str, kind: Kind) -> None:
    one = account(provider, kind=kind)
    plain = credential_of(one, SECRET)
    assert beside_sign_in(plain, one, lambda name: None) is plain
