"""Accounts with a key: adding one, another key, another endpoint, and a try whether the provider accepts it.

Over the API a key is given by itself and goes into the vault. To have it from a variable, a command or the keyring is
for the command line: whoever has only the token of this API is not to run commands or read variables of the proxy. Nor
does a secret that is stored here ever go to another place: with another origin the key has to be given again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, SecretStr

from codemie_core.accounts import adding, changes, entry, trial
from codemie_core.accounts.account import NAME, Kind, SecretRef
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.accounts.roster import one
from codemie_core.accounts.typed_secret import checked, hints
from codemie_core.admin.account_changes import AccountChanged, Word, at_hand, secret_words
from codemie_core.admin.account_info import AccountInfo
from codemie_core.admin.accounts import door_of, get_account
from codemie_core.admin.changing import Body, Done, changing, has_store, spelt, told
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import BadQuestion, Conflict, NotFound
from codemie_core.admin.wire import Wire
from codemie_core.egress import OutboundProxy
from codemie_core.target import parse_target
from codemie_core.web import client_for

if TYPE_CHECKING:
    import httpx
    from sqlalchemy import Connection

    from codemie_core.accounts.account import Account


LONGEST_KEY = 16 * 1024

type KeyText = Annotated[SecretStr, Field(max_length=LONGEST_KEY, json_schema_extra={"pattern": "^[!-~]+$"})]
type Words = Annotated[list[Word], Field(max_length=100)]


class ProviderInfo(Wire):
    """Whose accounts there can be."""

    name: str
    label: str
    base_url: str | None
    needs_base_url: bool


class NewKey(Body):
    """A key, as the provider gave it out."""

    api_key: KeyText


class KeyedAccount(Body):
    """An account to add. Its key is in `apiKey`, or in `accessToken`, as ccflare calls it."""

    name: str = Field(pattern=f"^{NAME.pattern}$")
    api_key: KeyText | None = None
    access_token: KeyText | None = None
    base_url: str = Field("", max_length=2000, description='Where its API is; "" for the provider\'s own.')
    priority: int = Field(0, ge=0, le=changes.HIGHEST)
    weight: int = Field(1, ge=1, le=changes.HIGHEST)
    tags: Words = Field([], description="Words of your own.")
    allow: Words = Field([], description="Patterns of models it serves; none: all.")
    deny: Words = Field([], description="Patterns of models it does not serve; they count more.")
    serves: Words = Field([], description="Origins, or providers, whose requests it takes over.")
    fallback_model: str = Field("", max_length=200)
    outbound_proxy: str = Field("", max_length=2000, description="Like http://USER@host:port.")
    outbound_proxy_password: SecretStr | None = Field(None, max_length=1000)


class NewAccount(KeyedAccount):
    """An account to add, of any provider."""

    provider: str = Field("anthropic", max_length=64, json_schema_extra={"enum": list(PROVIDERS)})


class AccountAdded(Done):
    """The account, and what is odd about it."""

    account_id: str
    hints: list[str] = Field(description="What looks wrong, and was kept all the same.")
    account: AccountInfo


class NewEndpoint(Body):
    """Where an account's API is from now on."""

    base_url: str = Field(max_length=2000, description='"" for the provider\'s own.')
    api_key: KeyText | None = Field(None, description="Needed where the origin is another: no stored key goes there.")


class TrialResult(Wire):
    """What came of asking the provider for its list of models, with the account's secret."""

    account: str
    url: str
    status: int | None
    secret_accepted: bool | None = Field(description="null: it says nothing about the secret.")
    meaning: str
    models: int | None


async def providers(plane: Plane) -> list[ProviderInfo]:
    """Whose accounts there can be, by key."""
    return [
        ProviderInfo(name=one.name, label=one.label, base_url=one.base_url or None, needs_base_url=not one.base_url)
        for one in PROVIDERS.values()
    ]


async def add_account(plane: Plane, asked: KeyedAccount, who: str, provider: str = "") -> AccountAdded:
    """Put it into the pool; nothing is stored unless all of it can be."""
    provider = asked.provider if isinstance(asked, NewAccount) else provider
    said: list[str] = []
    with told():
        account = entry.account_of(_asked(asked, provider), said.append, plane.clock, spelt)
        typed = asked.api_key or asked.access_token
        secret = checked(typed.get_secret_value() if typed else "", f"the key of {account.name}")
    proxy_secret = _proxy_secret(asked)
    said += hints(account.provider, secret)
    door = door_of(plane)

    def change(connection: Connection) -> str:
        vault = door.vault_for(connection, make=True)
        return adding.add(connection, account, vault, secret, proxy_secret, who)

    if twin := await changing(plane, change):
        said.append(f"It is the same key as {twin}'s, so both meet the same limits; remove one of them.")
    message = f"{account.name} is added: {PROVIDERS[account.provider].label} at {account.base_url}"
    info = await get_account(plane, account.id)
    return AccountAdded(message=message, account_id=account.id, hints=said, account=info)


