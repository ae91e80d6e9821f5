"""A home that is signed in at a service that rotates, and a clock that is moved by hand."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.signed_in import Clock, Make, SignedIn, tokens_of
from support.token_service import TokenService


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service() -> Iterator[TokenService]:
    with TokenService() as running:
        yield running


@pytest.fixture
async def signed_in(codemie_home: Path, service: TokenService, clock: Clock) -> AsyncIterator[Make]:
    made: list[SignedIn] = []

    def make(left: float = -1.0, **fields: Any) -> SignedIn:
        home = SignedIn(codemie_home, tokens_of(0, left, now=clock(), **fields))
        service.configure(home.places)
        made.append(home)
        return home

    yield make
    service.open.set()
    for home in made:
        await home.end()
