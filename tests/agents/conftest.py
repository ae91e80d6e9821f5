"""The suite with real agents: `./run.sh test-agents`. It installs what it needs, and tells how far it is.

`--client claude,codex` and `--via base-url` choose; `--table docs/agents.md` writes what was found into that page.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agents_clients import CLIENTS, Client
from support.agents_doc import Cell, Results, write_table
from support.agents_room import Room, installed, room

VIAS = ("base-url", "https-proxy")
RESULTS = Path(__file__).parents[2] / "build" / "agents.json"
_FOUND = pytest.StashKey[Results]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("agents")
    group.addoption("--client", default="", help="only these, by name, with commas between")
    group.addoption("--via", default="", help="base-url or https-proxy; both when not given")
    group.addoption("--table", type=Path, default=None, help="the page into which the table is written")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "scenario(name): its column in the table of docs/agents.md")
    config.stash[_FOUND] = Results.read(RESULTS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "place" in metafunc.fixturenames:
        metafunc.parametrize("client", CLIENTS, ids=lambda client: client.name)
        metafunc.parametrize("via", VIAS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Client by client, as they were chosen."""
    wanted = [name for name in config.getoption("--client").split(",") if name]
    kept = []
    for item in items:
        chosen = getattr(item, "callspec", None)
        client = chosen.params.get("client") if chosen else None
        via = str(chosen.params.get("via", "")) if chosen else ""
        if (not wanted or (client and client.name in wanted)) and (not via or config.getoption("--via") in ("", via)):
            kept.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.fixture
def client_there(client: Client) -> Client:
    """It can be run."""
    installed(client)
    return client


@pytest.fixture
def place(client_there: Client, via: str, tmp_path: Path) -> Iterator[Room]:
    """The client, a proxy with a pool of two, the upstream. What was planted is looked for in the end."""
    assert via in VIAS
    with room(client_there, "base-url" if via == "base-url" else "https-proxy", tmp_path) as found:
        yield found
        if found.tolds:
            assert found.leaks() == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]  # what a wrapper is sent is not declared
    parameters = getattr(item, "callspec", None)
    mark = item.get_closest_marker("scenario")
    if parameters is not None and mark is not None and "client" in parameters.params:
        client: Client = parameters.params["client"]
        cell = Cell(client.name, str(parameters.params.get("via", "")), str(mark.args[0]))
        item.config.stash[_FOUND].take(cell, report, client.version)
        if report.when == "teardown":
            # At once: it takes long, and may be interrupted.
            item.config.stash[_FOUND].write(RESULTS)
    return report  # type: ignore[return-value]  # as above


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        now = time.strftime("%H:%M:%S")
        print(f"\n{now} {report.outcome}, {report.duration:.0f} s: {report.nodeid}", file=sys.__stderr__, flush=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if page := session.config.getoption("--table"):
        write_table(page, session.config.stash[_FOUND])
