"""A proxy that has done nothing yet: each tab says so, and what to do next."""

from __future__ import annotations

import pytest

from support.accessible import faint, nameless
from support.dashboard import Dashboard, go, opened
from support.devtools import Browser, Page
from support.programs import needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]

NOON = {"history": False, "accounts": False}
SAYS = {
    "/": ("No requests yet", "No accounts"),
    "/accounts": ("codemie-proxy accounts add",),
    "/requests": ("codemie-proxy status",),
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
def page(browser: Browser, noon: Dashboard) -> Page:
    return opened(browser, noon, "/logs")


@pytest.mark.parametrize("path", SAYS)
def test_a_page_without_anything_to_show_says_what_to_do(page: Page, path: str) -> None:
    go(page, path)
    for words in SAYS[path]:
        page.wait_for_text(words)
    assert nameless(page) == []
    assert faint(page) == []
    assert [told for told in page.console if "404" not in told] == []


@pytest.mark.parametrize("path", HINTED)
def test_a_list_without_rows_is_not_just_empty(page: Page, path: str) -> None:
    go(page, path)
    page.until("document.querySelector('.cm-empty h3') !== null")
    assert page.text(".cm-empty p")
