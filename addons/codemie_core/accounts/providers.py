"""The providers of accounts as data: where their API is and which header carries the secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from codemie_core.accounts.account import Account, Kind
from codemie_core.credential import Credential

OWNER = "account_rotation"
"""Who puts these credentials on an exchange."""

AGENT_CREDENTIALS = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie"})
"""What a client sends of its own to get in; with an account of the pool none of it goes upstream."""


@dataclass(frozen=True, slots=True)
class Provider:
    """`base_url` is "" where each account has to name its own."""

    name: str
    label: str
    base_url: str
    key_header: str
    """Carries an API key; as a Bearer when it is `authorization`."""


PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("anthropic", "Anthropic", "https://api.anthropic.com", "x-api-key"),
        Provider("openai", "OpenAI", "https://api.openai.com", "authorization"),
        Provider("gemini", "Google Gemini", "https://generativelanguage.googleapis.com", "x-goog-api-key"),
        Provider("codemie", "CodeMie", "", "authorization"),
        Provider("anthropic-compatible", "An API like Anthropic's", "", "x-api-key"),
        Provider("openai-compatible", "An API like OpenAI's", "", "authorization"),
    )
}


def credential_of(account: Account, secret: SecretStr) -> Credential:
    """The account's secret together with the only place it may go. ValueError when that would be unsafe."""
    target = account.target
    name = "authorization" if account.kind is Kind.OAUTH else PROVIDERS[account.provider].key_header
    value = SecretStr(f"Bearer {secret.get_secret_value()}") if name == "authorization" else secret
    return Credential(
        target.scheme, target.host, target.port, target.path or "/", {name: value}, AGENT_CREDENTIALS, OWNER
    )