async def replace_key(plane: Plane, account: str, new: NewKey, who: str) -> AccountChanged:
    """Another key for it. What the old one had run into is over; its conversations stay."""
    secret = _checked(new.api_key, account)
    door = door_of(plane)

    def change(connection: Connection) -> Account:
        found = one(connection, account)
        vault = door.vault_for(connection, make=True)
        return adding.replace_key(connection, found, vault, secret, SecretRef(), who, plane.clock())

    _require_store(plane)
    changed = await changing(plane, change)
    notice = " ".join(hints(changed.provider, secret))
    info = await get_account(plane, changed.id)
    return AccountChanged(message=f"{changed.name} has another key", notice=notice, account=info)


async def set_endpoint(plane: Plane, account: str, new: NewEndpoint, who: str) -> AccountChanged:
    """Another base URL. With another origin its key has to be given again; a sign-in stays where it was made."""
    from codemie_core.store.accounts import change_account

    _require_store(plane)
    secret = _checked(new.api_key, account) if new.api_key else None
    said: list[str] = []
    door = door_of(plane)

    def change(connection: Connection) -> Account:
        found = one(connection, account)
        base_url = entry.base_url_of(PROVIDERS[found.provider], new.base_url, said.append, spelt)
        if parse_target(base_url, spelt("base_url")).origin != found.origin:
            _check_move(found, secret)
        if secret is not None:
            vault = door.vault_for(connection, make=True)
            adding.replace_key(connection, found, vault, secret, SecretRef(), who, plane.clock())
        reason = f"from {found.base_url} to {base_url}"
        change_account(connection, found.id, "endpoint", reason, who, base_url=base_url)
        return replace(found, base_url=base_url)

    changed = await changing(plane, change)
    info = await get_account(plane, changed.id)
    return AccountChanged(message=f"{changed.name} is at {changed.base_url}", notice=" ".join(said), account=info)


async def test_account(plane: Plane, account: str) -> TrialResult:
    """Ask the provider for its list of models, once, with the account's secret. It costs no tokens, changes nothing."""
    found, keeper = at_hand(plane, account)
    way, authority = found.outbound_proxy, keeper.ca_file
    try:
        secret = await keeper.secret(found)
        result = await trial.ask(found, secret, _client_for(plane, authority, way))
    except Exception as problem:
        # Whatever it was: its own words may hold an address or a secret, unless they are ours.
        raise Conflict(secret_words(problem)) from None
    return TrialResult.model_validate(result.as_json())


def _client_for(plane: Plane, authority: str, way: OutboundProxy | None) -> Callable[[str], httpx.AsyncClient]:
    return lambda url: client_for(url, plane.places, plane.environ, authority, trial.SECONDS, way)


def _asked(asked: KeyedAccount, provider: str) -> entry.Asked:
    return entry.Asked(
        name=asked.name,
        provider=provider,
        base_url=asked.base_url,
        priority=asked.priority,
        weight=asked.weight,
        tags=asked.tags,
        allow=asked.allow,
        deny=asked.deny,
        serves=asked.serves,
        fallback_model=asked.fallback_model,
        outbound_proxy=asked.outbound_proxy,
    )


def _proxy_secret(asked: KeyedAccount) -> SecretStr | None:
    user = entry.proxy_user(asked.outbound_proxy) if asked.outbound_proxy else None
    password = asked.outbound_proxy_password
    if user is None and password is None:
        return None
    if user is None or password is None:
        raise BadQuestion("outboundProxy names the user, http://USER@host:port, outboundProxyPassword the password.")
    with told():
        checked(password.get_secret_value(), "outboundProxyPassword")
    return adding.proxy_authorization(user, password)


def _checked(key: SecretStr, account: str) -> SecretStr:
    with told():
        return checked(key.get_secret_value(), f"the key of {account}")


def _check_move(account: Account, secret: SecretStr | None) -> None:
    if account.kind is Kind.OAUTH:
        raise Conflict(f"{account.name} has a sign-in, which is good at {account.origin} only: add another account.")
    if secret is None:
        raise Conflict(f"{account.name} would take its key to another origin: give it again in apiKey.")


def _require_store(plane: Plane) -> None:
    if not has_store(plane):
        raise NotFound("There are no accounts yet. Add one: POST /api/accounts, or codemie-proxy accounts add")
