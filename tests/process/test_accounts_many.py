"""Fifty conversations at once while the accounts of the pool fail at random: nobody gets what is another's."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.demo.upstream import Upstream
from support.proxy import Mitmproxy, reverse
from support.stored import StoredHome
from support.troubled import FAULTS, MARK, TroubledPool, key_of, words

CONVERSATIONS, TURNS = 50, 5
SEED = 20260304
OWN = "planted-key-of-the-client-itself"
KNOWN = {key_of(name): name for name in (*FAULTS, "down")}
OPTIONS = {
    "flow_detail": 0,
    "codemie_upstream_attempts_backoff": "5ms",
    "codemie_upstream_attempts_backoff_max": "20ms",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of one conversation, and how it went for the client."""

    mark: str
    text: str = ""
    error: str = ""


@pytest.fixture
def port() -> int:
    return closed_port()


@pytest.fixture
def proxy(port: int) -> Iterator[Mitmproxy]:
    with reverse(f"http://127.0.0.1:{port}", options=OPTIONS) as running:
        yield running


async def claude(proxy: Mitmproxy, conversation: int) -> list[Turn]:
    """An agent that names its conversation."""
    turns = []
    headers = {"x-claude-code-session-id": f"0f0f0f0f-0000-4000-8000-{conversation:012}"}
    async with anthropic.AsyncAnthropic(base_url=proxy.url, api_key=OWN, max_retries=0, timeout=30) as client:
        for number in range(TURNS):
            mark = f"claude-{conversation}-{number}"
            said = [{"role": "user", "content": f"mark {mark} end"}]
            try:
                async with client.messages.stream(
                    model="claude-demo", max_tokens=9, messages=said, extra_headers={MARK: mark, **headers}
                ) as stream:
                    turns.append(Turn(mark, await stream.get_final_text()))
            except anthropic.APIStatusError as error:
                body = error.body
                assert isinstance(body, dict), body
                assert body["type"] == "error"
                assert {"type", "message"} <= body["error"].keys()
                turns.append(Turn(mark, error=json.dumps(body)))
    return turns


async def gpt(proxy: Mitmproxy, conversation: int) -> list[Turn]:
    """A program whose requests stand alone."""
    turns = []
    async with openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=OWN, max_retries=0, timeout=30) as client:
        for number in range(TURNS):
            mark = f"gpt-{conversation}-{number}"
            try:
                stream = await client.chat.completions.create(
                    model="gpt-demo",
                    messages=[{"role": "user", "content": f"mark {mark} end"}],
                    stream=True,
                    extra_headers={MARK: mark},
                )
                pieces = [chunk.choices[0] async for chunk in stream if chunk.choices]
                assert pieces[-1].finish_reason == "stop", "a stream that ended too early looks like one that is over"
                turns.append(Turn(mark, "".join(piece.delta.content or "" for piece in pieces)))
            except openai.APIError as error:
                assert not isinstance(error, openai.APIConnectionError)
                assert isinstance(error.body, dict), error
                assert {"type", "message"} <= error.body.keys()
                turns.append(Turn(mark, error=json.dumps(error.body)))
    return turns


@pytest.fixture
def pool_home(codemie_home: Path) -> StoredHome:
    return StoredHome(codemie_home)


async def test_fifty_conversations_while_accounts_fail_at_random(
    pool_home: StoredHome, port: int, request: pytest.FixtureRequest
) -> None:
    async with Upstream(port=port) as upstream, asyncio.timeout(60):
        pool = TroubledPool(upstream, SEED)
        await asyncio.to_thread(pool.fill, pool_home)
        proxy: Mitmproxy = await asyncio.to_thread(request.getfixturevalue, "proxy")
        kinds = (claude, gpt)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(kinds[n % 2](proxy, n)) for n in range(CONVERSATIONS)]
        turns = [turn for task in tasks for turn in task.result()]

        assert len({turn.mark for turn in turns}) == len(turns) == CONVERSATIONS * TURNS
        _nobody_got_what_is_anothers(upstream, turns)
        completed = [turn for turn in turns if turn.text]
        assert len(completed) > len(turns) / 2, [turn.error for turn in turns if turn.error]
        # Every way to fail was met, and more than once a client heard nothing of it.
        assert set(pool.met) == FAULTS.keys()
        assert len(upstream.requests) > len(turns)
        assert "Traceback" not in proxy.log
        seen = proxy.log + json.dumps(proxy.health()) + "".join(turn.error for turn in turns)
        assert [name for key, name in KNOWN.items() if key in seen] == []

        pool.troubled = False
        async with httpx.AsyncClient(trust_env=False) as client:
            after = [await client.post(f"{proxy.url}/v1/messages", json={}, headers={MARK: "z"}) for _ in range(20)]
        assert {answer.status_code for answer in after} == {200}
        assert proxy.health()["counters"]["exchanges"]["open"] == 1  # this one


def _nobody_got_what_is_anothers(upstream: Upstream, turns: list[Turn]) -> None:
    for received in upstream.requests:
        assert len(received.keys) == 1 and received.keys[0] in KNOWN, received.headers
        assert OWN not in str(received.headers) + received.target + received.body.decode()
        assert f"mark {received.header(MARK)} end" in received.body.decode()
    answered: dict[str, list[str]] = {}
    for received in upstream.requests:
        if received.finished and received.step.status == 200 and not received.step.error_event:
            answered.setdefault(received.header(MARK) or "", []).append(KNOWN[received.keys[0]])
    for turn in turns:
        accounts = answered.pop(turn.mark, [])
        if turn.error:
            # All that a client who got an error could have been told is that error: no answer was thrown away.
            assert accounts == [], turn
        else:
            assert [words(turn.mark, account) for account in accounts] == [turn.text]
    assert answered == {}
