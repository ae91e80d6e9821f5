"""What has been done: sessions with their turns, figures over time, and who did it, in a real browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.dashboard import Dashboard, go
from support.devtools import PATIENCE, Browser, Page
from support.programs import needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]

NOON = {"accounts": False}
ROWS = "document.querySelectorAll('.cm-table tbody tr').length"
BARS = "document.querySelectorAll('.cm-chart:not(.bare) .bar').length"


@pytest.fixture(scope="module")
def page(browser: Browser, noon: Dashboard) -> Iterator[Page]:
    """Signed in; each test goes where it wants to."""
    signed_in = browser.page(noon.admin.page_url("/logs"))
    yield signed_in
    signed_in.close()


def told(noon: Dashboard, path: str, **asked: Any) -> Any:
    return noon.admin.get(path, params=asked).raise_for_status().json()


def test_the_list_of_sessions_leads_to_the_turns_of_one(page: Page, noon: Dashboard) -> None:
    newest = told(noon, "/api/sessions", range="7d", limit=1)["items"][0]
    go(page, "/sessions")
    page.until(f"{ROWS} > 10")
    page.click(f'a[href="/sessions/{newest["id"]}"]')
    page.until(f"location.pathname === '/sessions/{newest['id']}'")
    page.wait_for_text("Cost so far")
    turns = 'table[aria-label="Turns"] tbody tr'
    page.until(f"document.querySelectorAll('{turns}').length === {newest['requests']}")
    page.click(f"{turns}:first-child a")
    page.until("location.pathname.startsWith('/requests/')")


def test_sessions_of_one_agent_are_still_those_after_a_reload(page: Page, noon: Dashboard) -> None:
    go(page, "/sessions")
    page.until(f"{ROWS} > 10")
    page.click('.cm-filter:has([aria-label="Agent"])')
    page.click(".q-menu text=Codex")
    page.until("location.search.includes('agent=codex')")
    alone = "[...document.querySelectorAll('.cm-table td[data-label=Agent]')].every(e => e.innerText === 'Codex')"
    page.until(f"{ROWS} > 0 && {alone}")
    page.reload()
    page.until(f"{ROWS} > 0 && {alone}")


def test_a_session_that_is_not_there_says_so(page: Page, noon: Dashboard) -> None:
    go(page, "/sessions/no-such")
    page.wait_for_text("There is no such session")
    page.click("text=All sessions")
    page.until(f"{ROWS} > 10")


def test_the_figures_are_those_of_the_api_and_the_chosen_one_is_drawn(page: Page, noon: Dashboard) -> None:
    totals = told(noon, "/api/analytics", range="7d")["totals"]
    go(page, "/analytics?range=7d")
    page.wait_for_text(f"{totals['requests']:,}", ".cm-metric[aria-pressed=true]")
    page.until(f"{BARS} > 20")
    page.click(".cm-metric:nth-child(2)")
    page.wait_for_text(f"${totals['totalCostUsd']:.2f}", ".cm-metric[aria-pressed=true]")
    page.until("document.querySelector('.cm-chart:not(.bare)').getAttribute('aria-label') === 'Cost, last 7 days'")
    page.click("text=30 days")
    page.until("location.search === '?range=30d&figure=cost'")


def test_costs_add_up_where_they_are_summed_up(page: Page, noon: Dashboard) -> None:
    totals = told(noon, "/api/analytics", range="7d")["totals"]
    go(page, "/analytics?range=7d&figure=cost&split=no&sum=yes")
    page.until("document.querySelector('.cm-chart:not(.bare) .line') !== null")
    told_last, deadline = "", time.monotonic() + PATIENCE
    while f"${totals['totalCostUsd']:.2f}" not in told_last:  # A chart that is drawn anew has the focus no more.
        assert time.monotonic() < deadline, told_last
        page.eval("(chart => { chart.blur(); chart.focus(); })(document.querySelector('.cm-chart:not(.bare)'))")
        page.press("ArrowLeft")
        page.listen(0.05)
        told_last = page.text(".cm-chart-tip")


def test_filters_that_nothing_fits_offer_the_way_back(page: Page, noon: Dashboard) -> None:
    go(page, "/analytics?range=7d&agents=nobody")
    page.wait_for_text("Nothing matches these filters")
    page.click(".cm-empty ~ .cm-row button")
    page.until(f"{BARS} > 20")
    assert page.eval("location.search") == "?range=7d"


def test_failed_turns_alone_are_all_failures(page: Page, noon: Dashboard) -> None:
    failed = told(noon, "/api/analytics", range="7d", status="error")["totals"]["requests"]
    go(page, "/analytics?range=7d")
    page.until(f"{BARS} > 20")
    page.click("text=Failed")
    page.until(f"document.querySelector('.cm-metric .cm-card-value').innerText === '{failed}'")


def test_every_agent_that_was_seen_has_a_card_with_its_figures(page: Page, noon: Dashboard) -> None:
    seen = told(noon, "/api/agents", range="7d")["agents"]
    go(page, "/agents")
    page.until(f"document.querySelectorAll('.cm-agent').length === {len(seen)}")
    for agent in seen:
        page.wait_for_text(agent["name"], ".cm-agents")
        page.wait_for_text(f"{agent['requests']:,}", ".cm-agents")
    page.click('.cm-agent a[href^="/analytics"]')
    page.until("location.search.includes('agents=')")
    page.until(f"{BARS} > 0")


def test_agents_are_told_how_to_come_here(page: Page, noon: Dashboard) -> None:
    go(page, "/agents")
    page.wait_for_text(f"export ANTHROPIC_BASE_URL={noon.proxy.url}")
