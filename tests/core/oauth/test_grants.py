"""The calls of OAuth 2 as they go out, and what comes of each answer."""

import base64
import hashlib
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr

from codemie_core.accounts import limits
from codemie_core.demo.absent import closed_port
from codemie_core.demo.received import Received
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from codemie_core.egress import parse_proxy
from codemie_core.errors import SettingsError
from codemie_core.oauth import grants
from codemie_core.oauth.errors import OAuthFailed
from codemie_core.oauth.grants import DeviceCode, Way
from codemie_core.oauth.providers import OAuthProvider
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places
from support.certificates import Authority
from support.connect_proxy import ConnectProxy

NOW = 1_800_000_000.0
FORMER = Tokens(SecretStr("planted-a0"), SecretStr("planted-r0"), NOW, NOW - 3600, "one", "lab")
ANSWER = {"access_token": "planted-a1", "refresh_token": "planted-r1", "token_type": "Bearer", "expires_in": 3600}
DEVICE = DeviceCode(SecretStr("planted-device"), "AB-CD", "https://lab.test/device", "", 600.0, 5.0)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as running:
        says(running, ANSWER)
        yield running


@pytest.fixture
def way(codemie_home: Path) -> Way:
    return Way(Places(codemie_home), {})


def says(upstream: Upstream, body: object, status: int = 200, **fields: Any) -> None:
    upstream.script(then=Step(status=status, body=json.dumps(body), **fields))


def lab(upstream: Upstream, **fields: Any) -> OAuthProvider:
    base = upstream.url.replace("https://", "http://")
    urls = {f"{name}_url": f"{base}/{name}" for name in ("authorize", "token", "device", "revoke")}
    return OAuthProvider(
        name="lab", provider="openai", client_id="a-client", **{"scopes": ("one", "two"), **urls, **fields}
    )


def form(request: Received) -> dict[str, str]:
    assert request.header("content-type") == "application/x-www-form-urlencoded"
    return dict(parse_qsl(request.body.decode(), strict_parsing=True))


def test_the_browser_is_sent_there_with_a_challenge_and_never_the_verifier(way: Way) -> None:
    provider = OAuthProvider(
        name="lab",
        provider="openai",
        client_id="a-client",
        authorize_url="https://lab.test/authorize?tenant=1",
        scopes=("one", "two"),
        authorize_parameters={"code": "true"},
    )
    state, verifier = grants.new_secret(), grants.new_secret()
    url = grants.authorize_url(provider, "http://127.0.0.1:7/callback", state, verifier)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "a-client",
        "redirect_uri": "http://127.0.0.1:7/callback",
        "scope": "one two",
        "state": state,
        "code": "true",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    assert verifier not in url


def test_states_and_verifiers_are_long_and_never_the_same() -> None:
    made = {grants.new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9]{64}", text) for text in made)


async def test_a_code_is_exchanged_for_tokens(upstream: Upstream, way: Way) -> None:
    tokens = await grants.exchange_code(
        lab(upstream), way, "planted-code", "planted-v", "http://127.0.0.1:7/", "st", NOW
    )
    assert tokens == Tokens(SecretStr("planted-a1"), SecretStr("planted-r1"), NOW + 3600, NOW, "", "lab")
    (request,) = upstream.requests
    assert (request.method, request.target) == ("POST", "/token")
    assert form(request) == {
        "grant_type": "authorization_code",
        "code": "planted-code",
        "redirect_uri": "http://127.0.0.1:7/",
        "code_verifier": "planted-v",
        "client_id": "a-client",
    }
    assert request.keys == []


async def test_who_wants_json_gets_json_and_the_state(upstream: Upstream, way: Way) -> None:
    provider = lab(upstream, token_request="json")
    await grants.exchange_code(provider, way, "planted-code", "planted-v", "http://127.0.0.1:7/", "st", NOW)
    await grants.refreshed(provider, way, FORMER, NOW)
    first, second = upstream.requests
    assert first.header("content-type") == second.header("content-type") == "application/json"
    assert first.json() == {
        "grant_type": "authorization_code",
        "code": "planted-code",
        "redirect_uri": "http://127.0.0.1:7/",
        "code_verifier": "planted-v",
        "state": "st",
        "client_id": "a-client",
    }
    assert second.json() == {"grant_type": "refresh_token", "refresh_token": "planted-r0", "client_id": "a-client"}


async def test_a_refresh_keeps_what_the_answer_leaves_out(upstream: Upstream, way: Way) -> None:
    says(upstream, {"access_token": "planted-a1"})
    tokens = await grants.refreshed(lab(upstream), way, FORMER, NOW)
    assert tokens == Tokens(SecretStr("planted-a1"), SecretStr("planted-r0"), None, NOW, "one", "lab")
    fields = form(upstream.requests[0])
    assert fields == {"grant_type": "refresh_token", "refresh_token": "planted-r0", "client_id": "a-client"}


