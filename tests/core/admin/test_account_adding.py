"""Accounts with a key: what is stored of what is asked, what is refused, and that no stored key goes elsewhere."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from account_rotation import AccountRotation
from codemie_core.accounts.account import Kind, Source
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.admin import account_adding as adding
from codemie_core.admin.account_adding import KeyedAccount, NewAccount, NewEndpoint, NewKey
from codemie_core.admin.problems import AdminProblem, BadQuestion, Conflict, NotFound
from codemie_core.demo.script import Step
from codemie_core.demo.threaded import UpstreamThread
from codemie_core.places import Places
from codemie_core.store.accounts import sealed_proxies
from support.planes import Planes, now, plane_of
from support.stored import StoredHome, new_account

WHO = "dashboard"


@pytest.fixture
def home(places: Places) -> StoredHome:
    return StoredHome(places.home)


@pytest.fixture
async def room(places: Places) -> AsyncIterator[Planes]:
    async with plane_of(AccountRotation(), clock=now) as planes:
        yield planes


@pytest.fixture
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread() as thread:
        yield thread


def asked(**changes: Any) -> NewAccount:
    return NewAccount.model_validate({"name": "main", "apiKey": "planted-key", **changes})


async def test_the_first_account_makes_database_and_vault_and_is_in_the_pool(room: Planes, home: StoredHome) -> None:
    added = await adding.add_account(room.plane, asked(tags=["eu"], priority=2), WHO)
    assert added.message == "main is added: Anthropic at https://api.anthropic.com"
    assert (added.account.name, added.account.tags, added.account.priority) == ("main", ["eu"], 2)
    assert (home.secret("main"), home.accounts()[0].secret.source) == ("planted-key", Source.VAULT)
    assert [(event.event, event.who) for event in home.events()] == [("added", WHO)]
    assert room.plane.pool is not None
    assert [account.id for account in room.plane.pool.accounts] == [added.account_id]
    assert "planted" not in added.model_dump_json()


async def test_ccflares_name_for_the_key_and_a_path_for_each_provider_will_do(room: Planes, home: StoredHome) -> None:
    body = KeyedAccount.model_validate({"name": "a", "accessToken": "planted-a", "baseUrl": "https://llm.test/v1"})
    added = await adding.add_account(room.plane, body, WHO, "openai-compatible")
    assert (added.account.provider, home.secret("a")) == ("openai-compatible", "planted-a")
    assert added.hints == ["Its base URL is kept without /v1: the client's own path brings it."]


async def test_what_looks_wrong_is_kept_and_told(room: Planes) -> None:
    odd = await adding.add_account(room.plane, asked(provider="openai", apiKey="sk-ant-api03-planted"), WHO)
    assert "looks like a key of Anthropic" in odd.hints[0]
    await adding.add_account(room.plane, asked(name="one"), WHO)
    twin = await adding.add_account(room.plane, asked(name="two"), WHO)
    assert twin.hints == ["It is the same key as one's, so both meet the same limits; remove one of them."]


async def test_the_password_of_an_outbound_proxy_is_sealed(room: Planes, home: StoredHome) -> None:
    way = {"outboundProxy": "http://ann@proxy.test:3128", "outboundProxyPassword": "planted-pass"}
    added = await adding.add_account(room.plane, asked(**way), WHO)
    assert added.account.outbound_proxy == "http://proxy.test:3128"
    assert home.read(sealed_proxies).keys() == {added.account_id}
    for path in home.places.home.rglob("*"):
        assert not path.is_file() or b"planted" not in path.read_bytes()


@pytest.mark.parametrize(
    "changes, kind, words",
    [
        ({"apiKey": None}, BadQuestion, "the key of main is empty"),
        ({"apiKey": "$MAIN_KEY"}, BadQuestion, "is the name of a variable"),
        ({"provider": "antropic"}, BadQuestion, "provider antropic: .* did you mean 'anthropic'"),
        ({"provider": "codemie"}, BadQuestion, "baseUrl is missing"),
        ({"baseUrl": "http://far.test"}, BadQuestion, "baseUrl http://far.test: over http"),
        ({"outboundProxy": "http://ann:planted@p.test:1"}, BadQuestion, "leave the password out"),
        ({"outboundProxy": "http://ann@p.test:1"}, BadQuestion, "outboundProxyPassword"),
        ({"fallbackModel": "a", "deny": ["a"]}, BadQuestion, "fallbackModel a: allow and deny keep it"),
    ],
)
async def test_what_cannot_be_stored_leaves_no_trace(
    changes: dict[str, object], kind: type[AdminProblem], words: str, room: Planes, home: StoredHome
) -> None:
    with pytest.raises(kind, match=words) as refused:
        await adding.add_account(room.plane, asked(**changes), WHO)
    assert "planted" not in refused.value.detail
    assert not home.places.home.joinpath("proxy", "proxy.db").exists()


@pytest.mark.parametrize("field", ["env", "command", "keyring", "refreshToken", "tier"])
def test_over_the_api_a_key_comes_from_nowhere_but_the_question(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        asked(**{field: "planted"})


async def test_another_key_takes_the_place_of_the_old_one(room: Planes, home: StoredHome) -> None:
    await adding.add_account(room.plane, asked(), WHO)
    changed = await adding.replace_key(room.plane, "main", NewKey(api_key=SecretStr("planted-new")), WHO)
    assert (changed.message, home.secret("main")) == ("main has another key", "planted-new")
    home.add(new_account("me", "https://api.test", "anthropic-compatible", kind=Kind.OAUTH))
    with pytest.raises(BadQuestion, match="me has a sign-in and no key"):
        await adding.replace_key(room.plane, "me", NewKey(api_key=SecretStr("planted-new")), WHO)
    with pytest.raises(NotFound, match="did you mean 'main'"):
        await adding.replace_key(room.plane, "mian", NewKey(api_key=SecretStr("planted-new")), WHO)


@pytest.mark.parametrize("url", ["https://far.test", "https://api.test:8443", "https://API.test.far.test"])
async def test_a_stored_key_goes_to_no_other_origin(url: str, room: Planes, home: StoredHome) -> None:
    home.key("main", "https://api.test/a", "planted-main", provider="anthropic-compatible")
    home.add(new_account("me", "https://api.test", "anthropic-compatible", kind=Kind.OAUTH))
    for name, given in (("main", None), ("me", None), ("me", "planted-new")):
        with pytest.raises(Conflict):
            await adding.set_endpoint(
                room.plane, name, NewEndpoint.model_validate({"baseUrl": url, "apiKey": given}), WHO
            )
    assert {account.base_url for account in home.accounts()} == {"https://api.test/a", "https://api.test"}
    moved = NewEndpoint.model_validate({"baseUrl": url, "apiKey": "planted-new"})
    changed = await adding.set_endpoint(room.plane, "main", moved, WHO)
    assert changed.account is not None
    assert changed.account.base_url == url.lower()
    assert home.secret("main") == "planted-new"


async def test_another_path_of_the_same_origin_needs_no_key(room: Planes, home: StoredHome) -> None:
    home.key("main", "https://api.test/a", "planted-main", provider="anthropic-compatible")
    changed = await adding.set_endpoint(room.plane, "main", NewEndpoint(base_url="https://api.test/b"), WHO)
    assert changed.account is not None
    assert (changed.account.base_url, home.secret("main")) == ("https://api.test/b", "planted-main")
    assert home.events()[-1].reason == "from https://api.test/a to https://api.test/b"


async def test_a_try_tells_whether_the_key_is_good_and_never_what_it_is(room: Planes, upstream: UpstreamThread) -> None:
    await adding.add_account(room.plane, asked(baseUrl=upstream.url), WHO)
    good = await adding.test_account(room.plane, "main")
    assert (good.status, good.secret_accepted, good.models) == (200, True, 1)
    upstream.call(upstream.upstream.script, Step(status=401))
    bad = await adding.test_account(room.plane, "main")
    assert (bad.status, bad.secret_accepted) == (401, False)
    assert "planted" not in good.model_dump_json() + bad.model_dump_json()


async def test_providers_say_which_of_them_need_an_address(room: Planes) -> None:
    found = {one.name: one.needs_base_url for one in await adding.providers(room.plane)}
    assert found.keys() == PROVIDERS.keys()
    assert found["codemie"]
    assert not found["anthropic"]
