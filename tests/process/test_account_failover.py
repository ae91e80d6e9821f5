"""A pool of two accounts before real SDKs that never retry: whatever the first account does, the client sees one clean
answer, the second one's."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import anthropic
import httpx
import openai
import pytest
from sqlalchemy import delete

from codemie_core.demo.absent import closed_port
from codemie_core.demo.received import Received
from codemie_core.demo.script import Cut, Step
from codemie_core.store import tables
from support.proxy import Mitmproxy, reverse
from support.scripted import Scripted, wait_for_details
from support.shared import shared_proxy
from support.stored import StoredHome

MAIN, SPARE = "sk-planted-main", "sk-planted-spare"
SAID = "Hello from the second account"
IMPATIENT = {
    "codemie_upstream_attempts_first_byte_timeout": "10s",
    "codemie_upstream_attempts_first_byte_timeout_plain": "10s",
}
FAILURES = {
    "429 with a time": Step(status=429, headers=(("retry-after", "120"),)),
    "429 without a word": Step(status=429, body=b"{}"),
    "429 compressed": Step(status=429, encoding="gzip"),
    "529": Step(status=529),
    "401": Step(status=401),
    "402": Step(status=402),
    "503": Step(status=503),
    "reset": Step(cut=Cut.RESET),
    "error first": Step(error_event=True),
    "never": Step(cut=Cut.STALL),
}


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with Scripted() as running:
        running.script(then=Step(text=SAID))
        yield running


@pytest.fixture
def home(codemie_home: Path) -> StoredHome:
    return StoredHome(codemie_home)


@pytest.fixture
def pool(home: StoredHome, upstream: Scripted) -> StoredHome:
    """main is asked first, spare second; both are at the scripted upstream."""
    home.key("main", upstream.url, MAIN, provider="anthropic-compatible")
    home.key("spare", upstream.url, SPARE, provider="anthropic-compatible", priority=1)
    return home


def claude_streams(proxy: Mitmproxy, model: str) -> str:
    hello: anthropic.types.MessageParam = {"role": "user", "content": "Hello"}
    with (
        anthropic.Anthropic(base_url=proxy.url, api_key="dummy", max_retries=0, timeout=60) as client,
        client.messages.stream(model=model, max_tokens=9, messages=[hello]) as stream,
    ):
        return "".join(stream.text_stream)


def claude_asks(proxy: Mitmproxy, model: str) -> str:
    hello: anthropic.types.MessageParam = {"role": "user", "content": "Hello"}
    with anthropic.Anthropic(base_url=proxy.url, api_key="dummy", max_retries=0, timeout=60) as client:
        (block,) = client.messages.create(model=model, max_tokens=9, messages=[hello]).content
    assert block.type == "text"
    return block.text


def gpt_streams(proxy: Mitmproxy, model: str) -> str:
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="dummy", max_retries=0, timeout=60) as client:
        hello: openai.types.chat.ChatCompletionUserMessageParam = {"role": "user", "content": "Hello"}
        chunks = client.chat.completions.create(model=model, stream=True, messages=[hello])
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def gpt_responds(proxy: Mitmproxy, model: str) -> str:
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="dummy", max_retries=0, timeout=60) as client:
        events = client.responses.create(model=model, input="Hello", stream=True)
        return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def gpt_asks(proxy: Mitmproxy, model: str) -> str:
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="dummy", max_retries=0, timeout=60) as client:
        return client.responses.create(model=model, input="Hello").output_text


STREAMS = {"anthropic-stream": claude_streams, "chat-stream": gpt_streams, "responses-stream": gpt_responds}
CLIENTS = {**STREAMS, "anthropic": claude_asks, "openai": gpt_asks}
# Only a stream can open with an error.
CASES = [(f, c) for f in FAILURES for c in CLIENTS if f != "error first" or c in STREAMS]


@dataclass(frozen=True)
class Matrix:
    """One proxy for all cases: each has a model, and two accounts that serve it alone."""

    proxy: Mitmproxy
    upstream: Scripted
    threads: ThreadPoolExecutor
    begun: dict[int, Future[str]] = field(default_factory=dict)

    def begin(self) -> None:
        """Those that take long for what never comes; they do it while other tests run."""
        for number in () if self.begun else NEVER:
            self.begun[number] = self.threads.submit(self.ask, number)

    def ask(self, number: int) -> str:
        """What the client of this case hears."""
        return CLIENTS[CASES[number][1]](self.proxy, f"m{number}")

    def came(self, number: int) -> list[Received]:
        """The case's requests at the upstream."""
        keys = [f"{MAIN}-{number}"], [f"{SPARE}-{number}"]
        return [request for request in self.upstream.requests if request.keys in keys]