async def test_a_sign_in_without_a_refresh_token_ends_without_a_call(upstream: Upstream, way: Way) -> None:
    bare = Tokens(SecretStr("planted-a0"), None, NOW, NOW, "", "lab")
    with pytest.raises(OAuthFailed) as failed:
        await grants.refreshed(lab(upstream), way, bare, NOW)
    assert failed.value.lasting
    assert upstream.requests == []


async def test_a_client_with_a_secret_signs_with_it(upstream: Upstream, way: Way) -> None:
    provider = lab(upstream, client_secret_variable="LAB_SECRET")
    signed = Way(way.places, {"LAB_SECRET": "planted-secret"})
    await grants.refreshed(provider, signed, FORMER, NOW)
    (request,) = upstream.requests
    pair = base64.b64encode(b"a-client:planted-secret").decode()
    assert request.header("authorization") == f"Basic {pair}"
    assert b"planted-secret" not in request.body
    with pytest.raises(SettingsError, match="LAB_SECRET is not set"):
        await grants.refreshed(provider, way, FORMER, NOW)


@pytest.mark.parametrize(
    ("status", "body", "headers", "code", "lasting", "after"),
    [
        (400, {"error": "invalid_grant", "error_description": "planted-r0"}, {}, "invalid_grant", True, None),
        (
            401,
            {"error": {"code": "refresh_token_reused", "message": "planted-r0"}},
            {},
            "refresh_token_reused",
            True,
            None,
        ),
        (200, {"error": "invalid_grant"}, {}, "invalid_grant", True, None),
        (400, {"error": "invalid_request", "error_description": "invalid_grant"}, {}, "invalid_request", False, None),
        (429, {"error": {"type": "rate_limit_error"}}, {"retry-after": "120"}, "rate_limit_error", False, 120.0),
        (500, {"message": "planted-r0"}, {}, "", False, None),
        (503, "planted-r0", {"retry-after": "7"}, "", False, 7.0),
        (302, {}, {"location": "https://evil.test/planted"}, "", False, None),
        (200, ["planted-r0"], {}, "", False, None),
        (200, {"token_type": "Bearer"}, {}, "", False, None),
    ],
)
async def test_a_failure_tells_host_status_and_code_and_nothing_else(
    status: int,
    body: object,
    headers: Mapping[str, str],
    code: str,
    lasting: bool,
    after: float | None,
    upstream: Upstream,
    way: Way,
) -> None:
    says(upstream, body, status, headers=[*headers.items()])
    with pytest.raises(OAuthFailed) as failed:
        await grants.refreshed(lab(upstream), way, FORMER, NOW)
    assert (failed.value.code, failed.value.lasting, failed.value.after) == (code, lasting, after)
    assert "planted" not in str(failed.value)
    assert len(upstream.requests) == 1


async def test_an_endless_answer_is_given_up(upstream: Upstream, way: Way) -> None:
    upstream.script(then=Step(body=b"x" * (grants.LONGEST + 1)))
    with pytest.raises(OAuthFailed, match="more than 64 KiB"):
        await grants.refreshed(lab(upstream), way, FORMER, NOW)


async def test_a_silent_service_is_given_up_in_time(
    upstream: Upstream, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grants, "TIMEOUT", 0.05)
    upstream.script(then=Step(cut=Cut.STALL))
    with pytest.raises(OAuthFailed, match=r"127\.0\.0\.1 did not answer within 0\.05 s"):
        await grants.refreshed(lab(upstream), way, FORMER, NOW)


async def test_a_service_that_is_not_there_is_told(upstream: Upstream, way: Way) -> None:
    provider = lab(upstream, token_url=f"http://127.0.0.1:{closed_port()}/token")
    with pytest.raises(OAuthFailed, match=r"127\.0\.0\.1 could not be reached \(ConnectError\)") as failed:
        await grants.refreshed(provider, way, FORMER, NOW)
    assert not failed.value.lasting


