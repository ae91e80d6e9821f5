"""The Exchange: ids, the parsed body, how it ends, and how long it is kept."""

import asyncio
import gc
import gzip
import json
import random
import uuid
import weakref
from collections.abc import Iterator

import pytest
from mitmproxy import http
from mitmproxy.test import tflow, tutils
from pydantic import SecretStr

from codemie_core import exchange as exchange_module
from codemie_core.credential import Credential
from codemie_core.errors import Api
from codemie_core.exchange import BOOK, RUN_ID, Exchange, ExchangeBook, ExchangeDoneHook, Terminal, exchange_of

CLAUDE = {"user-agent": "claude-cli/2.1.0 (external, cli)"}
SESSION = "0b9f3c52-6f6e-4a7a-9d0c-2f3f5b0f9a11"


@pytest.fixture
def book() -> ExchangeBook:
    return ExchangeBook()


@pytest.fixture(autouse=True)
def new_book() -> Iterator[None]:
    yield
    BOOK.__init__()  # type: ignore[misc] # one process runs one proxy; the next test starts with a new book


def request(body: object = None, path: str = "/v1/messages", raw: bytes | None = None, **headers: str) -> http.HTTPFlow:
    content = raw if raw is not None else json.dumps(body or {}).encode()
    fields = http.Headers([(k.replace("_", "-").encode(), v.encode()) for k, v in {**CLAUDE, **headers}.items()])
    return tflow.tflow(req=tutils.treq(path=path.encode(), headers=fields, content=content, host="api.anthropic.com"))


def test_one_flow_has_one_exchange(book: ExchangeBook) -> None:
    flow, other = request(), request()
    assert book.known(flow) is None
    exchange = book.of(flow)
    assert book.of(flow) is book.known(flow) is exchange
    assert book.of(other) is not exchange
    assert len(book) == 2
    assert repr(book) == "<ExchangeBook(2 open)>"


def test_an_exchange_knows_what_the_head_says(book: ExchangeBook) -> None:
    exchange = book.of(request(path="/v1/messages?key=planted", x_claude_code_session_id=SESSION))
    assert (exchange.api, exchange.agent.name, exchange.method) == (Api.ANTHROPIC, "claude", "GET")
    assert (exchange.host, exchange.path, exchange.conversation_id) == ("api.anthropic.com", "/v1/messages", SESSION)
    assert exchange.run_id == RUN_ID
    assert exchange.open
    assert exchange.elapsed_ms() >= 0


def test_only_plain_values_go_into_what_mitmproxy_saves(book: ExchangeBook) -> None:
    flow = request()
    exchange = book.of(flow)
    assert flow.metadata == {"codemie.request_id": exchange.request_id, "codemie.agent": "claude"}


def test_the_scope_is_asked_once(book: ExchangeBook) -> None:
    asked: list[http.HTTPFlow] = []

    def nothing(flow: http.HTTPFlow) -> bool:
        asked.append(flow)
        return False

    book.scope = nothing
    flow = request()
    assert not book.of(flow).scoped
    assert not book.of(flow).scoped
    assert asked == [flow]


def test_an_exchange_is_closed_once(book: ExchangeBook) -> None:
    exchange = book.of(request())
    assert list(book.still_open()) == [exchange]
    assert book.close(exchange)
    assert not book.close(exchange)
    assert list(book.still_open()) == []


def test_a_closed_exchange_lives_as_long_as_its_flow(book: ExchangeBook) -> None:
    flow = request()
    book.close(book.of(flow))
    alive = weakref.ref(flow)
    del flow
    gc.collect()
    assert alive() is None
    assert len(book._by_flow) == 0


def test_the_session_is_stable_for_a_conversation_and_no_id_of_the_agent(book: ExchangeBook) -> None:
    one, same = (book.of(request(x_claude_code_session_id=SESSION)) for _ in range(2))
    other = book.of(request())
    assert one.session_id == same.session_id != other.session_id
    assert str(uuid.UUID(one.session_id)) == one.session_id
    assert one.session_id != SESSION
    book.fixed_session_id = "fixed"
    assert book.of(request(x_claude_code_session_id=SESSION)).session_id == "fixed"


USER = {"metadata": {"user_id": f"user_x_account_y_session_{SESSION}"}}


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
async def test_the_conversation_may_be_named_in_the_body_alone(compressed: bool, book: ExchangeBook) -> None:
    raw = json.dumps(USER).encode()
    flow = request(raw=gzip.compress(raw), content_encoding="gzip") if compressed else request(raw=raw)
    exchange = book.of(flow)
    assert exchange.conversation_id is None
    await exchange.identify(flow)
    await exchange.identify(flow)
    assert exchange.conversation_id == SESSION
    assert flow.metadata["codemie.conversation_id"] == SESSION
    assert flow.metadata["codemie.session_id"] == exchange.session_id


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"metadata": {"user_id": 7}}', b'"metadata"', b"{metadata", b'{"x": 1}'])
async def test_without_a_conversation_anywhere_there_is_none(raw: bytes, book: ExchangeBook) -> None:
    flow = request(raw=raw)
    exchange = book.of(flow)
    await exchange.identify(flow)
    assert exchange.conversation_id is None
    assert flow.metadata["codemie.conversation_id"] == ""


