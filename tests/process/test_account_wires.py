"""What each API and each way of writing a request has of its own, while the pool moves it from the first account, which
is limited, to the second: paths, bodies and headers stay what the client sent, and its credentials stay here."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest

from codemie_core.accounts.entry import base_url_of
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.demo.encoding import encoder
from codemie_core.demo.script import Step
from support.clients import Headers, Http1, Http2
from support.pooled import NOT_THIS_TIME, OWN, Place, Pooled, pooled, two_accounts
from support.stored import StoredHome

ENCODINGS = ("gzip", "deflate", "br", "zstd")
VERSIONS = ("1.1", "2")
LARGE = 10 * 1024 * 1024
FINE = Step(body=b'{"fine": true}')
JSON = [("content-type", "application/json")]
BEARER = ("authorization", "Bearer ")
APIS = {
    "chat": ("openai", BEARER, "", "/v1/chat/completions"),
    "responses": ("openai", BEARER, "", "/v1/responses"),
    "embeddings": ("openai", BEARER, "", "/v1/embeddings"),
    "chat-compatible": ("openai-compatible", BEARER, "", "/v1/chat/completions"),
    "version-4": ("openai-compatible", BEARER, "/api/paas/v4", "/api/paas/v4/chat/completions"),
    "below-v1": ("openai-compatible", BEARER, "/api/v1", "/api/v1/chat/completions"),
    "gateway": ("anthropic-compatible", ("x-api-key", ""), "/anthropic", "/anthropic/v1/messages?beta=true"),
    "generate": ("gemini", ("x-goog-api-key", ""), "", "/v1beta/models/g:generateContent"),
    "count": ("gemini", ("x-goog-api-key", ""), "", "/v1beta/models/g:countTokens"),
}
"""Place -> provider, header of its key and what stands before the key there, path of the base URL as people write it,
and path of the call."""
PREFIXES = ("/api/v1", "/api", "/api/v1beta")
QUERIES = {
    "?key=planted-own-9": "",
    "?alt=sse&key=planted-own-9": "?alt=sse",
    "?key=planted-own-9&alt=sse&%24x=a%20b+c": "?alt=sse&%24x=a%20b+c",
    "?%6bey=planted-own-9&monkey=1": "?monkey=1",
    "?access_token=planted-own-9&alt=sse": "?alt=sse",
}
"""Query of the client -> what may go on with an account."""
PLACES = (
    *APIS,
    *(f"prefix-{number}" for number in range(len(PREFIXES))),
    *("plain-elsewhere", "bare-elsewhere"),
    *(f"encoded-{encoding}" for encoding in ENCODINGS),
    *(f"large-{version}" for version in VERSIONS),
    *(f"early-{version}-{closes}" for version in VERSIONS for closes in (False, True)),
    *(f"twice-{version}" for version in VERSIONS),
    *(f"query-{number}" for number in range(len(QUERIES))),
    *("fallback", "sides", "browser", "trailers", "continue"),
)


def fill(home: StoredHome, ports: Mapping[str, int]) -> None:
    notes: list[str] = []
    for name in PLACES:
        url = f"{'http' if name.startswith('plain') else 'https'}://localhost:{ports[name]}"
        if name in APIS:
            provider, _, path, _ = APIS[name]
            two_accounts(home, name, base_url_of(PROVIDERS[provider], url + path, notes.append), provider=provider)
        elif name.startswith("query"):
            two_accounts(home, name, url, provider="gemini")
        elif name.startswith("prefix"):
            base = base_url_of(PROVIDERS["openai-compatible"], url + PREFIXES[int(name[-1])], notes.append)
            home.key(f"main-{name}", base, f"planted-main-{name}", provider="openai-compatible")
            for priority, other in enumerate(("plain-elsewhere", "bare-elsewhere"), 1):
                place = "http" if other.startswith("plain") else "https"
                there = f"{place}://localhost:{ports[other]}{'/other' if other.startswith('plain') else ''}"
                about = {"serves": (url,), "priority": priority, "provider": "anthropic-compatible"}
                home.key(f"{other}-{name}", there, f"planted-{other}-{name}", **about)
        elif name == "fallback":
            home.key("main-fallback", url, "planted-main-fallback", provider="gemini", allow=("pro",))
            about = {"allow": ("flash",), "fallback_model": "flash", "provider": "gemini", "priority": 1}
            home.key("spare-fallback", url, "planted-spare-fallback", **about)
        elif name.startswith("encoded"):
            # Asked first, if only it served this model: whoever cannot read the body asks it.
            about = {"allow": ("another",), "priority": -1, "provider": "anthropic-compatible"}
            home.key(f"other-{name}", url, f"planted-other-{name}", **about)
            two_accounts(home, name, url, allow=("m",))
        elif name == "sides":
            two_accounts(home, name, url, priority=0)
        else:
            two_accounts(home, name, url)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pooled]:
    with pooled(tmp_path_factory.mktemp("wires"), PLACES, fill) as running:
        yield running


@asynccontextmanager
async def limited(pool: Pooled, name: str, version: str = "1.1") -> AsyncIterator[tuple[Place, Http1 | Http2]]:
    """The place, whose first account is limited and which likes all else; and a client on its way there."""
    tls, place = pool.tls("h2" if version == "2" else "http/1.1"), pool.place(name, http2=version == "2")
    client = (Http2 if version == "2" else Http1)(pool.proxy.port, tls, through=place.authority)
    async with asyncio.timeout(60), place, client:
        place.script(then=FINE)
        place.fails(f"main-{name}")
        yield place, client


def moved(place: Place, name: str) -> None:
    """It went to the second account, and nothing of the request has changed but the credential."""
    assert place.served() == [f"main-{name}", f"spare-{name}"]
    first, second = place.requests
    assert (first.method, first.target, first.body) == (second.method, second.target, second.body)
    assert [name for name, _ in first.headers] == [name for name, _ in second.headers]


@pytest.mark.parametrize("name", APIS)
async def test_every_api_moves_on_with_its_own_kind_of_credential(name: str, pool: Pooled) -> None:
    _, (header, before), _, path = APIS[name]
    async with limited(pool, name) as (place, client):
        assert (await client.ask("POST", path, [*JSON, *OWN], b'{"model": "m"}')).status == 200
    moved(place, name)
    for request, account in zip(place.requests, ("main", "spare"), strict=True):
        assert (request.target, request.header(header)) == (path, f"{before}planted-{account}-{name}")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("number", range(len(PREFIXES)), ids=PREFIXES)
async def test_a_path_below_one_accounts_base_url_is_asked_for_below_the_next_ones(
    number: int, version: str, pool: Pooled
) -> None:
    name = f"prefix-{number}"
    async with (
        limited(pool, name, version) as (place, client),
        pool.place("plain-elsewhere") as elsewhere,
        pool.place("bare-elsewhere", http2=True) as bare,
    ):
        place.fails(f"main-{name}", NOT_THIS_TIME)
        elsewhere.script(then=NOT_THIS_TIME)
        bare.script(then=FINE)
        answer = await client.ask("POST", "/api/v1/messages?beta=true", [*JSON, *OWN], b'{"model": "m"}')
    assert answer.status == 200
    asked = [(place.served(), request.target) for place in (place, elsewhere, bare) for request in place.requests]
    assert asked == [
        ([f"main-{name}"], "/api/v1/messages?beta=true"),
        ([f"plain-elsewhere-{name}"], "/other/v1/messages?beta=true"),
        ([f"bare-elsewhere-{name}"], "/v1/messages?beta=true"),
    ]
    assert [request.authority for request in (*elsewhere.requests, *bare.requests)] == [
        elsewhere.authority,
        bare.authority,
    ]


@pytest.mark.parametrize("number", range(len(QUERIES)), ids=list(QUERIES))
async def test_a_clients_key_in_the_query_stays_here_when_an_account_serves(number: int, pool: Pooled) -> None:
    name, (query, kept) = f"query-{number}", list(QUERIES.items())[number]
    path = "/v1beta/models/g:streamGenerateContent"
    async with limited(pool, name) as (place, client):
        assert (await client.ask("POST", f"{path}{query}", JSON, b'{"contents": []}')).status == 200
    moved(place, name)
    assert place.requests[0].target == f"{path}{kept}"


async def test_a_fallback_model_of_gemini_stands_in_the_path(pool: Pooled) -> None:
    async with limited(pool, "fallback") as (place, client):
        path = "/v1beta/models/pro:streamGenerateContent?alt=sse"
        assert (await client.ask("POST", path, [*JSON, *OWN], b'{"contents": []}')).status == 200
    assert place.served() == ["main-fallback", "spare-fallback"]
    assert [request.target for request in place.requests] == [path, path.replace("pro", "flash")]
    assert [request.body for request in place.requests] == [b'{"contents": []}'] * 2


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_compressed_body_reaches_both_accounts_as_it_came(encoding: str, pool: Pooled) -> None:
    name, codec = f"encoded-{encoding}", encoder(encoding)
    body = codec.event(json.dumps({"model": "m", "messages": ["x" * 100_000]}).encode()) + codec.end()
    async with limited(pool, name) as (place, client):
        headers = [*JSON, ("content-encoding", encoding), *OWN]
        assert (await client.ask("POST", "/v1/messages", headers, body)).status == 200
    moved(place, name)
    assert place.requests[1].body == body
    assert place.requests[1].header("content-encoding") == encoding


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_large_body_reaches_both_accounts_as_it_came(version: str, pool: Pooled) -> None:
    body = b'{"model": "m", "messages": ["%s"]}' % (b"0123456789abcdef" * (LARGE // 16))
    async with limited(pool, f"large-{version}", version) as (place, client):
        assert (await client.ask("POST", "/v1/messages", [*JSON, *OWN], body)).status == 200
    moved(place, f"large-{version}")
    assert place.requests[1].body == body


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_limit_said_before_the_body_has_arrived_moves_the_whole_body_on(
    version: str, closes: bool, pool: Pooled
) -> None:
    name, body = f"early-{version}-{closes}", b'{"model": "m", "messages": ["%s"]}' % (b"x" * LARGE)
    async with limited(pool, name, version) as (place, client):
        place.fails(f"main-{name}", Step(status=429, early=True, connection_close=closes))
        assert (await client.ask("POST", "/v1/messages", [*JSON, *OWN], body)).status == 200
    assert place.served() == [f"main-{name}", f"spare-{name}"]
    assert place.requests[1].body == body


@pytest.mark.parametrize("version", VERSIONS)
async def test_credentials_that_a_client_sends_twice_are_all_taken_off(version: str, pool: Pooled) -> None:
    again = [("X-API-KEY", "planted-own-6"), ("Authorization", "Basic planted-own-7"), ("cookie", "b=planted-own-8")]
    if version == "1.1":
        again.append(("Proxy-Authorization", "Basic planted-own-9"))
    async with limited(pool, f"twice-{version}", version) as (place, client):
        headers = [*OWN, *JSON, *again, *OWN]
        assert (await client.ask("POST", "/v1/messages", headers, b'{"model": "m"}')).status == 200
    moved(place, f"twice-{version}")


def session(number: int) -> Headers:
    """Of a conversation of Claude Code."""
    return [*JSON, *OWN, ("x-claude-code-session-id", f"00000000-0000-4000-8000-{number:012}")]


async def test_side_calls_go_with_the_account_of_their_conversation(pool: Pooled) -> None:
    """Two accounts share the conversations."""
    async with limited(pool, "sides") as (place, client):
        place.fails("main-sides", FINE)
        for method, path in ("POST", "/v1/messages"), ("POST", "/v1/messages/count_tokens"), ("GET", "/v1/models"):
            for number in range(6):
                body = b'{"model": "m"}' if method == "POST" else b""
                assert (await client.ask(method, path, session(number), body)).status == 200
    turns, counts, lists = (place.served()[start : start + 6] for start in (0, 6, 12))
    assert turns == counts == lists
    assert len(set(turns)) == 2


async def test_a_page_in_a_browser_spends_no_account_and_an_agents_fetch_is_no_page(pool: Pooled) -> None:
    """Agents written in JavaScript send sec-fetch-mode with every request."""
    async with limited(pool, "browser") as (place, client):
        for kind in ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors"):
            await client.ask("POST", "/v1/messages", [*JSON, OWN[1], kind], b'{"model": "m"}')
    own = OWN[1][1].removeprefix("planted-")
    assert place.served() == [own, own, "main-browser", "spare-browser"]


async def test_a_chunked_body_with_trailers_reaches_both_accounts(pool: Pooled) -> None:
    head = "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ntrailer: x-api-key\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in [*JSON, *OWN])
    async with limited(pool, "trailers") as (place, client):
        assert isinstance(client, Http1)
        await client.write(f'{head}\r\ne\r\n{{"model": "m"}}\r\n0\r\nx-api-key: planted-own-9\r\n\r\n'.encode())
        assert (await client.read(await client.head())).status == 200
    moved(place, "trailers")
    assert place.requests[1].body == b'{"model": "m"}'


async def test_a_client_that_waits_for_100_continue_is_told_once_and_both_accounts_get_its_body(pool: Pooled) -> None:
    async with limited(pool, "continue") as (place, client):
        assert isinstance(client, Http1)
        headers = [*JSON, *OWN, ("expect", "100-continue"), ("content-length", "14")]
        await client.send("POST", "/v1/messages", headers)
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await client.write(b'{"model": "m"}')
        assert (await client.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
    moved(place, "continue")
    assert place.requests[1].body == b'{"model": "m"}'
