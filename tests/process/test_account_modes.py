"""The pool at work in every mode and protocol: the first account is limited, the second serves, and each request that
reaches an upstream bears exactly one credential, an account's."""

import asyncio
import base64
import errno
import json
import os
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anthropic
import pytest

from codemie_core.accounts.account import SecretRef, Source
from codemie_core.demo.script import Step
from codemie_core.egress import parse_proxy
from support.certificates import ca_of
from support.clients import Headers, Http1, Http2
from support.connect_proxy import ConnectProxy
from support.pooled import BEHIND, HIDDEN, NOT_THIS_TIME, OWN, Place, Pooled, pooled, two_accounts
from support.stored import StoredHome
from support.websocket import WebSocketClient

MODES = ("plain", "connect", "connect-h2", "reverse", "reverse-h2", "upstream", "upstream-h2")
UPGRADES = tuple(f"{way}-{status}" for way in ("plain-ws", "ws") for status in ("429", "401", "529"))
SHARED = ("plain-shared", "shared", "shared-h2")
LEFT = ("plain-left", "left-h2")
OUTER = ("first", "second")
AWAY = (("plain-away", "there"), ("away", "plain-there"))
SAID = {
    "status": '{"type": "error", "status": 429, "error": {"type": "usage_limit_reached", "message": "no"}}',
    "failed": '{"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "no"}}}',
}
WAYS = ("ways", "users", "upstream-ways")
PLACES = (
    *MODES,
    *UPGRADES,
    *SHARED,
    *LEFT,
    *OUTER,
    *WAYS,
    *AWAY[0],
    *AWAY[1],
    *(f"message-{said}" for said in SAID),
    "sdk",
    "slow-h2",
)
MODELS = ("one", "two")
HOW = [("Content-Type", "application/json"), ("anthropic-version", "2023-06-01"), ("X-Odd-Case", "a")]


def url_of(name: str, port: int) -> str:
    """Where the accounts of this place are."""
    host = BEHIND if name.startswith("upstream") else "localhost"
    return f"{'http' if name.startswith('plain') else 'https'}://{host}:{port}"


def fill(home: StoredHome, ports: Mapping[str, int]) -> None:
    for name in (*MODES, *UPGRADES, *LEFT, "sdk", *(f"message-{said}" for said in SAID)):
        # In reverse mode all clients ask the one place that it was started for.
        port = ports["reverse" if name.startswith("reverse") else name]
        two_accounts(home, name, url_of(name, port), allow=(name,))
    for name in SHARED:
        for model in MODELS:
            for priority, secret in enumerate((f"lame-{model}", model)):
                provider = "anthropic-compatible" if priority else "openai-compatible"
                about = {"allow": (model,), "priority": priority, "provider": provider}
                home.key(f"{secret}-{name}", url_of(name, ports[name]), f"planted-{secret}-{name}", **about)

    for name, other in AWAY:
        here, there = url_of(name, ports[name]), url_of(other, ports[other])
        home.key(f"main-{name}", here, f"planted-main-{name}", provider="anthropic-compatible")
        about = {"provider": "openai-compatible", "priority": 1, "serves": (here,)}
        home.key(f"spare-{name}", there, f"planted-spare-{name}", **about)
    pipe = home.places.home.parent / "pipe"
    os.mkfifo(pipe)
    two_accounts(home, "slow-h2", url_of("slow-h2", ports["slow-h2"]))
    home.change("spare-slow-h2", secret=SecretRef(Source.COMMAND, shlex.join(["cat", str(pipe)])))
    first, second = ports["first"], ports["second"]
    through(home, "ways", ports, "one.test", f"someone:planted-one@127.0.0.1:{first}", 0)
    through(home, "ways", ports, "two.test", f"another:planted-two@127.0.0.1:{second}", 1)
    through(home, "ways", ports, "localhost", "", 2)
    for priority, user in enumerate(("someone:planted-one@", "another:planted-two@", "")):
        name = f"user-{priority}"
        through(home, "users", ports, "one.test", f"{user}127.0.0.1:{first}", priority, name)
    through(home, "upstream-ways", ports, "one.test", f"someone:planted-one@127.0.0.1:{first}", 0)
    through(home, "upstream-ways", ports, BEHIND, "", 1)


def through(
    home: StoredHome, name: str, ports: Mapping[str, int], host: str, proxy: str, priority: int, account: str = ""
) -> None:
    """An account at `host`, reached through this proxy; it stands in for whatever is asked of the place."""
    about: dict[str, object] = {"priority": priority, "serves": (f"https://{BEHIND}:{ports[name]}",)}
    if proxy:
        about["outbound_proxy"] = parse_proxy(f"http://{proxy}", "test")
    account = account or f"{host.removesuffix('.test')}-{name}"
    url = f"https://{host}:{ports[name]}"
    home.key(account, url, f"planted-{account}", provider="anthropic-compatible", **about)


