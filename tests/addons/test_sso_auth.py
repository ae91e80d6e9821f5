"""Signing in, hook by hook: what gets a credential, what is refused, and what a rejected attempt leads to."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import ctx, exceptions, http
from mitmproxy.test import tutils
from pydantic import SecretStr

from codemie_core.exchange import Exchange, exchange_of
from codemie_core.places import Places
from codemie_core.policy import Answer, AttemptPlan, Retry
from codemie_core.seams.dispatch import has_listeners
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from sso_auth import AGENT_CREDENTIALS, EXPIRED, SsoAuth, place_of
from support.core_room import Room, request, running

URL = "https://codemie.test/code-assistant-api"
MODE = "reverse:https://codemie.test"


def keep(home: Path, value: str, url: str = URL, expires_at: float | None = None) -> None:
    session = Session(url, {"planted": SecretStr(value)}, expires_at=expires_at)
    CredentialStore(Places(home)).write(url, session)


@asynccontextmanager
async def signing(**options: Any) -> AsyncIterator[Room]:
    async with running(SsoAuth(), **{"codemie_sso_auth_url": URL, **options}) as room:
        yield room


def asked(path: str = "/code-assistant-api/v1/messages", host: str = "codemie.test", mode: str = MODE) -> http.HTTPFlow:
    flow = request(mode=mode, host=host, headers=http.Headers([(b"authorization", b"Bearer planted-dummy")]))
    flow.request.scheme, flow.request.path = "https", path
    exchange_of(flow).plan = AttemptPlan()
    return flow


async def signed(room: Room, flow: http.HTTPFlow) -> list[str]:
    """The cookies that go with the request now."""
    await room.fire("request", flow)
    return cookies(exchange_of(flow))


def cookies(exchange: Exchange) -> list[str]:
    return [credential.headers["cookie"].get_secret_value() for credential in exchange.credentials]


async def answered(room: Room, flow: http.HTTPFlow, status: int, **headers: str) -> Any:
    """Play an attempt that brings this response; what the addon makes of it."""
    attempt = exchange_of(flow).begin_attempt(flow.request.host, flow.request.port)
    attempt.status = status
    flow.response = tutils.tresp(status_code=status, headers=http.Headers([], **headers))
    await room.fire("upstream_response", flow, attempt)
    if attempt.rejected:
        await room.fire("upstream_failed", flow, attempt)
    flow.response = None
    return attempt.decision


@pytest.mark.parametrize("url", [URL, ""])
async def test_mitmproxys_own_wire_log_is_refused_where_a_session_would_be_in_it(codemie_home: Path, url: str) -> None:
    async with signing(codemie_sso_auth_url=url) as room:
        options = room.tctx.options
        options.add_option("proxy_debug", bool, False, "")
        with pytest.raises(exceptions.OptionsError, match="proxy_debug prints") if url else nullcontext():
            options.update(proxy_debug=True)
        assert options.proxy_debug is not bool(url)


async def test_a_request_to_the_gateway_gets_the_session_beside_the_flow(codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        flow = asked()
        before = flow.request.headers.fields
        assert await signed(room, flow) == ["planted=one"]
    [credential] = exchange_of(flow).credentials
    assert credential.drops == AGENT_CREDENTIALS
    assert {"authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "user-id"} < AGENT_CREDENTIALS
    assert flow.request.headers.fields == before
    assert flow.response is None


async def test_what_is_not_the_gateways_or_already_answered_is_left_alone(codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        for flow in (
            asked(host="other.test"),
            asked(path="/code-assistant-api-evil"),
            asked(path="/code-assistant-api/../x"),
        ):
            assert await signed(room, flow) == []
            assert flow.response is None
        flow = asked()
        flow.response = tutils.tresp()
        assert await signed(room, flow) == []
        assert flow.response.status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none"])
async def test_a_browser_behind_the_proxy_is_not_signed_in(site: str, codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        browsers, programs, sent_here = asked(mode="regular"), asked(mode="regular"), asked()
        browsers.request.headers["sec-fetch-site"] = sent_here.request.headers["sec-fetch-site"] = site
        assert await signed(room, browsers) == []
        assert browsers.response is None
        assert await signed(room, programs) == await signed(room, sent_here) == ["planted=one"]


async def test_in_regular_mode_a_gateway_among_the_hosts_is_signed(codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing(codemie_hosts=["codemie.test"]) as room:
        assert await signed(room, asked(mode="regular")) == ["planted=one"]


async def test_a_request_that_the_attempt_machine_does_not_run_is_refused(codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        flow = asked()
        exchange_of(flow).plan = None
        assert await signed(room, flow) == []
    assert flow.response is not None
    assert (flow.response.status_code, exchange_of(flow).error) == (502, "cannot_sign_in")


async def test_when_the_addon_fails_nothing_passes(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        [addon] = room.addons
        monkeypatch.setattr(addon, "_credential", None)
        flow = asked()
        assert await signed(room, flow) == []
    assert flow.response is not None
    assert (flow.response.status_code, exchange_of(flow).error) == (502, "addon_failed")


@pytest.mark.parametrize("url", ["", URL])
async def test_without_a_gateway_nobody_listens(url: str) -> None:
    async with signing(codemie_sso_auth_url=url) as room:
        assert has_listeners(ctx.master.addons, "upstream_response") is bool(url)
        assert has_listeners(ctx.master.addons, "upstream_failed") is bool(url)
        flow = asked()
        await room.fire("request", flow)
        assert (flow.response is not None) is bool(url)


async def test_the_gateway_cannot_be_changed_while_requests_may_be_under_way(codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        for url in "", "https://new.test/code-assistant-api":
            with pytest.raises(exceptions.OptionsError, match="codemie_sso_auth_url cannot be changed while the proxy"):
                room.options.update(codemie_sso_auth_url=url)
        room.options.update(codemie_sso_auth_verify_403=False)
        assert await signed(room, asked()) == ["planted=one"]
        assert await signed(room, asked(host="new.test")) == []


@pytest.mark.parametrize(
    "url, words",
    [
        ("http://codemie.test/code-assistant-api", "would carry the session unencrypted: begin it with https://"),
        ("codemie.test", "must be like https://host/path"),
        ("https://ada:planted@codemie.test", "must be like https://host/path"),
        ("https://codemie.test/?key=planted", "must be like https://host/path"),
        ("wss://codemie.test", "must be like https://host/path"),
    ],
)
async def test_a_url_that_could_not_be_signed_in_to_is_refused_by_name(
    codemie_home: Path, url: str, words: str
) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        with pytest.raises(exceptions.OptionsError) as refused:
            room.options.update(codemie_sso_auth_url=url)
        assert str(refused.value).startswith("codemie_sso_auth_url: ")
        assert words in str(refused.value)
        assert await signed(room, asked()) == ["planted=one"], "the former one still holds"


@pytest.mark.parametrize(
    "url, place",
    [
        ("https://Codemie.test:443/code-assistant-api/", ("https", "codemie.test", 443, "/code-assistant-api")),
        ("https://codemie.test", ("https", "codemie.test", 443, "/")),
        ("http://127.0.0.1:8080/x", ("http", "127.0.0.1", 8080, "/x")),
        ("http://[::1]:8080", ("http", "::1", 8080, "/")),
    ],
)
def test_the_place_of_a_session_is_the_urls_own(url: str, place: tuple[str, str, int, str]) -> None:
    found = place_of(url)
    assert (found.scheme, found.host, found.port, found.path_prefix) == (place[0], (place[1],), *place[2:])


async def test_it_cannot_be_switched_while_the_proxy_runs() -> None:
    async with signing() as room:
        with pytest.raises(exceptions.OptionsError, match="sso_auth cannot be switched while the proxy runs"):
            room.options.update(codemie_disabled=["sso_auth"])


PROFILE = {"provider": "ai-run-sso", "baseUrl": URL}


@pytest.mark.parametrize(
    "profile, options, command",
    [
        (PROFILE, {}, "codemie-proxy auth login"),
        (PROFILE, {"codemie_sso_auth_url": "https://CODEMIE.test:443/code-assistant-api/"}, "codemie-proxy auth login"),
        (
            PROFILE,
            {"codemie_sso_auth_url": "https://codemie.test"},
            "codemie-proxy auth login --url https://codemie.test",
        ),
        (PROFILE | {"provider": "bearer-auth"}, {}, "codemie-proxy auth login --jwt"),
    ],
)
async def test_the_command_to_run_says_no_more_than_it_must(
    codemie_home: Path, profile: dict[str, str], options: dict[str, str], command: str
) -> None:
    codemie_home.mkdir()
    (codemie_home / "codemie-cli.config.json").write_text(json.dumps(profile))
    async with running(SsoAuth(), **options) as room:
        flow = asked()
        await room.fire("request", flow)
    assert flow.response is not None
    assert f"Run: {command} (no restart is needed). (request " in (flow.response.text or "")


@pytest.mark.parametrize(
    "status, headers",
    [
        (302, {"location": "https://id.test/login"}),
        (401, {}),
        (200, {"content_type": "text/html"}),
    ],
)
async def test_an_expired_session_is_one_401_whatever_it_looks_like(
    codemie_home: Path, status: int, headers: dict[str, str]
) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        flow = asked()
        await signed(room, flow)
        decision = await answered(room, flow, status, **headers)
    assert isinstance(decision, Answer)
    assert getattr(decision.response, "status", None) == 401
    assert getattr(decision.response, "code", None) == EXPIRED


@pytest.mark.parametrize("status", [200, 204, 400, 404, 429, 500, 503])
async def test_an_answer_that_says_nothing_of_the_session_is_left_alone(codemie_home: Path, status: int) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        flow = asked()
        await signed(room, flow)
        assert await answered(room, flow, status, content_type="application/json") is None


async def test_an_answer_of_another_place_is_not_taken_for_the_gateways(codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        flow = asked()
        await signed(room, flow)
        flow.request.host = "other.test"
        assert await answered(room, flow, 401) is None
        unsigned = asked(host="other.test")
        await signed(room, unsigned)
        assert await answered(room, unsigned, 401) is None


async def test_a_newer_session_is_tried_once_per_exchange(codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        flow, other = asked(), asked()
        await signed(room, flow)
        await signed(room, other)
        keep(codemie_home, "two")
        assert await answered(room, flow, 401) == Retry(0.0)
        assert cookies(exchange_of(flow)) == ["planted=two"]
        keep(codemie_home, "three")
        assert isinstance(await answered(room, flow, 401), Answer)
        assert await answered(room, other, 302, location="/login") == Retry(0.0)
        assert cookies(exchange_of(other)) == ["planted=three"]


async def test_a_newer_session_that_has_expired_itself_is_not_tried(codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        flow = asked()
        await signed(room, flow)
        keep(codemie_home, "two", expires_at=1.0)
        assert isinstance(await answered(room, flow, 401), Answer)


async def test_a_rejection_by_somebody_else_is_theirs_to_decide(codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        flow = asked()
        await signed(room, flow)
        attempt = exchange_of(flow).begin_attempt("codemie.test", 443)
        attempt.reject("something else")
        await room.fire("upstream_failed", flow, attempt)
        assert attempt.decision is None


async def test_cookies_of_the_gateway_are_dropped_and_those_of_others_pass(codemie_home: Path) -> None:
    keep(codemie_home, "one")
    async with signing() as room:
        for flow, kept in (asked(), []), (asked(host="other.test"), ["a=1", "b=2"]):
            await signed(room, flow)
            flow.response = tutils.tresp(headers=http.Headers([(b"set-cookie", b"a=1"), (b"Set-Cookie", b"b=2")]))
            await room.fire("responseheaders", flow)
            assert flow.response.headers.get_all("set-cookie") == kept


@pytest.mark.parametrize(
    "path", ["/v1/auth/login/4242", "/v1/%61uth/login/1", "/v1//auth%2Flogin/1?x=y", "/V1/Auth/Login/1"]
)
async def test_nobody_signs_in_through_the_proxy(path: str, codemie_home: Path) -> None:
    """CodeMie would hand the operator's session to the port that is asked for."""
    keep(codemie_home, "one")
    async with signing() as room:
        flow = asked(f"/code-assistant-api{path}")
        assert await signed(room, flow) == []
        assert flow.response is not None
        assert flow.response.status_code == 400
        assert await signed(room, asked("/code-assistant-api/v1/author?to=/auth/login")) == ["planted=one"]


async def test_the_answer_to_a_request_that_went_out_unsigned_says_nothing_of_the_session(codemie_home: Path) -> None:
    """TRACE, or a server that is authenticated under another name."""
    keep(codemie_home, "one")
    async with signing() as room:
        flow = asked()
        assert await signed(room, flow) == ["planted=one"]
        attempt = exchange_of(flow).begin_attempt("codemie.test", 443)
        attempt.held_back = 1
        flow.response = tutils.tresp(status_code=401)
        await room.fire("upstream_response", flow, attempt)
        assert attempt.rejected is None
