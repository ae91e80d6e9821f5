"""The soak in small: with a pool whose accounts fail, nothing is kept of a request once it is over."""

import pytest

from soak import run
from soak.run import TURNS, Sample, growth, over_http, soak

REQUESTS, PART = 5_000, 1_000
MEMORY = 0.25
"""Growth that is no growth here, where so little has been asked before; what is kept of each request is far more."""


def test_five_thousand_requests_with_failing_accounts_leave_nothing_behind() -> None:
    told: list[str] = []
    samples, heard = soak(REQUESTS, PART, told.append)
    assert growth(samples, MEMORY) == [], "\n".join(told)
    assert len(told) == REQUESTS // PART
    # The upstream fails one request in twenty; clients hear of what cannot be told from their own errors.
    assert over_http(heard) == REQUESTS
    assert heard["200"] > REQUESTS * 0.95
    # That five accounts in a row fail is one request in ten million; one in forty would hear of it from the first.
    assert heard["429"] + heard["529"] + heard["401"] < REQUESTS / 500
    assert heard["400"] > 0
    assert heard["cut"] > 0
    assert heard["left"] > 0
    # A WebSocket that is cut or whose account is limited costs a turn, and the connection.
    assert samples[-1].turns == heard.total() - REQUESTS
    assert heard["socket turn"] > REQUESTS * TURNS * 0.8
    assert heard["socket left"] > 0


def sample(memory: float = 100.0, tasks: int = 6, descriptors: int = 12) -> Sample:
    return Sample(1, memory, descriptors, 4, tasks, 0, 500.0)


@pytest.mark.parametrize(
    "last, problem",
    [
        (sample(), ""),
        (sample(memory=100.0 * (1 + run.MEMORY) - 1), ""),
        (sample(memory=100.0 * (1 + run.MEMORY) + 1), "memory has grown from 100.0 MB to 111.0 MB"),
        (sample(tasks=6 + run.SPARE + 1), "tasks have grown from 6 to 13"),
        (sample(descriptors=40), "descriptors have grown from 12 to 40"),
    ],
)
def test_the_soak_tells_growth_from_noise(last: Sample, problem: str) -> None:
    assert growth([*[sample()] * 8, last, last]) == ([problem] if problem else [])


def test_the_soak_looks_again_until_the_proxy_has_come_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "REST_SECONDS", 0.0)
    looks = iter([sample(tasks=40), sample(descriptors=40), sample(tasks=7), sample()])
    assert run.at_rest(lambda: next(looks), [sample()]) == sample(tasks=7)
    monkeypatch.setattr(run, "MOST_REST", 0.0)
    assert run.at_rest(lambda: sample(tasks=40), [sample()]) == sample(tasks=40)
