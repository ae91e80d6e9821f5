"""What the tests of the dashboard share: a browser, and a proxy at noon for each file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.dashboard import Dashboard, dashboard
from support.devtools import Browser, chrome
from support.pictures import home_of_nobody


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all files: its pages share nothing."""
    folder = tmp_path_factory.mktemp("chrome")
    with ExitStack() as stack:
        with home_of_nobody(folder):
            running = stack.enter_context(chrome(folder))
        yield running


@pytest.fixture(autouse=True)
def left(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test has opened is closed: such a page goes on asking, and takes its part of the machine."""
    if "browser" not in request.fixturenames:
        yield
        return
    running: Browser = request.getfixturevalue("browser")
    before = running.pages
    yield
    for page in running.pages - before:
        page.close()


@pytest.fixture(scope="module")
def noon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """As the file's NOON has it: the arguments of `dashboard`, and under `environ` variables for the proxy."""
    wanted = dict(getattr(request.module, "NOON", {}))
    environ = wanted.pop("environ", {})
    with home_of_nobody(tmp_path_factory.mktemp("noon")):
        os.environ.update(environ)
        with dashboard(**wanted) as running:
            yield running
