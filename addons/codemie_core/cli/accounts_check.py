"""`codemie-proxy accounts test`: one request to the provider, with the account's secret, at the operator's own word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr

from codemie_core.accounts import words
from codemie_core.accounts.account import Account, Kind, Source
from codemie_core.accounts.providers import beside_sign_in, credential_of
from codemie_core.cli.accounts_book import Book, one
from codemie_core.errors import SettingsError
from codemie_core.redact import redact_text

if TYPE_CHECKING:
    import httpx
    from sqlalchemy import Connection

MODELS: Mapping[str, str] = {"gemini": "/v1beta/models", "codemie": "/v1/llm_models"}
OTHER_MODELS = "/v1/models"
HEADERS: Mapping[str, Mapping[str, str]] = {
    "anthropic": {"anthropic-version": "2023-06-01"},
    "anthropic-compatible": {"anthropic-version": "2023-06-01"},
}
"""What an API insists on, whoever asks."""
MEANINGS: Mapping[int, str] = {
    200: "its secret is good",
    400: "the provider did not understand the question; its key may be of another provider",
    401: "the provider does not accept its secret",
    402: "the account has to be paid for first",
    403: "the provider knows the secret, and does not allow this; look at the key's rights",
    404: "there is no list of models at this address; look at the base URL",
    407: "the proxy on the way wants other credentials",
    429: "its secret is good, and its limit is reached",
    529: "the provider is overloaded",
}
SECONDS = 20.0
LONGEST_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it. `good` is None when it says nothing about the secret."""

    account: Account
    url: str
    status: int | None
    meaning: str
    good: bool | None
    models: int | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "account": self.account.name,
            "url": self.url,
            "status": self.status,
            "secret_accepted": self.good,
            "meaning": self.meaning,
            "models": self.models,
        }


def check(name: str, as_json: bool) -> None:
    """Ask, and say what came back. Ends with 1 unless the secret is good."""
    from codemie_core.cli.auth_context import run

    book = Book()
    with book.reading() as connection:
        account = one(connection, name)
        vaulted = _Vaulted.of(book, connection, account)
    verdict = run(_asked(book, account, vaulted))
    if as_json:
        typer.echo(json.dumps(verdict.as_json(), indent=2))
    else:
        count = f", {verdict.models} model{'' if verdict.models == 1 else 's'}" if verdict.models else ""
        typer.echo(f"GET {verdict.url}: {verdict.status or 'no answer'}{count}\n{account.name}: {verdict.meaning}")
    if verdict.good is False:
        typer.echo(_remedy(account), err=True)
    if not verdict.good:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Vaulted:
    """What the vault has for one account."""

    secret: SecretStr | None
    proxy: SecretStr | None

    @classmethod
    def of(cls, book: Book, connection: Connection, account: Account) -> _Vaulted:
        from codemie_core.store.accounts import sealed_proxies
        from codemie_core.store.secrets import sealed_secret, vault_checks
        from codemie_core.vault import open_vault

        sealed, proxy = sealed_secret(connection, account.id), sealed_proxies(connection).get(account.id)
        if not sealed and not proxy:
            return cls(None, None)
        vault = open_vault(book.places, book.environ, vault_checks(connection))
        return cls(
            vault.open(sealed[0], f"account:{account.id}") if sealed else None,
            vault.open(proxy, f"proxy:{account.id}") if proxy else None,
        )


async def _asked(book: Book, account: Account, vaulted: _Vaulted) -> Verdict:
    import httpx

    from codemie_core.cli.auth_accounts import ca_file
    from codemie_core.store.accounts import with_proxy_secret
    from codemie_core.web import client_for

    url = account.base_url + MODELS.get(account.provider, OTHER_MODELS)
    headers = _headers(account, await _secret(book, account, vaulted), url)
    if vaulted.proxy is not None and account.outbound_proxy is not None:
        account = with_proxy_secret(account, vaulted.proxy)
    client = client_for(url, book.places, book.environ, ca_file(book), SECONDS, account.outbound_proxy)
    async with client:
        try:
            async with client.stream("GET", url, headers=headers) as response:
                return await _read(account, url, response)
        except httpx.HTTPError as problem:
            # Without its text: httpx puts URLs into it, and a proxy's may hold a password.
            return Verdict(account, url, None, f"it could not be asked ({type(problem).__name__})", None)


async def _secret(book: Book, account: Account, vaulted: _Vaulted) -> SecretStr:
    """As a proxy would have it: a sign-in is renewed where that is due."""
    from codemie_core.accounts.secrets import SecretShelf
    from codemie_core.cli.auth_accounts import token_of

    if account.kind is Kind.OAUTH:
        return await token_of(book, account)

    async def from_vault(_: Account) -> SecretStr:
        if vaulted.secret is None:
            raise SettingsError(f"{account.name}: the vault holds nothing for it. {_remedy(account)}")
        return vaulted.secret

    return await SecretShelf(book.environ, from_vault).secret(account)


def _headers(account: Account, secret: SecretStr, url: str) -> dict[str, str]:
    """The credential, as the wire would get it, if it may go to this very address."""
    credential, target = credential_of(account, secret), account.target
    if not credential.fits(target.scheme, target.host, target.port, urlsplit(url).path):
        raise SettingsError(f"{account.name}: its secret may not go to {url}; look at its base URL")
    credential = beside_sign_in(credential, account, lambda _: None)
    named = {name: value.get_secret_value() for name, value in credential.headers.items()}
    return {"accept": "application/json", **HEADERS.get(account.provider, {}), **named}


async def _read(account: Account, url: str, response: httpx.Response) -> Verdict:
    status = response.status_code
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LONGEST_ANSWER:
            break
    if 300 <= status < 400:
        # Followed by nobody: the secret is for this address alone.
        where = redact_text(response.headers.get("location", "elsewhere"))
        return Verdict(
            account, url, status, f"this address sends on to {where}; no API does: look at the base URL", None
        )
    meaning = MEANINGS.get(status) or (f"the provider has trouble ({status})" if status >= 500 else f"status {status}")
    good = True if status in (200, 429) else False if status in (400, 401, 402, 403) else None
    models = _count(bytes(body)) if status == 200 else None
    if status == 200 and models is None:
        return Verdict(account, url, status, "something answered, but not with a list of models", None)
    return Verdict(account, url, status, meaning, good, models)


def _count(body: bytes) -> int | None:
    """How many models the answer lists; None when it is no such list."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    if isinstance(found, dict):
        found = found.get("data", found.get("models"))
    return len(found) if isinstance(found, list) else None


def _remedy(account: Account) -> str:
    if account.kind is Kind.OAUTH:
        return f"To sign in anew: {words.sign_in_command(account)}"
    if account.secret.source is not Source.VAULT:
        return f"It comes from {words.secret_words(account)}; a proxy reads it anew after a 401."
    return f"To give it another key: codemie-proxy accounts key {account.name}"