NEVER = [number for number, (failure, _) in enumerate(CASES) if failure == "never"]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    folder = tmp_path_factory.mktemp("matrix")
    home = StoredHome(folder / ".codemie", {"CODEMIE_KEYRING": "0"})
    with Scripted() as upstream:
        upstream.script(then=Step(text=SAID))
        for number, (failure, _) in enumerate(CASES):
            upstream.script_for(f"{MAIN}-{number}", then=FAILURES[failure])
            for priority, secret in enumerate((MAIN, SPARE)):
                about = {"provider": "anthropic-compatible", "priority": priority, "allow": (f"m{number}",)}
                home.key(f"{secret}-{number}", upstream.url, f"{secret}-{number}", **about)
        mode = ("--mode", f"reverse:{upstream.url}")
        with shared_proxy(folder, *mode, options=IMPATIENT) as proxy, ThreadPoolExecutor(len(NEVER)) as threads:
            yield Matrix(proxy, upstream, threads)


def title_of(number: int) -> str:
    return " ".join(CASES[number])


@pytest.mark.parametrize("number", range(NEVER[0]), ids=title_of)
def test_the_sdk_sees_one_clean_answer_from_the_second_account(number: int, matrix: Matrix) -> None:
    matrix.begin()
    assert matrix.ask(number) == SAID
    moved(number, matrix)


def moved(number: int, matrix: Matrix) -> None:
    first, second = matrix.came(number)
    assert [first.keys, second.keys] == [[f"{MAIN}-{number}"], [f"{SPARE}-{number}"]]
    assert first.body == second.body
    assert [name for name, _ in first.headers] == [name for name, _ in second.headers]


def test_an_account_whose_address_is_down_is_passed_over(home: StoredHome, upstream: Scripted) -> None:
    dead = f"http://127.0.0.1:{closed_port()}"
    home.key("main", dead, MAIN, provider="anthropic-compatible")
    home.key("spare", upstream.url, SPARE, provider="anthropic-compatible", priority=1, serves=(dead,))
    with reverse(dead) as proxy:
        assert [ask(proxy, "m") for ask in CLIENTS.values()] == [SAID] * len(CLIENTS)
    assert upstream.keys() == [SPARE] * len(CLIENTS)
    assert {request.header("host") for request in upstream.requests} == {upstream.url.removeprefix("http://")}


def test_an_account_serves_another_origin_below_its_own_base_url(home: StoredHome, upstream: Scripted) -> None:
    other = "http://127.0.0.1:9"
    home.key("main", f"{upstream.url}/anthropic", MAIN, provider="anthropic-compatible", serves=(other,))
    with reverse(other) as proxy, httpx.Client(trust_env=False) as client:
        client.post(f"{proxy.url}/v1/messages?beta=true", json={"model": "m"}, headers={"x-api-key": "dummy"})
    (request,) = upstream.requests
    assert request.target == "/anthropic/v1/messages?beta=true"