@pytest.mark.parametrize(
    "raw, encoding, parsed",
    [
        (b'{"a": 1}', "", {"a": 1}),
        (gzip.compress(b'{"a": 1}', mtime=0), "gzip", {"a": 1}),
        (b"[1]", "", [1]),
        (b"", "", None),
        (b"", "gzip", None),
        (b"no JSON", "", None),
        (b"not gzip", "gzip", None),
        (b"{}", "rot13", None),
        (b"[" * 100_000, "", None),
        (b"\xff", "", None),
    ],
)
async def test_the_request_is_parsed_where_it_is_json(
    raw: bytes, encoding: str, parsed: object, book: ExchangeBook
) -> None:
    flow = request(raw=raw, **({"content_encoding": encoding} if encoding else {}))
    assert await book.of(flow).request_json(flow) == parsed


def test_what_is_parsed_for_a_thread_is_not_kept(book: ExchangeBook) -> None:
    exchange = book.of(request({"a": 1}))
    assert exchange.request_parsed(b'{"a": 2}', "") == {"a": 2}
    assert exchange._request_json is None


async def test_what_was_parsed_before_is_used_once_and_let_go(book: ExchangeBook) -> None:
    flow = request({"a": 1})
    exchange = book.of(flow)
    first = await exchange.request_json(flow)
    assert exchange.request_parsed(b"not looked at", "") is first
    assert exchange._request_json is None


async def test_the_request_is_parsed_once(book: ExchangeBook, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = request({"a": 1})
    exchange = book.of(flow)
    first = await exchange.request_json(flow)
    monkeypatch.setattr(exchange_module, "parse_json", None)
    assert await exchange.request_json(flow) is first


async def test_a_large_body_is_parsed_off_the_loop(book: ExchangeBook, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[object] = []
    real = asyncio.to_thread

    async def noted(function: object, *args: object) -> object:
        threads.append(function)
        return await real(function, *args)  # type: ignore[arg-type] # handed on as it came

    monkeypatch.setattr(asyncio, "to_thread", noted)
    small, large = request({"a": 1}), request({"a": "x" * exchange_module.PARSE_OFF_LOOP})
    await book.of(small).request_json(small)
    assert threads == []
    await book.of(large).request_json(large)
    assert len(threads) == 1


def test_a_decoded_body_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "MAX_PARSED_BODY", 1000)
    bomb = gzip.compress(json.dumps("x" * 100_000).encode())
    assert exchange_module.parse_json(bomb, "gzip") is None


def test_a_body_that_grows_as_no_text_does_is_not_parsed() -> None:
    # Some kilobytes, that would take gigabytes and hold every thread for seconds.
    bomb = gzip.compress(b"[" + b'{"a":1},' * 200_000 + b"0]")
    assert exchange_module.parse_json(bomb, "gzip") is None
    dice = random.Random(20_261)
    text = gzip.compress(json.dumps([dice.randbytes(16).hex() * 3 for _ in range(20_000)]).encode())
    found = exchange_module.parse_json(text, "gzip")
    assert isinstance(found, list)
    assert len(found) == 20_000


def test_the_first_word_on_how_it_ended_counts(book: ExchangeBook) -> None:
    exchange = book.of(request())
    exchange.end(Terminal.TRUNCATED, "cut")
    exchange.end(Terminal.COMPLETE)
    assert (exchange.terminal, exchange.error, exchange.open) == (Terminal.TRUNCATED, "cut", False)


def test_ending_ends_the_attempt_that_runs(book: ExchangeBook) -> None:
    exchange = book.of(request())
    first = exchange.begin_attempt("a.example.com", 443)
    first.ended_ms = 7.0
    second = exchange.begin_attempt("b.example.com", 443)
    assert (first.number, second.number) == (1, 2)
    exchange.end(Terminal.COMPLETE)
    assert first.ended_ms == 7.0
    assert second.ended_ms is not None
    assert second.elapsed_ms() >= second.ended_ms

    done = book.of(request())
    done.begin_attempt("a.example.com", 443).ended_ms = 7.0
    done.end(Terminal.COMPLETE)
    assert done.attempts[0].ended_ms == 7.0


def test_the_first_reason_to_reject_stays(book: ExchangeBook) -> None:
    attempt = book.of(request()).begin_attempt("a.example.com", 443)
    attempt.reject("login page")
    attempt.reject("another")
    assert attempt.rejected == "login page"


async def test_the_repr_of_an_exchange_shows_no_body(book: ExchangeBook) -> None:
    flow = request(
        {"metadata": {"user_id": "planted-body"}}, path="/v1/messages?key=planted-query", x_api_key="planted-key"
    )
    exchange = book.of(flow)
    exchange.begin_attempt("a.example.com", 443)
    secret = SecretStr("planted-credential")
    exchange.credentials.append(Credential("https", "a.example.com", 443, "/", {"authorization": secret}))
    assert await exchange.request_json(flow) is not None
    assert "planted" not in repr(exchange)
    assert exchange.request_id in repr(exchange)


def test_the_book_of_this_process_acts_on_everything_until_told_otherwise() -> None:
    exchange: Exchange = exchange_of(request())
    assert exchange.scoped
    assert BOOK.close(exchange)
    assert ExchangeDoneHook(exchange).args() == [exchange]
