"""The upstream under test, and certificates for it."""

import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from codemie_core.demo import proxy_process, stage
from codemie_core.demo.upstream import Upstream
from support.leftovers import leftover_tasks


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo gives up where a machine that runs many tests at once has only stalled."""
    monkeypatch.setattr(proxy_process, "START_SECONDS", 120.0)
    monkeypatch.setattr(stage, "PATIENCE", 60.0)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as running:
        yield running
    assert running.open_connections == 0
    assert leftover_tasks() == []


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
