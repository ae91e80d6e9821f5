"""A sign-in with a provider, from the address for the browser to the account in the pool.

`begin` keeps the state and the PKCE verifier, sealed, for ten minutes; `take` gives them out once, and `checked` only
lets go on who brings that state back; `keep` puts the tokens into the vault. Nothing is stored of a sign-in that fails.
"""

from __future__ import annotations

import hmac
import json
import secrets
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from codemie_core.accounts.account import NAME, Account, Kind
from codemie_core.credential import is_loopback
from codemie_core.errors import CodemieError, SettingsError
from codemie_core.oauth.grants import Way, authorize_url, exchange_code, new_secret
from codemie_core.oauth.providers import OAuthProvider
from codemie_core.oauth.tokens import Tokens
from codemie_core.target import parse_target
from codemie_core.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Connection

SIGNED_IN = "signed in"
"""The event in the audit trail."""
CALLBACK_PATH = "/callback"
TERMS = (
    "Use accounts of your own only. A provider may allow a plan, such as Claude Pro or ChatGPT Plus, in its own apps\n"
    "alone; an API key is what it offers for all else: codemie-proxy accounts add NAME --provider {provider}"
)


class LoginFailed(CodemieError):
    """A sign-in that came to nothing. One line with what to do, without a secret."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in under way: `url` is for the browser, `state` comes back with its answer."""

    id: str
    url: str
    state: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser brought back: a code, or the error the provider gave instead."""

    code: SecretStr
    error: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """What `begin` kept."""

    provider: str
    account_name: str
    verifier: SecretStr
    state: SecretStr
    redirect_uri: str


def begin(
    connection: Connection, vault: Vault, provider: OAuthProvider, name: str, redirect_uri: str, now: float
) -> Begun:
    """Keep what is needed to end the sign-in of the account `name`, and say where the browser has to go. Writes."""
    from codemie_core.store.oauth import LoginSession, put_login

    session_id, state, verifier = secrets.token_urlsafe(24), new_secret(), new_secret()
    kept = json.dumps({"state": state, "verifier": verifier, "redirect_uri": redirect_uri})
    sealed = vault.seal(kept, _about(session_id))
    put_login(connection, LoginSession(session_id, provider.name, name, sealed), round(now * 1000))
    return Begun(session_id, authorize_url(provider, redirect_uri, state, verifier), state)


def take(connection: Connection, vault: Vault, session_id: str, now: float) -> Held | None:
    """What was kept, this once; None when it is unknown, taken or too old. Writes.

    Ask `checked` after the commit: a session is used up also by whoever comes with another state.
    """
    from codemie_core.store.oauth import take_login

    session = take_login(connection, session_id, round(now * 1000))
    if session is None:
        return None
    kept = json.loads(vault.open(session.sealed, _about(session_id)).get_secret_value())
    verifier, state = SecretStr(kept["verifier"]), SecretStr(kept["state"])
    return Held(session.provider, session.account_name, verifier, state, kept["redirect_uri"])


def checked(held: Held | None, state: str) -> Held:
    """What `take` gave, for whoever brings its state back. LoginFailed for all others."""
    if held is None:
        raise LoginFailed("this sign-in is not known any more: it lasts ten minutes and ends once. Begin it anew")
    if not hmac.compare_digest(held.state.get_secret_value().encode(), state.encode()):
        raise LoginFailed("what came back belongs to another sign-in. Begin it anew")
    return held


async def exchanged(provider: OAuthProvider, way: Way, held: Held, answer: Answer, now: float) -> Tokens:
    """The tokens for what the browser brought back. LoginFailed when that is a refusal."""
    if answer.error:
        raise LoginFailed(f"{provider.name} did not sign you in: {_plain(answer.error)}")
    code, verifier = answer.code.get_secret_value(), held.verifier.get_secret_value()
    state = held.state.get_secret_value()
    return await exchange_code(provider, way, code, verifier, held.redirect_uri, state, now)


def keep(
    connection: Connection, vault: Vault, provider: OAuthProvider, name: str, tokens: Tokens, who: str, now: float
) -> tuple[Account, bool]:
    """The account with these tokens, and whether it is new. One that was there keeps its place and history. Writes.

    SettingsError when the name is that of another kind of account.
    """
    from codemie_core.store.accounts import add_account, change_account, find
    from codemie_core.store.pool import end_rests
    from codemie_core.store.secrets import replace_secret

    known = find(connection, name)
    check_name(provider, name, known)
    if known is None:
        account = new_account(provider, name, now)
        add_account(connection, account, vault.seal(tokens.dump(), f"account:{account.id}"), who)
        return account, True
    sealed = vault.seal(tokens.dump(), f"account:{known.id}")
    replace_secret(connection, known.id, sealed, None)
    end_rests(connection, known.id, who, now, verified=False)  # It is the same person's limit.
    change_account(connection, known.id, SIGNED_IN, provider.name, who, needs_login=False)
    return replace(known, needs_login=False), False


def check_name(provider: OAuthProvider, name: str, known: Account | None) -> None:
    """SettingsError unless a sign-in with `provider` may be kept under this name."""
    if not NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no name for an account: use up to 64 letters, digits and . _ @ + -")
    if not provider.api:
        raise SettingsError(f"{provider.name} has no base_url: write where its API is into providers.yaml")
    if known is None:
        return
    if known.kind is not Kind.OAUTH:
        raise SettingsError(f"{name!r} is an account with a key: choose another name")
    if (known.provider, known.base_url) != (provider.provider, provider.api):
        raise SettingsError(f"{name!r} is an account at {known.base_url}: choose another name")


def new_account(provider: OAuthProvider, name: str, now: float) -> Account:
    """An account whose tokens are in the vault."""
    return Account(
        id=str(uuid.uuid4()),
        name=name,
        provider=provider.provider,
        kind=Kind.OAUTH,
        base_url=provider.api,
        serves=tuple(parse_target(url, provider.name).origin for url in provider.serves),
        created_at=round(now * 1000),
    )


def read_address(target: str, path: str, state: str) -> Answer | None:
    """What a request to the callback brings; None when it is for another path. ValueError when it does not count."""
    parts = urlsplit(target)
    return _answer(parts.query, state) if parts.path == path else None


def read_pasted(text: str, state: str) -> Answer:
    """What somebody pasted: the whole address they ended at, or `code#state` from the provider's page.

    ValueError says what is wrong with it.
    """
    text = text.strip()
    if "code=" in text or "error=" in text:
        return _answer(urlsplit(text).query or text.removeprefix("?"), state)
    code, hash_sign, brought = text.partition("#")
    if not hash_sign:
        raise ValueError("it is not all of it: paste the whole address, or the code with # and what follows it")
    return _checked(code, "", brought, state)


def callback_port(provider: OAuthProvider) -> int | None:
    """Where on this machine the browser comes back to, 0 for any port; None when the provider shows a code instead."""
    fixed = urlsplit(provider.redirect_uri)
    if provider.redirect_uri and not is_loopback(fixed.hostname or ""):
        return None
    return fixed.port or 0


def redirect_uri_of(provider: OAuthProvider, port: int) -> str:
    """What was registered, else the address of a callback at this port."""
    return provider.redirect_uri or f"http://127.0.0.1:{port}{CALLBACK_PATH}"


def how_to_paste(uri: str, comes_here: bool) -> str:
    """What to do where the browser is on another machine, or the provider shows a code."""
    if comes_here:
        return (
            "If that ends at a page that cannot be reached (the browser is on another machine), copy the address\n"
            f"{uri}?... out of it, and paste it here."
        )
    return "Paste the code that the page shows at the end here, all of it."


def _plain(error: str) -> str:
    """The provider's word, if it is one."""
    return error if error.replace("_", "").isalnum() and error.isascii() and len(error) <= 60 else "it gave no reason"


def _answer(query: str, state: str) -> Answer:
    found = dict(parse_qsl(query))
    return _checked(found.get("code", ""), found.get("error", ""), found.get("state", ""), state)


def _checked(code: str, error: str, brought: str, state: str) -> Answer:
    if not hmac.compare_digest(brought.encode(), state.encode()):
        raise ValueError("it belongs to another sign-in")
    if not (code or error):
        raise ValueError("there is no code in it")
    return Answer(SecretStr(code), error)


def _about(session_id: str) -> str:
    return f"login:{session_id}"
