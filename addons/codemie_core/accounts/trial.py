"""One request to the provider, with the account's secret, at the operator's own word: is the secret good?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from codemie_core.accounts import words
from codemie_core.accounts.account import Account, Kind, Source
from codemie_core.accounts.providers import beside_sign_in, credential_of
from codemie_core.errors import SettingsError
from codemie_core.redact import redact_text
from codemie_core.web import answer_of_outbound

if TYPE_CHECKING:
    import httpx

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
class Trial:
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


async def ask(account: Account, secret: SecretStr, client_for: Callable[[str], httpx.AsyncClient]) -> Trial:
    """One request for the list of models. `client_for` makes the client for its URL; it may block.

    SettingsError when the secret may not go to that address.
    """
    import httpx

    url = account.base_url + MODELS.get(account.provider, OTHER_MODELS)
    headers = _headers(account, secret, url)
    async with await asyncio.to_thread(client_for, url) as client:
        try:
            async with client.stream("GET", url, headers=headers) as response:
                return await _read(account, url, response)
        except httpx.HTTPError as problem:
            # Without its text: httpx puts URLs into it, and a proxy's may hold a password.
            refused = answer_of_outbound(problem)
            why = f"the proxy on the way answers {refused}" if refused else type(problem).__name__
            return Trial(account, url, None, f"it could not be asked ({why})", None)


def _headers(account: Account, secret: SecretStr, url: str) -> dict[str, str]:
    """The credential, as the wire would get it, if it may go to this very address."""
    credential, target = credential_of(account, secret), account.target
    if not credential.fits(target.scheme, target.host, target.port, urlsplit(url).path):
        raise SettingsError(f"{account.name}: its secret may not go to {url}; look at its base URL")
    credential = beside_sign_in(credential, account, lambda _: None)
    named = {name: value.get_secret_value() for name, value in credential.headers.items()}
    return {"accept": "application/json", **HEADERS.get(account.provider, {}), **named}


async def _read(account: Account, url: str, response: httpx.Response) -> Trial:
    status = response.status_code
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LONGEST_ANSWER:
            break
    if 300 <= status < 400:
        # Followed by nobody: the secret is for this address alone.
        where = redact_text(response.headers.get("location", "elsewhere"))
        return Trial(account, url, status, f"this address sends on to {where}; no API does: look at the base URL", None)
    meaning = MEANINGS.get(status) or (f"the provider has trouble ({status})" if status >= 500 else f"status {status}")
    good = True if status in (200, 429) else False if status in (400, 401, 402, 403) else None
    models = _count(bytes(body)) if status == 200 else None
    if status == 200 and models is None:
        return Trial(account, url, status, "something answered, but not with a list of models", None)
    return Trial(account, url, status, meaning, good, models)


def _count(body: bytes) -> int | None:
    """How many models the answer lists; None when it is no such list."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    if isinstance(found, dict):
        found = found.get("data", found.get("models"))
    return len(found) if isinstance(found, list) else None


def remedy(account: Account) -> str:
    """What its owner can do about a secret that is not accepted."""
    if account.kind is Kind.OAUTH:
        return f"To sign in anew: {words.sign_in_command(account)}"
    if account.secret.source is not Source.VAULT:
        return f"It comes from {words.secret_words(account)}; a proxy reads it anew after a 401."
    return f"To give it another key: codemie-proxy accounts key {account.name}"