def basic(pair: str) -> str:
    """The header's value."""
    return "Basic " + base64.b64encode(pair.encode()).decode()


ONE, TWO = basic("someone:planted-one"), basic("another:planted-two")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pooled]:
    with pooled(tmp_path_factory.mktemp("modes"), PLACES, fill) as running:
        yield running


def body_for(name: str) -> bytes:
    """A stream is asked of the model that only the two accounts of this name serve."""
    return json.dumps({"model": name, "stream": True, "messages": []}).encode()


@asynccontextmanager
async def client_of(pool: Pooled, mode: str, place: Place) -> AsyncIterator[tuple[Http1 | Http2, str]]:
    """A client on its way to this place, and what stands before its paths."""
    way, _, version = mode.rpartition("-") if mode.endswith("-h2") else (mode, "", "")
    tls = pool.tls("h2" if version else "http/1.1")
    port = {"reverse": pool.reverse, "upstream": pool.upstream}.get(way, pool.proxy.port)
    through = "" if way == "reverse" else f"{BEHIND}:{place.port}" if way == "upstream" else place.authority
    client: Http1 | Http2
    if way.startswith("plain"):
        client, before = Http1(port), f"http://{place.authority}"
    else:
        client, before = (Http2(port, tls, through=through) if version else Http1(port, tls, through)), ""
    async with client:
        yield client, before


@asynccontextmanager
async def outer_proxy(pool: Pooled, port: int) -> AsyncIterator[ConnectProxy]:
    """The proxy behind the one in upstream mode."""
    async with ConnectProxy({BEHIND: port}, port=pool.ports["outer"]) as running:
        yield running


@pytest.mark.parametrize("mode", MODES)
async def test_the_second_account_serves_in_every_mode(mode: str, pool: Pooled) -> None:
    place = pool.place("reverse" if mode.startswith("reverse") else mode, http2=mode.endswith("h2"))
    main, spare, body = f"main-{mode}", f"spare-{mode}", body_for(mode)
    async with asyncio.timeout(60), place, outer_proxy(pool, place.port) as outer:
        place.fails(main)
        async with client_of(pool, mode, place) as (client, before):
            answers = [await client.ask("POST", f"{before}/v1/messages?beta=true", [*HOW, *OWN], body) for _ in "12"]
    assert [answer.status for answer in answers] == [200, 200]
    assert all(answer.ended == "complete" and b"message_stop" in answer.body for answer in answers)
    assert place.served() == [main, spare, spare]
    first, second, _ = place.requests
    assert (first.body, first.target) == (second.body, second.target) == (body, "/v1/messages?beta=true")
    assert [name for name, _ in first.headers] == [name for name, _ in second.headers]
    assert {request.http_version for request in place.requests} == {"2" if mode.endswith("h2") else "1.1"}
    assert set(outer.targets) == ({f"{BEHIND}:{place.port}"} if mode.startswith("upstream") else set())


