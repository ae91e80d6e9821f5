"""A home with sessions, and the API they are sent to."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.metrics_api import MetricsApi
from support.metrics_room import MetricsRoom


@pytest.fixture
def api() -> Iterator[MetricsApi]:
    """Takes everything with a valid sign-in."""
    with MetricsApi() as made:
        yield made


@pytest.fixture
async def room(codemie_home: Path, api: MetricsApi) -> AsyncIterator[MetricsRoom]:
    """Somebody is signed in."""
    made = MetricsRoom(codemie_home, api)
    api.sign_in(made.places)
    yield made
    await made.end()