async def test_calls_go_out_through_the_accounts_own_proxy_and_trust_further_authorities(
    way: Way, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    async with (
        Upstream(authority.server("lab.test"), http2=False) as upstream,
        ConnectProxy({"lab.test": upstream.port}, "Basic bWU6cGxhbnRlZA==") as outbound,
    ):
        says(upstream, ANSWER)
        proxy = parse_proxy(outbound.url("me:planted"), "a test")
        own = Way(way.places, {"NO_PROXY": "*"}, str(authority.pem), proxy)
        tokens = await grants.refreshed(lab(upstream, token_url="https://lab.test/token"), own, FORMER, NOW)
    assert tokens.access.get_secret_value() == "planted-a1"
    assert outbound.targets == ["lab.test:443"]


async def test_a_device_asks_and_polls(upstream: Upstream, way: Way) -> None:
    asked = {"device_code": "planted-device", "user_code": "AB-CD", "verification_uri": "https://lab.test/device"}
    says(upstream, {**asked, "expires_in": 600})
    device = await grants.ask_device(lab(upstream), way)
    assert device == DEVICE
    assert "planted" not in repr(device)
    for code in ("authorization_pending", "slow_down", "access_denied", "expired_token"):
        says(upstream, {"error": code}, 400)
        with pytest.raises(OAuthFailed) as failed:
            await grants.poll_device(lab(upstream), way, device, NOW)
        assert (failed.value.code, failed.value.lasting) == (code, False)
    says(upstream, ANSWER)
    tokens = await grants.poll_device(lab(upstream), way, device, NOW)
    assert tokens.access.get_secret_value() == "planted-a1"
    first, *_, last = upstream.requests
    assert (first.target, form(first)) == ("/device", {"client_id": "a-client", "scope": "one two"})
    assert (last.target, form(last)) == (
        "/token",
        {"grant_type": grants.DEVICE_GRANT, "device_code": "planted-device", "client_id": "a-client"},
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"device_code": "planted", "user_code": "AB-CD"},
        {"device_code": "planted", "user_code": "AB-CD", "verification_uri": "http://evil.test"},
        {"device_code": "planted", "user_code": "AB", "verification_uri": "https://lab.test", "interval": "soon"},
    ],
)
async def test_a_device_code_that_is_of_no_use_is_told(body: object, upstream: Upstream, way: Way) -> None:
    says(upstream, body)
    with pytest.raises(OAuthFailed) as failed:
        await grants.ask_device(lab(upstream), way)
    assert "planted" not in str(failed.value)


@pytest.mark.parametrize(("refresh", "hint"), [("planted-r0", "refresh_token"), (None, "access_token")])
async def test_a_sign_in_is_revoked_by_the_token_that_stands_for_it(
    refresh: str | None, hint: str, upstream: Upstream, way: Way
) -> None:
    upstream.script(then=Step(body=b""))
    tokens = Tokens(SecretStr("planted-a0"), SecretStr(refresh) if refresh else None, None, NOW, "", "lab")
    await grants.revoke(lab(upstream, token_request="json"), way, tokens)
    (request,) = upstream.requests
    fields = {"token": refresh or "planted-a0", "token_type_hint": hint, "client_id": "a-client"}
    assert (request.target, form(request)) == ("/revoke", fields)


@pytest.mark.parametrize("key", ["token_url", "device_url", "revoke_url"])
async def test_a_url_that_is_missing_is_named(key: str, upstream: Upstream, way: Way) -> None:
    provider = lab(upstream, **{key: ""})
    calls = {
        "token_url": grants.refreshed(provider, way, FORMER, NOW),
        "device_url": grants.ask_device(provider, way),
        "revoke_url": grants.revoke(provider, way, FORMER),
    }
    call = calls.pop(key)
    for other in calls.values():
        other.close()
    with pytest.raises(OAuthFailed, match=f"lab has no {key}: write it into providers.yaml"):
        await call
    assert upstream.requests == []


def test_a_service_without_a_page_to_sign_in_at_is_named(way: Way) -> None:
    with pytest.raises(OAuthFailed, match="lab has no authorize_url"):
        grants.authorize_url(OAuthProvider(name="lab", provider="openai"), "http://127.0.0.1:7/", "state", "verifier")


async def test_what_is_empty_comes_from_the_issuers_metadata(upstream: Upstream, way: Way) -> None:
    issuer = f"{upstream.url}/tenant"
    urls = {"token_endpoint": "https://lab.test/t", "revocation_endpoint": "https://lab.test/r", "other": "x"}
    says(upstream, {"issuer": issuer, **urls})
    found = await grants.discovered(lab(upstream, issuer=issuer, token_url="", device_url=""), way)
    assert (found.token_url, found.device_url) == ("https://lab.test/t", "")
    assert found.revoke_url == f"{upstream.url}/revoke"
    assert upstream.requests[0].target == "/.well-known/oauth-authorization-server/tenant"
    assert await grants.discovered(lab(upstream, token_url=""), way) == lab(upstream, token_url="")


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"issuer": "https://evil.test", "token_endpoint": "https://evil.test"}, "has no metadata for this issuer"),
        ({"issuer": None}, "has no metadata for this issuer"),
        ({}, "has no metadata for this issuer"),
        ({"token_endpoint": "http://evil.test/"}, "names a token_endpoint that is no https URL"),
    ],
)
async def test_metadata_that_do_not_fit_are_refused(
    metadata: dict[str, Any], problem: str, upstream: Upstream, way: Way
) -> None:
    ours = {"issuer": upstream.url} if list(metadata) == ["token_endpoint"] else {}
    says(upstream, {**ours, **metadata})
    with pytest.raises(OAuthFailed, match=problem):
        await grants.discovered(lab(upstream, issuer=upstream.url, token_url=""), way)


async def test_a_missing_library_is_told_with_the_fix(
    upstream: Upstream, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "authlib.oauth2.rfc6749.parameters", None)
    with pytest.raises(SettingsError, match=r"pip install 'codemie-proxy\[oauth\]'"):
        await grants.refreshed(lab(upstream), way, FORMER, NOW)


def test_retry_after_is_read_as_everywhere_else() -> None:
    assert limits.read_limits([(b"retry-after", b"5")], NOW).retry_after == 5.0
