"""Whose step it is: one queue for all, and queues for those who bear a certain key."""

import httpx
import pytest

from codemie_core.demo.received import Received
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream

FIRST, SECOND = "planted-first-key", "planted-second-key"


async def statuses(upstream: Upstream, *header_sets: dict[str, str]) -> list[int]:
    async with httpx.AsyncClient(trust_env=False) as client:
        return [
            (await client.post(f"{upstream.url}/v1/messages", json={}, headers=headers)).status_code
            for headers in header_sets
        ]


def bearing(key: str) -> dict[str, str]:
    return {"x-api-key": key}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": FIRST},
        {"X-Api-Key": FIRST},
        {"authorization": f"Bearer {FIRST}"},
        {"x-goog-api-key": FIRST},
        {"api-key": FIRST},
    ],
    ids=str,
)
async def test_a_key_is_known_wherever_it_is_borne(upstream: Upstream, headers: dict[str, str]) -> None:
    upstream.script_for(FIRST, then=Step(status=429))
    assert await statuses(upstream, headers, bearing(SECOND), {}) == [429, 200, 200]
    assert [received.keys for received in upstream.requests] == [[FIRST], [SECOND], []]


async def test_every_credential_of_a_request_is_told(upstream: Upstream) -> None:
    await statuses(upstream, {"x-api-key": FIRST, "authorization": f"Bearer {SECOND}", "x-other": "no"})
    assert upstream.requests[0].keys == [FIRST, SECOND]


async def test_each_key_has_a_queue_of_its_own(upstream: Upstream) -> None:
    upstream.script(Step(status=500), then=Step(status=503))
    upstream.script_for(FIRST, Step(status=429), Step(status=529), then=Step(status=401))
    upstream.script_for(SECOND, Step(status=403))
    asked = [FIRST, SECOND, "other", FIRST, SECOND, "other", FIRST, FIRST]
    answers = await statuses(upstream, *map(bearing, asked))
    # After its steps, without `then`, a queue gives the default answer: it never falls back to the ordinary one.
    assert answers == [429, 403, 500, 529, 200, 503, 401, 401]


async def test_a_second_script_for_a_key_replaces_its_first(upstream: Upstream) -> None:
    upstream.script_for(FIRST, Step(status=429), then=Step(status=500))
    upstream.script_for(FIRST)
    assert await statuses(upstream, bearing(FIRST)) == [200]


async def test_a_new_ordinary_script_leaves_those_of_the_keys_alone(upstream: Upstream) -> None:
    upstream.script_for(FIRST, then=Step(status=429))
    upstream.script(then=Step(status=500))
    assert await statuses(upstream, bearing(FIRST), bearing(SECOND)) == [429, 500]


async def test_anything_in_the_head_may_decide(upstream: Upstream) -> None:
    def wants(received: Received) -> bool:
        return received.header("x-mark") == "special" and received.method == "POST"

    upstream.script_for(wants, then=Step(status=404))
    assert await statuses(upstream, {"x-mark": "special"}, {"x-mark": "plain"}) == [404, 200]


async def test_who_was_named_first_is_asked_first(upstream: Upstream) -> None:
    upstream.script_for(lambda _: True, then=Step(status=404))
    upstream.script_for(FIRST, then=Step(status=429))
    assert await statuses(upstream, bearing(FIRST)) == [404]


async def test_what_comes_after_the_steps_may_be_made_for_each_request(upstream: Upstream) -> None:
    upstream.script(Step(status=500), then=lambda received: Step(status=int(received.keys[0])))
    assert await statuses(upstream, *map(bearing, ("404", "404", "429"))) == [500, 404, 429]
