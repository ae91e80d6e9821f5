"""The providers of accounts as data: where their API is and which header carries the secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import SecretStr

from codemie_core.accounts.account import Account, Kind
from codemie_core.agents import Header
from codemie_core.credential import CLIENT_CREDENTIALS, Credential

OWNER = "account_rotation"
"""Who puts these credentials on an exchange."""

AGENT_CREDENTIALS = CLIENT_CREDENTIALS | frozenset(
    {
        "openai-organization",
        "openai-project",
        "x-goog-user-project",
        "chatgpt-account-id",
    }
)
"""How a client gets in, and whose it is; with an account of the pool none of it goes upstream.

Beside another key an organization of the client's own is a 401, and would bench a key that is good.
"""


@dataclass(frozen=True, slots=True)
class Provider:
    """`base_url` is "" where each account has to name its own."""

    name: str
    label: str
    base_url: str
    key_header: str
    """Carries an API key; as a Bearer when it is `authorization`."""
    beside_sign_in: tuple[str, str] | None = None
    """A header with a comma-separated list, and the word that has to be in it when the secret is of a sign-in."""


PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            "anthropic",
            "Anthropic",
            "https://api.anthropic.com",
            "x-api-key",
            beside_sign_in=("anthropic-beta", "oauth-2025-04-20"),
        ),
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
    path, headers = target.path or "/", {name: value}
    return Credential(target.scheme, target.host, target.port, path, headers, AGENT_CREDENTIALS, OWNER, required=True)


def beside_sign_in(credential: Credential, account: Account, header: Header) -> Credential:
    """The credential with the word that goes with a sign-in, behind those of the client: its headers tell by `header`.

    It is part of the credential, so that the flow keeps the client's own header for the next account.
    """
    needed = PROVIDERS[account.provider].beside_sign_in if account.kind is Kind.OAUTH else None
    if needed is None:
        return credential
    name, word = needed
    said = header(name) or ""
    if word in map(str.strip, said.split(",")):
        return credential
    both = SecretStr(f"{said},{word}" if said.strip() else word)
    return replace(credential, headers={**credential.headers, name: both})
