"""A proxy that has done nothing yet: each tab says so, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.accessible import faint, nameless
from support.dashboard import Dashboard, dashboard
from support.devtools import Browser, Page, chrome
from support.programs import needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]

SAYS = {
    "/sessions": ("No session yet", "export ANTHROPIC_BASE_URL="),
    "/analytics": ("Nothing has been counted yet", "export ANTHROPIC_BASE_URL="),
    "/agents": ("No agent was seen", "export ANTHROPIC_BASE_URL="),
    "/addons": ("usage_metering", "active"),
    "/logs": ("is running with",),
    "/sessions/no-such": ("There is no such session", "All sessions"),
    "/addons/no-such": ("There is no such plugin", "All plugins"),
}
HINTED = ("/", "/accounts", "/requests")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.setenv("CODEMIE_HOME", str(folder / ".codemie"))
        patch.setenv("CODEMIE_KEYRING", "0")
        yield folder


@pytest.fixture(scope="module")
def fresh(folder: Path) -> Iterator[Dashboard]:
    with dashboard(history=False, accounts=False) as running:
        yield running


@pytest.fixture(scope="module")
def page(folder: Path, fresh: Dashboard) -> Iterator[Page]:
    with chrome(folder) as browser:
        yield signed_in(browser, fresh)


def signed_in(browser: Browser, fresh: Dashboard) -> Page:
    return browser.page(fresh.admin.page_url("/logs"))


@pytest.mark.parametrize("path", SAYS)
def test_a_page_without_anything_to_show_says_what_to_do(page: Page, fresh: Dashboard, path: str) -> None:
    page.goto(f"http://127.0.0.1:{fresh.admin.port}{path}")
    for words in SAYS[path]:
        page.wait_for_text(words)
    assert nameless(page) == []
    assert faint(page) == []
    assert [told for told in page.console if "404" not in told] == []


@pytest.mark.parametrize("path", HINTED)
def test_a_list_without_rows_is_not_just_empty(page: Page, fresh: Dashboard, path: str) -> None:
    page.goto(f"http://127.0.0.1:{fresh.admin.port}{path}")
    page.until("document.querySelector('.cm-empty h3') !== null")
    assert page.text(".cm-empty p")
