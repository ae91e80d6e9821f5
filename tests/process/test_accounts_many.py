"""Fifty conversations at once while the accounts of the pool fail at random: nobody gets what is another's."""

import asyncio
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.demo.received import Received
from codemie_core.demo.upstream import Upstream
from support.access import until
from support.logged import Entry, count, written
from support.proxy import Mitmproxy, reverse
from support.stored import StoredHome
from support.troubled import DOOMED, DOWN, FAULTS, MARK, NAMES, SPENT, TroubledPool, key_of, words

CONVERSATIONS, TURNS = 50, 5
TRIES = 3
"""Attempts that a request has at the least, before its client hears that it failed."""
SEED = 20260304
OWN = "planted-key-of-the-client-itself"
KEYS = [key_of(name) for name in (*NAMES, DOWN, SPENT)]
OPTIONS = {
    "flow_detail": 0,
    "codemie_upstream_attempts_backoff": "5ms",
    "codemie_upstream_attempts_backoff_max": "20ms",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of one conversation, and how it went for the client."""

    mark: str
    conversation: int
    text: str = ""
    error: str = ""


@pytest.fixture
def port() -> int:
    return closed_port()


@pytest.fixture
def proxy(port: int) -> Iterator[Mitmproxy]:
    with reverse(f"http://127.0.0.1:{port}", options=OPTIONS) as running:
        yield running


def well_formed(body: object, kind: str | None = None) -> str:
    """An error as the SDK has read it. A broken connection has no body."""
    assert isinstance(body, dict), body
    assert body.get("type") == kind
    assert isinstance(body["error"], dict), body
    assert {"type", "message"} <= body["error"].keys()
    return json.dumps(body)


def model_of(conversation: int) -> str:
    """Every fifth asks for what nobody can serve."""
    return DOOMED if conversation % 5 == 4 else "demo"


async def claude(proxy: Mitmproxy, conversation: int) -> list[Turn]:
    """An agent that names its conversation."""
    turns = []
    headers = {"x-claude-code-session-id": f"0f0f0f0f-0000-4000-8000-{conversation:012}"}
    async with anthropic.AsyncAnthropic(base_url=proxy.url, api_key=OWN, max_retries=0, timeout=60) as client:
        for number in range(TURNS):
            mark = f"claude-{conversation}-{number}"
            said: anthropic.types.MessageParam = {"role": "user", "content": f"mark {mark} end"}
            try:
                async with client.messages.stream(
                    model=model_of(conversation), max_tokens=9, messages=[said], extra_headers={MARK: mark, **headers}
                ) as stream:
                    turns.append(Turn(mark, conversation, await stream.get_final_text()))
            except anthropic.APIStatusError as error:
                turns.append(Turn(mark, conversation, error=well_formed(error.body, "error")))
    return turns


async def gpt(proxy: Mitmproxy, conversation: int) -> list[Turn]:
    """A program whose requests stand alone."""
    turns = []
    async with openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=OWN, max_retries=0, timeout=60) as client:
        for number in range(TURNS):
            mark = f"gpt-{conversation}-{number}"
            try:
                stream = await client.chat.completions.create(
                    model=model_of(conversation),
                    messages=[{"role": "user", "content": f"mark {mark} end"}],
                    stream=True,
                    extra_headers={MARK: mark},
                )
                pieces = [chunk.choices[0] async for chunk in stream if chunk.choices]
                assert pieces[-1].finish_reason == "stop", "a stream that ended too early looks like one that is over"
                turns.append(Turn(mark, conversation, "".join(piece.delta.content or "" for piece in pieces)))
            except openai.APIError as error:
                turns.append(Turn(mark, conversation, error=well_formed({"error": error.body})))
    return turns


async def test_fifty_conversations_while_accounts_fail_at_random(
    codemie_home: Path, port: int, request: pytest.FixtureRequest
) -> None:
    async with Upstream(port=port) as here, Upstream() as there, asyncio.timeout(300):
        pool = TroubledPool((here, there), SEED)
        await asyncio.to_thread(pool.fill, StoredHome(codemie_home))
        proxy: Mitmproxy = await asyncio.to_thread(request.getfixturevalue, "proxy")
        kinds = (claude, gpt)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(kinds[n % 2](proxy, n)) for n in range(CONVERSATIONS)]
        turns = [turn for task in tasks for turn in task.result()]
        assert len(turns) == CONVERSATIONS * TURNS
        # Which account is asked is left to chance: until every way to fail was met.
        further = (n for n in itertools.count(CONVERSATIONS) if model_of(n) != DOOMED)
        while pool.met.keys() != FAULTS.keys():
            turns += await gpt(proxy, next(further))

        assert len({turn.mark for turn in turns}) == len(turns)
        received = sorted((each for one in pool.upstreams for each in one.requests), key=lambda each: each.time)
        _nobody_got_what_is_anothers(pool, turns)
        log = await written(codemie_home, count("proxy-access", len(turns)))
        _each_went_with_the_account_that_was_chosen(received, log)
        _nobody_failed_at_the_first_try(received, log, turns)
        doomed = [turn for turn in turns if model_of(turn.conversation) == DOOMED]
        assert len(doomed) == CONVERSATIONS * TURNS / 5
        # Its rest is that of the first of them, and this may take minutes.
        assert all(re.search(r"\(spent: limited \(429\), free in 1[0-5] min\)", turn.error) for turn in doomed)
        assert "Traceback" not in proxy.log
        seen = proxy.log + json.dumps(proxy.health()) + "".join(turn.error for turn in turns)
        assert [key for key in (*KEYS, OWN) if key in seen] == []

        pool.troubled = False
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            after = [await client.post(f"{proxy.url}/v1/messages", json={}, headers={MARK: "z"}) for _ in range(20)]
        assert {answer.status_code for answer in after} == {200}
        # The question itself.
        await asyncio.to_thread(until, lambda: proxy.health()["counters"]["exchanges"]["open"] == 1)


def _nobody_got_what_is_anothers(pool: TroubledPool, turns: list[Turn]) -> None:
    answered: dict[str, list[str]] = {}
    for upstream in pool.upstreams:
        known = pool.at(upstream)
        for received in upstream.requests:
            assert len(received.keys) == 1, received.headers
            assert received.keys[0] in known, received.headers
            assert OWN not in str(received.headers) + received.target + received.body.decode()
            assert f"mark {received.header(MARK)} end" in received.body.decode()
            if received.finished and received.step.status == 200 and not received.step.error_event:
                answered.setdefault(received.header(MARK) or "", []).append(known[received.keys[0]])
    for turn in turns:
        accounts = answered.pop(turn.mark, [])
        if turn.error:
            # All that a client who got an error could have been told is that error: no answer was thrown away.
            assert accounts == [], turn
        else:
            assert [words(turn.mark, account) for account in accounts] == [turn.text]
    assert answered == {}


def _each_went_with_the_account_that_was_chosen(everything: list[Received], log: list[Entry]) -> None:
    last = {request.header("x-codemie-request-id"): request.keys[0] for request in everything}
    chosen = {entry.request_id: entry.args.get("account", "") for entry in log if entry.kind == "proxy-access"}
    compared = [request_id for request_id in last if chosen[str(request_id)] != DOWN]
    assert len(compared) > CONVERSATIONS
    for request_id in compared:
        assert last[request_id] == key_of(chosen[str(request_id)])


def _nobody_failed_at_the_first_try(everything: list[Received], log: list[Entry], turns: list[Turn]) -> None:
    """A client hears of a failure when the answer had begun, or when it was asked for again and again."""
    last = {request.header(MARK): request for request in everything}
    tries = {entry.request_id: int(entry.args["attempts"]) for entry in log if entry.kind == "proxy-access"}
    mended = 0
    for turn in turns:
        if model_of(turn.conversation) == DOOMED:
            continue
        request = last[turn.mark]
        needed = tries[request.header("x-codemie-request-id") or ""]
        if turn.error:
            assert needed >= TRIES or request.step.error_at, turn
        mended += needed > 1 and not turn.error
    assert mended > 1