async def test_an_sdk_behind_https_proxy_never_hears_of_the_limit(
    pool: Pooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", pool.proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_of(pool.proxy.confdir)))
    hello: anthropic.types.MessageParam = {"role": "user", "content": "Hello"}
    async with asyncio.timeout(60), pool.place("sdk") as place:
        place.fails("main-sdk")
        place.fails("spare-sdk", Step(text="from the second"))
        url = f"https://{place.authority}"
        async with (
            anthropic.AsyncAnthropic(base_url=url, api_key="planted-own", max_retries=0) as client,
            client.messages.stream(model="sdk", max_tokens=9, messages=[hello]) as stream,
        ):
            assert [text async for text in stream.text_stream] == ["from ", "the ", "second"]
    assert place.served() == ["main-sdk", "spare-sdk"]


@pytest.mark.parametrize("name", UPGRADES)
async def test_an_upgrade_of_codex_that_meets_a_limit_goes_to_the_next_account(name: str, pool: Pooled) -> None:
    async with asyncio.timeout(60), pool.place(name) as place:
        place.fails(f"main-{name}", Step(status=int(name[-3:])))
        plain = name.startswith("plain")
        path = f"{'http://' + place.authority if plain else ''}/v1/responses"
        tls, through = (None, "") if plain else (pool.tls(), place.authority)
        async with WebSocketClient(pool.proxy.port, path, OWN, tls, through) as socket:
            for turn in "12":
                await socket.say(json.dumps({"type": "response.create", "model": "m", "input": turn}))
                while json.loads(await socket.hear())["type"] != "response.completed":
                    pass
    assert place.served() == [f"main-{name}", f"spare-{name}"]
    assert len(place.requests[1].messages) == 2


@pytest.mark.parametrize("said", SAID)
async def test_a_limit_that_comes_as_a_message_is_the_clients_and_the_next_upgrade_goes_to_the_next_account(
    said: str, pool: Pooled
) -> None:
    name = f"message-{said}"
    async with asyncio.timeout(60), pool.place(name) as place:
        place.fails(f"main-{name}", Step(events=[f"data: {SAID[said]}\n\n".encode()]))
        for expected in (json.loads(SAID[said])["type"], "response.created"):
            async with WebSocketClient(pool.proxy.port, "/v1/responses", OWN, pool.tls(), place.authority) as socket:
                await socket.say('{"type": "response.create", "model": "m"}')
                assert json.loads(await socket.hear())["type"] == expected
    assert place.served() == [f"main-{name}", f"spare-{name}"]


@pytest.mark.parametrize(("name", "other"), AWAY)
async def test_the_next_account_may_be_elsewhere_and_over_another_scheme(name: str, other: str, pool: Pooled) -> None:
    async with asyncio.timeout(60), pool.place(name) as place, pool.place(other) as there:
        place.fails(f"main-{name}", NOT_THIS_TIME)
        async with client_of(pool, name, place) as (client, before):
            answer = await client.ask("POST", f"{before}/v1/messages", [*HOW, *OWN], body_for("m"))
        assert (answer.status, answer.ended) == (200, "complete")
        path = f"{before}/v1/responses"
        tls, through = (None, "") if name.startswith("plain") else (pool.tls(), place.authority)
        async with WebSocketClient(pool.proxy.port, path, OWN, tls, through) as socket:
            await socket.say('{"type": "response.create", "model": "m"}')
            assert json.loads(await socket.hear())["type"] == "response.created"
    assert (place.served(), there.served()) == ([f"main-{name}"] * 2, [f"spare-{name}"] * 2)
    assert {request.authority for request in there.requests} == {there.authority}


def turn(model: str, number: int) -> tuple[Headers, bytes]:
    """One turn of a conversation of Claude Code."""
    session = ("x-claude-code-session-id", f"00000000-0000-4000-8000-{number:012}")
    return [*HOW, *OWN, session], json.dumps({"model": model, "messages": [], "metadata": {"n": number}}).encode()


@pytest.mark.parametrize("name", ["plain-shared", "shared"])
async def test_a_connection_kept_alive_carries_conversations_of_different_accounts_one_after_the_other(
    name: str, pool: Pooled
) -> None:
    async with asyncio.timeout(60), pool.place(name) as place:
        for model in MODELS:
            place.fails(f"lame-{model}-{name}", NOT_THIS_TIME)
        async with client_of(pool, name, place) as (client, before):
            for _ in range(3):
                for number, model in enumerate(MODELS):
                    assert (await client.ask("POST", f"{before}/v1/messages", *turn(model, number))).status == 200
    expected = [f"{kind}{model}-{name}" for _ in range(3) for model in MODELS for kind in ("lame-", "")]
    assert place.served() == expected
    assert place.connections < len(expected)


async def test_streams_at_the_same_time_on_one_connection_never_mix_accounts(pool: Pooled) -> None:
    async with asyncio.timeout(60), pool.place("shared-h2", http2=True) as place:
        hold = place.gate()
        for model in MODELS:
            place.fails(f"lame-{model}-shared-h2", NOT_THIS_TIME)
            place.fails(f"{model}-shared-h2", Step(hold=hold))
        async with client_of(pool, "shared-h2", place) as (client, _):
            assert isinstance(client, Http2)
            asked = [(number, MODELS[number % 2]) for number in range(30)]
            streams = [await client.send("POST", "/v1/messages", *turn(model, n)) for n, model in asked]
            await place.wait_requests(60)
            hold.open()
            answers = [await client.answer(stream) for stream in streams]
    assert [json.loads(answer.body)["model"] for answer in answers] == [model for _, model in asked]
    assert place.connections == 1
    for model in MODELS:
        served = [who for who, request in zip(place.served(), place.requests, strict=True) if asks(request.body, model)]
        assert sorted(served) == sorted([f"lame-{model}-shared-h2", f"{model}-shared-h2"] * 15)


def asks(body: bytes, model: str) -> bool:
    """Is this request for that model?"""
    return bool(json.loads(body)["model"] == model)


@pytest.mark.parametrize("name", LEFT)
async def test_when_the_client_has_left_the_second_account_is_not_asked(name: str, pool: Pooled) -> None:
    async with asyncio.timeout(60), pool.place(name, http2=name.endswith("h2")) as place:
        hold = place.gate()
        place.script_for(f"planted-main-{name}", Step(status=429, hold=hold, body=b"{}"), then=Step())
        async with client_of(pool, name, place) as (client, before):
            sent = await client.send("POST", f"{before}/v1/messages", [*HOW, *OWN], body_for(name))
            await place.wait_until(lambda: hold.waiting == 1)
            if isinstance(client, Http2):
                client.reset(sent or 0)
            else:
                client.leave()
            await place.wait_cancelled(1)
            hold.open()
        async with client_of(pool, name, place) as (other, before):
            assert (await other.ask("POST", f"{before}/v1/messages", [*HOW, *OWN], body_for(name))).status == 200
    assert place.served() == [f"main-{name}"] * 2


async def test_when_the_client_leaves_while_the_next_secret_is_fetched_nothing_is_sent(pool: Pooled) -> None:
    """The second account's secret is what a command reads from a pipe, as long as nobody writes there it waits."""
    name, pipe = "slow-h2", pool.home.places.home.parent / "pipe"
    async with asyncio.timeout(60), pool.place(name, http2=True) as place:
        place.fails(f"main-{name}")
        async with client_of(pool, name, place) as (client, _):
            assert isinstance(client, Http2)
            stream = await client.send("POST", "/v1/messages", [*HOW, *OWN], body_for(name))
            writer = await reader_of(pipe)
            client.reset(stream)
            # This one is answered later than the other one was given up, so the proxy knows of that.
            assert (await client.ask("GET", "/v1/user", [OWN[1]])).status == 404
            os.write(writer, f"planted-spare-{name}".encode())
            os.close(writer)
            assert (await client.ask("POST", "/v1/messages", [*HOW, *OWN], body_for(name))).status == 200
    # The spare one's is that of the second request: now its secret is at hand.
    assert place.served() == [f"main-{name}", "own-2", f"spare-{name}"]


async def reader_of(pipe: Path) -> int:
    """The writing end, as soon as somebody reads."""
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            await asyncio.sleep(0.005)


@asynccontextmanager
async def proxies_to(pool: Pooled, place: Place) -> AsyncIterator[tuple[ConnectProxy, ConnectProxy, ConnectProxy]]:
    """Of the accounts, the first and the second; and the one behind the proxy in upstream mode."""
    names = dict.fromkeys((*HIDDEN, "localhost"), place.port)
    first, second, outer = (ConnectProxy(names, port=pool.ports[name]) for name in (*OUTER, "outer"))
    async with first, second, outer:
        yield first, second, outer


async def test_the_password_of_an_accounts_proxy_goes_there_alone_and_the_next_account_takes_its_own_way(
    pool: Pooled,
) -> None:
    async with asyncio.timeout(60), pool.place("ways") as place, proxies_to(pool, place) as (first, second, outer):
        for account in ("one-ways", "two-ways"):
            place.fails(account, NOT_THIS_TIME)
        for _ in range(2):
            async with Http1(pool.proxy.port, pool.tls(), f"{BEHIND}:{place.port}") as client:
                for _ in range(2):
                    assert (await client.ask("POST", "/v1/messages", OWN, body_for("ways"))).status == 200
    assert place.served() == ["one-ways", "two-ways", "localhost-ways"] * 4
    assert set(first.targets) == {f"one.test:{place.port}"}
    assert set(second.targets) == {f"two.test:{place.port}"}
    assert (set(first.authorizations), set(second.authorizations), outer.targets) == ({ONE}, {TWO}, [])


async def test_accounts_that_are_different_users_of_one_proxy_never_share_a_sign_in(pool: Pooled) -> None:
    async with asyncio.timeout(60), pool.place("users") as place, proxies_to(pool, place) as (first, second, _):
        for account in ("user-0", "user-1"):
            place.fails(account, NOT_THIS_TIME)
        async with Http1(pool.proxy.port, pool.tls(), f"{BEHIND}:{place.port}") as client:
            for _ in range(2):
                assert (await client.ask("POST", "/v1/messages", OWN, body_for("users"))).status == 200
    assert place.served() == ["user-0", "user-1", "user-2"] * 2
    assert (first.authorizations, set(first.targets)) == ([ONE, TWO, None], {f"one.test:{place.port}"})
    assert second.targets == []


async def test_in_upstream_mode_an_account_without_a_proxy_of_its_own_takes_the_way_of_the_mode(pool: Pooled) -> None:
    name = "upstream-ways"
    async with asyncio.timeout(60), pool.place(name) as place, proxies_to(pool, place) as (first, _, outer):
        place.fails(f"one-{name}", NOT_THIS_TIME)
        async with Http1(pool.upstream, pool.tls(), f"{BEHIND}:{place.port}") as client:
            for _ in range(2):
                assert (await client.ask("POST", "/v1/messages", OWN, body_for(name))).status == 200
    assert place.served() == [f"one-{name}", f"main-{name}"] * 2
    assert (set(first.targets), set(first.authorizations)) == ({f"one.test:{place.port}"}, {ONE})
    assert (set(outer.targets), set(outer.authorizations)) == ({f"{BEHIND}:{place.port}"}, {None})
