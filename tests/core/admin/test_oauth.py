"""Sign-ins through the admin plane, at a real OAuth server: by the browser, by pasting, and all that goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from pydantic import SecretStr

from account_rotation import AccountRotation
from codemie_core.admin import oauth
from codemie_core.admin.oauth import BeginSignIn, EndSignIn, SignInBegun
from codemie_core.admin.problems import BadQuestion, Conflict, NotFound
from codemie_core.places import Places
from support.oauth_server import OAuthServer
from support.planes import Planes, now, plane_of
from support.stored import StoredHome

WHO = "dashboard"
ELSEWHERE = "https://login.lab.test/shown"


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


@pytest.fixture
def home(places: Places) -> StoredHome:
    return StoredHome(places.home)


@pytest.fixture
async def room(places: Places, server: OAuthServer) -> AsyncIterator[Planes]:
    server.configure(places)
    async with plane_of(AccountRotation(), clock=now) as planes:
        yield planes


async def begin(room: Planes, name: str = "work") -> SignInBegun:
    return await oauth.begin_sign_in(room.plane, BeginSignIn(name=name, provider="lab"), WHO)


async def agreed(begun: SignInBegun) -> str:
    """Where the browser is sent once the person has agreed."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(begun.auth_url)).headers["location"]


async def ended(room: Planes, begun: SignInBegun) -> oauth.SignInState:
    async with asyncio.timeout(60):
        while (state := await oauth.sign_in_state(room.plane, begun.session_id)).state == "waiting":  # noqa: ASYNC110 - others do it
            await asyncio.sleep(0.02)
    return state


def pasted(begun: SignInBegun, text: str) -> EndSignIn:
    return EndSignIn(session_id=begun.session_id, code=SecretStr(text))


async def test_the_browser_comes_back_by_itself_and_the_account_is_in_the_pool(room: Planes, home: StoredHome) -> None:
    begun = await begin(room)
    assert begun.comes_back
    assert begun.terms.startswith("Use accounts of your own only.")
    assert (await oauth.sign_in_state(room.plane, begun.session_id)).state == "waiting"
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(begun.auth_url, follow_redirects=True)
    assert page.status_code == 200
    state = await ended(room, begun)
    assert (state.state, state.message.startswith("work is added: ")) == ("done", True)
    assert room.plane.pool is not None
    assert [account.id for account in room.plane.pool.accounts] == [state.account_id]
    assert [(event.event, event.who) for event in home.events()] == [("added", WHO)]
    assert '"refresh"' in home.secret("work")


@pytest.mark.parametrize("how", ["the whole address", "code and state"])
async def test_what_the_browser_ended_at_can_be_pasted(how: str, places: Places, server: OAuthServer) -> None:
    server.configure(places, redirect_uri=ELSEWHERE)
    async with plane_of(AccountRotation(), clock=now) as room:
        begun = await begin(room)
        assert not begun.comes_back
        address = await agreed(begun)
        query = dict(httpx.URL(address).params)
        text = address if how == "the whole address" else f"{query['code']}#{query['state']}"
        for wrong, words in (("abc", "not all of it"), (f"{query['code']}#other", "belongs to another sign-in")):
            with pytest.raises(BadQuestion, match=words) as refused:
                await oauth.end_sign_in(room.plane, pasted(begun, wrong), WHO)
            assert wrong not in refused.value.detail
        done = await oauth.end_sign_in(room.plane, pasted(begun, text), WHO)
        assert (done.success, done.account) == (True, "work")
        with pytest.raises(Conflict, match="has ended already"):
            await oauth.end_sign_in(room.plane, pasted(begun, text), WHO)


async def test_an_account_signs_in_again_under_its_own_name(room: Planes, home: StoredHome) -> None:
    for message in ("work is added", "work is signed in again"):
        begun = await begin(room)
        done = await oauth.end_sign_in(room.plane, pasted(begun, await agreed(begun)), WHO)
        assert done.message.startswith(message)
    assert len(home.accounts()) == 1


async def test_a_sign_in_outlives_the_process_that_began_it(places: Places, server: OAuthServer) -> None:
    server.configure(places, redirect_uri=ELSEWHERE)
    async with plane_of(AccountRotation(), clock=now) as first:
        begun = await begin(first)
    async with plane_of(AccountRotation(), clock=now) as second:
        assert (await oauth.sign_in_state(second.plane, begun.session_id)).state == "unknown"
        address = await agreed(begun)
        assert (await oauth.end_sign_in(second.plane, pasted(begun, address), WHO)).account == "work"
        with pytest.raises(NotFound, match="it lasts ten minutes and ends once"):
            await oauth.end_sign_in(second.plane, pasted(begun, address), WHO)


async def test_who_says_no_is_told_in_the_page_and_nothing_is_stored(
    room: Planes, home: StoredHome, server: OAuthServer
) -> None:
    server.denies = True
    begun = await begin(room)
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(begun.auth_url, follow_redirects=True)
    assert page.status_code == 400
    state = await ended(room, begun)
    assert (state.state, state.message) == ("failed", "lab did not sign you in: access_denied")
    assert home.accounts() == []


async def test_a_provider_that_fails_is_told_without_what_was_sent(
    room: Planes, home: StoredHome, server: OAuthServer
) -> None:
    begun = await begin(room)
    address = await agreed(begun)
    server.failing.append((400, {"error": "invalid_grant", "error_description": "planted"}, {}))
    with pytest.raises(Conflict, match=r"answered 400 \(invalid_grant\)") as refused:
        await oauth.end_sign_in(room.plane, pasted(begun, address), WHO)
    assert "planted" not in refused.value.detail
    assert home.accounts() == []


@pytest.mark.parametrize(
    "asked, kind, words",
    [
        (BeginSignIn(provider="labb"), BadQuestion, "did you mean 'lab'"),
        (BeginSignIn(provider="anthropic"), Conflict, "no client id is set"),
        (BeginSignIn(provider="lab", name="two words"), BadQuestion, "'two words' is no name for an account"),
        (BeginSignIn(provider="lab", name="key"), BadQuestion, "'key' is an account with a key"),
    ],
)
async def test_what_can_be_told_is_told_before_anybody_goes_to_a_browser(
    asked: BeginSignIn, kind: type[Exception], words: str, room: Planes, home: StoredHome, server: OAuthServer
) -> None:
    home.key("key", server.url, "planted", provider="anthropic-compatible")
    with pytest.raises(kind, match=words):
        await oauth.begin_sign_in(room.plane, asked, WHO)
    assert server.calls() == 0


async def test_only_so_many_are_under_way_the_oldest_gives_way(room: Planes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "MOST", 2)
    begun = [await begin(room, f"work-{number}") for number in range(3)]
    state = await ended(room, begun[0])
    assert (state.state, "given way" in state.message) == ("failed", True)
    assert [(await oauth.sign_in_state(room.plane, one.session_id)).state for one in begun[1:]] == ["waiting"] * 2


async def test_one_that_nobody_ends_is_over_after_its_time(room: Planes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "LIFETIME", 0.05)
    state = await ended(room, await begin(room))
    assert (state.state, "nobody signed in" in state.message) == ("failed", True)


async def test_providers_say_what_is_missing(room: Planes) -> None:
    found = {one.name: one for one in await oauth.sign_in_providers(room.plane)}
    assert (found["lab"].client, found["lab"].missing) == (True, "")
    assert "CODEMIE_OAUTH_ANTHROPIC_CLIENT_ID" in found["anthropic"].missing
    assert found["lab"].ways == ["browser", "paste", "device"]