def test_without_an_account_for_its_origin_a_request_passes_byte_for_byte(home: StoredHome, upstream: Scripted) -> None:
    home.key("elsewhere", "https://api.example.com", MAIN, provider="anthropic-compatible")
    body = b'{"model": "m",  "stream": true}'
    with reverse(upstream.url) as proxy, httpx.Client(trust_env=False) as client:
        client.post(f"{proxy.url}/v1/messages", content=body, headers={"x-api-key": "the-clients-own"})
    (request,) = upstream.requests
    assert (request.keys, request.body) == (["the-clients-own"], body)


def conversation(proxy: Mitmproxy, number: int, path: str = "/v1/messages", model: str = "m") -> httpx.Response:
    """One turn of Claude Code's conversation of this number."""
    headers = {
        "x-claude-code-session-id": f"00000000-0000-4000-8000-{number:012}",
        "user-agent": "claude-cli/2.1.197 (external, cli)",
        "authorization": "Bearer the-clients-own",
    }
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(f"{proxy.url}{path}", json={"model": model, "messages": []}, headers=headers)


def test_a_conversation_stays_where_it_went_and_over_a_restart(pool: StoredHome, upstream: Scripted) -> None:
    upstream.script_for(MAIN, FAILURES["429 with a time"])
    with reverse(upstream.url) as proxy:
        assert conversation(proxy, 1).status_code == 200
        assert conversation(proxy, 2).status_code == 200
        assert conversation(proxy, 1).status_code == 200
    pool.write(lambda connection: connection.execute(delete(tables.cooldowns)))
    with reverse(upstream.url) as proxy:
        assert conversation(proxy, 1).status_code == 200
        assert conversation(proxy, 3).status_code == 200
    assert upstream.keys() == [MAIN, SPARE, SPARE, SPARE, SPARE, MAIN]


def test_a_rest_outlives_a_restart(pool: StoredHome, upstream: Scripted) -> None:
    upstream.script_for(MAIN, then=FAILURES["429 with a time"])
    for number in (1, 2):
        with reverse(upstream.url) as proxy:
            assert conversation(proxy, number).status_code == 200
    assert upstream.keys() == [MAIN, SPARE, SPARE]


def test_side_calls_go_with_their_conversation(pool: StoredHome, upstream: Scripted) -> None:
    upstream.script_for(MAIN, Step(status=529))
    with reverse(upstream.url) as proxy:
        conversation(proxy, 1)
        assert conversation(proxy, 1, "/v1/messages/count_tokens").status_code == 200
    assert upstream.keys() == [MAIN, SPARE, SPARE]


def test_an_error_in_mid_stream_marks_the_account_and_leaves_the_stream_alone(
    pool: StoredHome, upstream: Scripted
) -> None:
    upstream.script_for(MAIN, Step(events=5, error_event=True, error_at=3))
    with reverse(upstream.url) as proxy, httpx.Client(trust_env=False, timeout=60) as client:
        body = {"model": "m", "stream": True, "messages": []}
        cut = client.post(f"{proxy.url}/v1/messages", json=body, headers={"x-api-key": "dummy"})
        assert cut.status_code == 200
        assert b"event: error" in cut.content
        client.post(f"{proxy.url}/v1/messages", json=body, headers={"x-api-key": "dummy"})
    assert upstream.keys() == [MAIN, SPARE]


def test_an_error_of_the_request_itself_goes_to_the_client_as_it_is(pool: StoredHome, upstream: Scripted) -> None:
    said = json.dumps({"type": "error", "error": {"type": "some_error", "message": "no"}}).encode()
    with reverse(upstream.url) as proxy:
        for number, status in enumerate((400, 403, 404, 500)):
            upstream.script_for(MAIN, then=Step(status=status, body=said))
            answer = conversation(proxy, number)
            assert (answer.status_code, answer.content) == (status, said)
            assert conversation(proxy, number).status_code == status
    assert upstream.keys() == [MAIN] * 8


