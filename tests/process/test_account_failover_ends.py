"""Where failing over ends: the client has left, bytes have gone out, nobody is left."""

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from codemie_core.accounts.account import Kind
from codemie_core.demo.absent import closed_port
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from codemie_core.egress import parse_proxy
from support.access import until
from support.certificates import Authority
from support.connect_proxy import ConnectProxy
from support.proxy import Mitmproxy, reverse
from support.scripted import Scripted, wait_for_details
from support.signed_in import tokens_of
from support.stored import StoredHome, new_account
from support.token_service import access

MAIN, SPARE = "sk-planted-main", "sk-planted-spare"
QUICK = {"codemie_upstream_attempts_backoff": "5ms"}


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with Scripted() as running:
        yield running


@pytest.fixture
def pool(codemie_home: Path, upstream: Scripted) -> StoredHome:
    """main is asked first, spare second; both are at the scripted upstream."""
    home = StoredHome(codemie_home)
    home.key("main", upstream.url, MAIN, provider="anthropic-compatible")
    home.key("spare", upstream.url, SPARE, provider="anthropic-compatible", priority=1)
    return home


def stream(proxy: Mitmproxy) -> Iterator[str]:
    """A turn with the real SDK, as it reads it."""
    hello: anthropic.types.MessageParam = {"role": "user", "content": "Hello"}
    with (
        anthropic.Anthropic(base_url=proxy.url, api_key="dummy", max_retries=0, timeout=60) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[hello]) as running,
    ):
        yield from running.text_stream


def settled(proxy: Mitmproxy, usable: int) -> None:
    """Wait until so many accounts can serve, and nobody is on the way."""
    wait_for_details(proxy, "account_rotation", usable=usable)
    until(lambda: proxy.health()["counters"]["exchanges"]["open"] == 1)  # that is the question itself


@contextmanager
def asking(proxy: Mitmproxy) -> Iterator[None]:
    """A client that asks, and leaves at the end."""
    body = json.dumps({"model": "m"}).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(head.encode() + body)
        yield


def test_a_client_that_left_is_not_served_by_the_next_account(pool: StoredHome, upstream: Scripted) -> None:
    gate = upstream.call(upstream.upstream.gate)
    upstream.script_for(MAIN, Step(status=429, hold=gate))
    with reverse(upstream.url) as proxy:
        with asking(proxy):
            until(lambda: gate.waiting == 1)
        until(lambda: len(upstream.upstream.cancelled) == 1)
        upstream.call(gate.open)
        settled(proxy, usable=2)
    assert upstream.keys() == [MAIN]


def test_a_client_that_leaves_while_a_place_is_given_time_is_not_served_either(
    pool: StoredHome, upstream: Scripted
) -> None:
    upstream.script_for(MAIN, Step(status=503))
    # It waits two seconds at the least, in which a busy machine has to notice that the client has gone.
    with reverse(upstream.url, options={"codemie_upstream_attempts_backoff": "4s"}) as proxy:
        with asking(proxy):
            until(lambda: upstream.upstream.finished == 1)
        settled(proxy, usable=2)
        time.sleep(4.2)  # Longer than the wait that it must not outlive.
    assert upstream.keys() == [MAIN]


# The SDK hangs up when it has read the error, whether the upstream has ended its stream by then or not.
@pytest.mark.parametrize("cut", [None, Cut.STALL])
def test_an_error_in_mid_stream_reaches_the_sdk_and_marks_the_account(
    cut: Cut | None, pool: StoredHome, upstream: Scripted
) -> None:
    upstream.script_for(MAIN, Step(events=5, error_event=True, error_at=3, cut=cut, after_events=20 if cut else None))
    with reverse(upstream.url) as proxy:
        with pytest.raises(anthropic.APIStatusError) as raised:
            list(stream(proxy))
        settled(proxy, usable=1)
        assert list(stream(proxy))
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["error"]["type"] == "overloaded_error"
    assert upstream.keys() == [MAIN, SPARE]


@pytest.mark.parametrize("cut", [Cut.RESET, Cut.CLOSE])
def test_a_stream_that_breaks_off_is_left_alone_and_is_no_fault_of_the_account(
    cut: Cut, pool: StoredHome, upstream: Scripted
) -> None:
    upstream.script_for(MAIN, Step(events=5, cut=cut, after_events=4))
    with reverse(upstream.url) as proxy:
        with pytest.raises(Exception, match="peer closed connection"):
            list(stream(proxy))
        settled(proxy, usable=2)
        assert list(stream(proxy))
    assert upstream.keys() == [MAIN, MAIN]


def claude(proxy: Mitmproxy) -> None:
    list(stream(proxy))


def gpt(proxy: Mitmproxy) -> None:
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="dummy", max_retries=0, timeout=60) as client:
        client.responses.create(model="m", input="Hello", stream=True)


def gemini(proxy: Mitmproxy) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60) as client:
        path = "/v1beta/models/m:streamGenerateContent?alt=sse"
        return client.post(f"{proxy.url}{path}", json={}, headers={"x-goog-api-key": "dummy"})


