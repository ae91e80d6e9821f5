"""The calls of OAuth 2 with a real authorization server: Authlib's."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from codemie_core.oauth import grants
from codemie_core.oauth.errors import OAuthFailed
from codemie_core.oauth.grants import Way
from codemie_core.oauth.providers import OAuthProvider, load_providers
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places
from support.oauth_server import OAuthServer

CALLBACK = "http://127.0.0.1:7/callback"


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


@pytest.fixture
def way(codemie_home: Path) -> Way:
    return Way(Places(codemie_home), {})


@pytest.fixture(params=["form", "json"])
def lab(request: pytest.FixtureRequest, server: OAuthServer, way: Way) -> OAuthProvider:
    server.configure(way.places, token_request=request.param)
    return load_providers(way.places, {})["lab"]


def code_for(lab: OAuthProvider, state: str, verifier: str) -> dict[str, str]:
    """What the browser brings back."""
    answer = httpx.get(grants.authorize_url(lab, CALLBACK, state, verifier), trust_env=False)
    assert answer.status_code == 302
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def signed_in(lab: OAuthProvider, way: Way) -> Tokens:
    state, verifier = grants.new_secret(), grants.new_secret()
    back = code_for(lab, state, verifier)
    assert back["state"] == state
    return await grants.exchange_code(lab, way, back["code"], verifier, CALLBACK, state, time.time())


async def test_a_code_becomes_tokens_that_the_api_takes(server: OAuthServer, lab: OAuthProvider, way: Way) -> None:
    tokens = await signed_in(lab, way)
    assert server.good(tokens.access.get_secret_value())
    assert tokens.left(time.time()) == pytest.approx(3600, abs=300)
    assert (tokens.scope, tokens.provider) == ("one", "lab")


async def test_a_code_without_its_verifier_is_worth_nothing(server: OAuthServer, lab: OAuthProvider, way: Way) -> None:
    state = grants.new_secret()
    back = code_for(lab, state, grants.new_secret())
    with pytest.raises(OAuthFailed) as failed:
        await grants.exchange_code(lab, way, back["code"], grants.new_secret(), CALLBACK, state, time.time())
    assert failed.value.code == "invalid_grant"
    assert server.sign_ins == []


async def test_a_refresh_token_is_good_once_and_used_twice_it_ends_the_sign_in(
    server: OAuthServer, lab: OAuthProvider, way: Way
) -> None:
    first = await signed_in(lab, way)
    second = await grants.refreshed(lab, way, first, time.time())
    assert server.good(second.access.get_secret_value())
    assert not server.good(first.access.get_secret_value())
    with pytest.raises(OAuthFailed) as failed:
        await grants.refreshed(lab, way, first, time.time())
    assert failed.value.lasting
    assert not server.good(second.access.get_secret_value())


async def test_a_revoked_sign_in_is_over(server: OAuthServer, lab: OAuthProvider, way: Way) -> None:
    tokens = await signed_in(lab, way)
    await grants.revoke(lab, way, tokens)
    assert not server.good(tokens.access.get_secret_value())
    with pytest.raises(OAuthFailed) as failed:
        await grants.refreshed(lab, way, tokens, time.time())
    assert failed.value.lasting


async def test_a_device_waits_until_its_person_has_agreed(server: OAuthServer, way: Way) -> None:
    server.configure(way.places)
    lab = load_providers(way.places, {})["lab"]
    device = await grants.ask_device(lab, way)
    assert device.interval == 1
    assert device.verification_uri == f"{server.url}/activate"
    server.authority.slow_down = 1
    codes = []
    for _ in range(2):
        with pytest.raises(OAuthFailed) as failed:
            await grants.poll_device(lab, way, device, time.time())
        codes.append(failed.value.code)
    assert codes == ["slow_down", "authorization_pending"]
    server.decide(device.user_code)
    tokens = await grants.poll_device(lab, way, device, time.time())
    assert server.good(tokens.access.get_secret_value())


async def test_a_confidential_client_is_known_by_its_secret(way: Way) -> None:
    with OAuthServer(secret="planted-secret") as server:
        server.configure(way.places, client_secret_variable="LAB_SECRET")
        lab = load_providers(way.places, {})["lab"]
        for secret, good in (("planted-secret", True), ("planted-other", False)):
            signed = Way(way.places, {"LAB_SECRET": secret})
            tokens = server.sign_in()
            if good:
                renewed = await grants.refreshed(lab, signed, tokens, time.time())
                assert server.good(renewed.access.get_secret_value())
            else:
                with pytest.raises(OAuthFailed, match="invalid_client"):
                    await grants.refreshed(lab, signed, tokens, time.time())


async def test_the_issuers_metadata_name_its_urls(server: OAuthServer, way: Way) -> None:
    bare = OAuthProvider(name="lab", provider="openai", issuer=server.url, client_id="a-client")
    found = await grants.discovered(bare, way)
    assert (found.authorize_url, found.token_url) == (f"{server.url}/authorize", f"{server.url}/token")
    assert (found.device_url, found.revoke_url) == (f"{server.url}/device", f"{server.url}/revoke")