def test_the_last_account_that_rests_makes_an_error_that_agents_wait_for(pool: StoredHome, upstream: Scripted) -> None:
    upstream.script(then=Step(status=429, headers=(("retry-after", "3600"),)))
    with reverse(upstream.url) as proxy:
        for _ in range(2):
            answer = conversation(proxy, 1)
            assert answer.status_code == 429
            assert answer.json()["error"]["type"] == "rate_limit_error"
            assert answer.headers["retry-after"] == "60"
            assert "main: limited (429)" in answer.text
            assert "spare: limited (429)" in answer.text
    assert upstream.keys() == [MAIN, SPARE]


def test_the_clients_own_credentials_stand_in_only_when_the_operator_says_so(
    pool: StoredHome, upstream: Scripted
) -> None:
    upstream.script(then=Step(status=429, headers=(("retry-after", "3600"),)))
    options = {"codemie_account_rotation_passthrough": True}
    with reverse(upstream.url, options=options) as proxy:
        conversation(proxy, 1)
        upstream.script(then=Step())
        assert conversation(proxy, 1).status_code == 200
    assert upstream.keys()[-1] == "the-clients-own"


def test_a_fallback_model_is_asked_for_when_nobody_has_the_asked_one_left(pool: StoredHome, upstream: Scripted) -> None:
    options = {"codemie_account_rotation_fallback_models": ["opus*=haiku"]}
    empty = Step(status=429, body=b'{"error": {"type": "rate_limit_error", "code": "insufficient_quota"}}')
    upstream.script_for(lambda request: True, empty, empty, then=Step())
    with reverse(upstream.url, options=options) as proxy:
        assert conversation(proxy, 1, model="opus-4").status_code == 200
    assert [request.json()["model"] for request in upstream.requests] == ["opus-4", "opus-4", "haiku"]


def test_thinking_is_left_out_only_after_its_signature_was_rejected(pool: StoredHome, upstream: Scripted) -> None:
    words = "messages.1.content.0: Invalid `signature` in `thinking` block"
    rejected = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": words}})
    upstream.script_for(MAIN, Step(status=400, body=rejected))
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"}
    said = {"type": "text", "text": "Hi"}
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": [thought, said]}]
    with reverse(upstream.url) as proxy, httpx.Client(trust_env=False, timeout=60) as client:
        body = {"model": "m", "messages": messages}
        assert client.post(f"{proxy.url}/v1/messages", json=body, headers={"x-api-key": "dummy"}).status_code == 200
    first, second = upstream.requests
    assert first.json() == body
    assert second.json()["messages"][1] == {"role": "assistant", "content": [said]}
    assert upstream.keys() == [MAIN, MAIN]


def test_what_another_process_does_to_an_account_counts_within_a_second(pool: StoredHome, upstream: Scripted) -> None:
    with reverse(upstream.url) as proxy:
        assert conversation(proxy, 1).status_code == 200
        pool.change("main", "paused", paused="holiday")
        wait_for_details(proxy, "account_rotation", usable=1)
        assert conversation(proxy, 1).status_code == 200
    assert upstream.keys() == [MAIN, SPARE]


def test_the_first_account_of_all_is_at_work_in_a_proxy_that_runs(home: StoredHome, upstream: Scripted) -> None:
    with reverse(upstream.url) as proxy:
        assert conversation(proxy, 1).status_code == 200
        home.key("main", upstream.url, MAIN, provider="anthropic-compatible")
        wait_for_details(proxy, "account_rotation", accounts=1)
        assert conversation(proxy, 1).status_code == 200
    assert upstream.keys() == ["the-clients-own", MAIN]


@pytest.mark.parametrize("number", NEVER, ids=title_of)
def test_an_account_that_never_answers_is_passed_over_in_time(number: int, matrix: Matrix) -> None:
    """Stands last: it was begun with the others."""
    matrix.begin()
    assert matrix.begun[number].result() == SAID
    moved(number, matrix)