LIMITED = Step(status=429, headers=(("retry-after", "3600"),))
MEANINGS = [(LIMITED, 429, "60"), (Step(status=401), 503, "60"), (Step(status=529), 503, "10")]


@pytest.mark.parametrize("step, status, wait", MEANINGS, ids=["limited", "refused", "overloaded"])
def test_an_empty_pool_is_an_error_that_each_sdk_reads_and_agents_wait_for(
    step: Step, status: int, wait: str, pool: StoredHome, upstream: Scripted
) -> None:
    upstream.script(then=step)
    with reverse(upstream.url, options=QUICK) as proxy:
        for _ in range(2):
            with pytest.raises(anthropic.APIStatusError) as claudes:
                claude(proxy)
            with pytest.raises(openai.APIStatusError) as gpts:
                gpt(proxy)
            answers: list[Any] = [claudes.value.response, gpts.value.response, gemini(proxy)]
            assert [answer.status_code for answer in answers] == [status] * 3
            assert all(0 < int(answer.headers["retry-after"]) <= int(wait) for answer in answers)
            assert all("main: " in answer.text and "spare: " in answer.text for answer in answers)
            assert not any("planted" in answer.text for answer in answers)
    kinds = {429: ("rate_limit_error", "RESOURCE_EXHAUSTED"), 503: ("api_error", "UNAVAILABLE")}[status]
    assert isinstance(claudes.value.body, dict)
    assert claudes.value.body["error"]["type"] == kinds[0]
    assert gpts.value.code == "pool_exhausted"
    assert answers[2].json()["error"]["status"] == kinds[1]
    assert set(upstream.keys()) == {MAIN, SPARE}
    assert len(upstream.requests) <= 4, "who rests is not asked"


def test_only_an_account_with_a_sign_in_announces_it(codemie_home: Path, upstream: Scripted) -> None:
    home = StoredHome(codemie_home)
    home.add(new_account("main", upstream.url, kind=Kind.OAUTH), tokens_of(1, left=3000).dump())
    home.key("spare", upstream.url, SPARE, priority=1)
    upstream.script_for(access(1), then=LIMITED)
    said = {"Anthropic-Beta": "a-2025-01-01, b", "x-api-key": "dummy"}
    with reverse(upstream.url) as proxy, httpx.Client(trust_env=False, timeout=60) as client:
        assert client.post(f"{proxy.url}/v1/messages", json={"model": "m"}, headers=said).status_code == 200
    assert upstream.keys() == [access(1), SPARE]
    betas = [[pair for pair in request.headers if pair[0].lower() == "anthropic-beta"] for request in upstream.requests]
    assert [value for _, value in betas[0]] == ["a-2025-01-01, b,oauth-2025-04-20"]
    assert betas[1] == [("Anthropic-Beta", "a-2025-01-01, b")]


async def test_accounts_may_be_different_users_of_one_outbound_proxy(codemie_home: Path, tmp_path: Path) -> None:
    """The last account has no user there, and HTTPS_PROXY names yet another one."""
    authority, home, base = Authority(tmp_path), StoredHome(codemie_home), "https://upstream.test:8443"
    async with (
        Upstream(authority.server("upstream.test")) as secure,
        ConnectProxy({"upstream.test": secure.port}) as outbound,
    ):
        for priority, user in enumerate(("ann:planted-1@", "bob:planted-2@", "")):
            way = parse_proxy(outbound.url(user.removesuffix("@")), "a test")
            home.key(user[:3] or "none", base, f"sk-{priority}", priority=priority, outbound_proxy=way)
            secure.script_for(f"sk-{priority}", then=LIMITED if user else Step())
        options = {"codemie_upstream_attempts_ca_file": authority.pem}
        with reverse(base, options=options, env={"HTTPS_PROXY": outbound.url("eve:planted-3")}) as proxy:
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.post(f"{proxy.url}/v1/messages", json={"model": "m"})).status_code == 200
    users = [base64.b64decode(one.removeprefix("Basic ")) if one else b"" for one in outbound.authorizations]
    assert users == [b"ann:planted-1", b"bob:planted-2", b""]
    assert [request.keys for request in secure.requests] == [["sk-0"], ["sk-1"], ["sk-2"]]
    assert "planted" not in proxy.log


def test_an_account_whose_address_is_the_proxys_own_is_named_at_once(codemie_home: Path, upstream: Scripted) -> None:
    """Not after three attempts, and with a status that no agent asks again on."""
    port = closed_port()
    StoredHome(codemie_home).key(
        "mine", f"http://localhost:{port}", MAIN, provider="anthropic-compatible", serves=(upstream.url,)
    )
    with (
        reverse(f"{upstream.url}@{port}") as proxy,
        anthropic.Anthropic(base_url=proxy.url, api_key="dummy", max_retries=2, timeout=20) as client,
        pytest.raises(
            anthropic.BadRequestError, match=r"The address of the account mine, .* leads back to this very"
        ) as told,
    ):
        client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])
    assert "codemie-proxy accounts remove mine" in str(told.value)
    assert upstream.requests == []
