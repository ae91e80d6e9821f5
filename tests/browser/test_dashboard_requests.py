"""Overview, requests, and one request, in a real browser, while agents work."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from codemie_core.demo.gate import Gate
from codemie_core.demo.script import Step
from support.dashboard import Dashboard, ask, asking, go, opened
from support.devtools import PATIENCE, Browser, Page
from support.programs import needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]

NOON = {"options": {"codemie_usage_metering_payloads": True}}
HOSTILE = "<img src=x onerror=\"window.owned = 'img'\"><script>window.owned = 'script'</script><b>bold</b> {{ 7 * 7 }}"
ROWS = "[...document.querySelectorAll('.cm-table tbody tr')]"
OPEN = "document.querySelectorAll('tr.open').length"
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@pytest.fixture(scope="module")
def signed_in(browser: Browser, noon: Dashboard) -> Iterator[Page]:
    opened_once = opened(browser, noon, "/agents")
    yield opened_once
    opened_once.close()


@pytest.fixture
def page(signed_in: Page) -> Page:
    """Each test goes where it wants to."""
    signed_in.console.clear()
    return signed_in


@pytest.fixture
def answers(noon: Dashboard) -> Dashboard:
    """Ordinary ones, whatever the test before had scripted."""
    noon.upstream.call(noon.upstream.upstream.script)
    return noon


def begun(noon: Dashboard) -> Gate:
    """The next answers begin, and go on when the gate is opened."""
    gate = noon.upstream.upstream.gate()
    noon.upstream.call(gate.release, 3)
    noon.upstream.call(noon.upstream.upstream.script, then=Step(gate=gate, events=5))
    return gate


def under_way(noon: Dashboard) -> str:
    """The id of the one that is open, once those that clients gave up are not any more."""
    deadline = time.monotonic() + PATIENCE
    while len(found := noon.admin.get("/api/exchanges").json()["open"]) != 1:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return str(found[0]["id"])


def newest(noon: Dashboard) -> str:
    """The id of the turn that was counted last."""
    return str(noon.admin.get("/api/requests", params={"limit": 1}).json()[0]["id"])


def counted(noon: Dashboard, words: str, agent: str = "claude") -> str:
    """Ask, and wait until it is in the history: its id."""
    before = newest(noon)
    ask(noon, words, agent)
    deadline = time.monotonic() + PATIENCE
    while (found := newest(noon)) == before:
        assert time.monotonic() < deadline, "it was not counted"
        time.sleep(0.05)
    return found


def test_the_overview_says_what_the_api_says(page: Page, noon: Dashboard) -> None:
    go(page, "/")
    told = noon.admin.get("/api/analytics", params={"range": "24h"}).json()
    card = "document.querySelector('.cm-card:nth-child({}) .cm-card-value').innerText"
    page.until(f"{card.format(1)} === '{told['totals']['requests']:,}'")
    page.until(f"{card.format(3)} === '${told['totals']['totalCostUsd']:.2f}'")
    page.wait_for_text("2 of 5 accounts usable")
    page.wait_for_text("back in ")  # the limited one counts down
    page.until("document.querySelectorAll('.cm-chart:not(.bare) .bar').length > 4")
    page.click("text=7 days")
    week = noon.admin.get("/api/analytics", params={"range": "7d"}).json()["totals"]["requests"]
    page.wait_for_text(f"{week:,}", ".cm-card:nth-child(1) .cm-card-value")
    assert page.console == []


def test_a_row_is_there_while_its_answer_streams_and_is_counted_in_the_end(page: Page, answers: Dashboard) -> None:
    noon = answers
    go(page, "/requests")
    page.until(f"{ROWS}.length > 20")
    assert page.eval(OPEN) == 0
    gate = begun(noon)
    with asking(noon, agent="codex"):
        page.until(f"{OPEN} === 1")
        assert page.eval(f"{ROWS}[0].matches('.open')")  # on top
        page.wait_for_text("streaming", "tr.open")
        page.wait_for_text("Codex", "tr.open")
        page.wait_for_text("team-main", "tr.open")
        before = page.text("tr.open td[data-label=Took]")
        page.until(f"document.querySelector('tr.open td[data-label=Took]').innerText !== {json.dumps(before)}")
        page.wait_for_text("1 open", ".cm-head")
        noon.upstream.call(gate.open)
        page.until(f"{OPEN} === 0")
    page.until(f"{ROWS}[0].querySelector('[data-label=Cost]').innerText.startsWith('$')")
    links = page.eval(f"{ROWS}.map(row => row.querySelector('a').href)")
    assert len(links) == len(set(links))


def test_what_goes_on_is_not_shown_while_the_list_is_paused(page: Page, answers: Dashboard) -> None:
    go(page, "/requests")
    page.until(f"{ROWS}.length > 20")
    page.click("text=Pause")
    page.wait_for_text("paused", ".cm-head")
    first = f"{ROWS}[0].querySelector('a').href"
    before = page.eval(first)
    counted(answers, "Unseen")
    page.listen(1.5)
    assert page.eval(first) == before
    page.click("text=Go on")
    with asking(answers):
        page.wait_for_text("live", ".cm-head")


def test_the_list_is_narrowed_down_and_goes_on_with_older_ones(page: Page, noon: Dashboard) -> None:
    go(page, "/requests?status=error")
    page.until(f"{ROWS}.length > 3")
    states = page.eval(f"{ROWS}.map(row => row.querySelector('[data-label=State]').innerText)")
    assert not [state for state in states if "complete" in state]
    page.click("text=Good")
    page.until(f"{ROWS}.length === 100")
    page.click("text=Show older ones")
    page.until(f"{ROWS}.length === 200")
    page.click(".cm-filter:has([aria-label=Agent])")
    page.click(".q-menu text=Gemini CLI")
    page.until(f"{ROWS}.every(row => row.querySelector('[data-label=Agent]').innerText === 'Gemini CLI')")


def test_a_stored_prompt_with_html_and_script_shows_as_text(page: Page, answers: Dashboard) -> None:
    noon = answers
    noon.upstream.call(noon.upstream.upstream.script, then=Step(text=HOSTILE))
    found = counted(noon, HOSTILE)
    go(page, f"/requests/{found}")
    for section in ("Conversation", "Request", "Response", "Details", "Why"):
        page.click(f"text={section}")
        shown = {"Request": "onerror=", "Response": "text_delta", "Details": found, "Why": "asked: POST"}
        page.wait_for_text(shown.get(section, HOSTILE))
        assert page.eval("window.owned ?? null") is None
        assert page.eval("document.querySelectorAll('.cm-panel img, .cm-panel script, .cm-panel b').length") == 0
    assert page.console == []


def test_a_request_under_way_is_followed_until_it_is_counted(page: Page, answers: Dashboard) -> None:
    noon = answers
    gate = begun(noon)
    with asking(noon, "Follow me"):
        go(page, f"/requests/{under_way(noon)}")
        page.wait_for_text("streaming")
        page.wait_for_text("Account team-main")
        noon.upstream.call(gate.open)
        page.wait_for_text("Tokens and cost")
    page.wait_for_text("Follow me")
    page.goto(f"http://127.0.0.1:{noon.admin.port}/requests/nothing-like-it")
    page.wait_for_text("There is no such request")


def test_a_request_says_why_it_went_where_it_went(page: Page, answers: Dashboard) -> None:
    go(page, f"/requests/{counted(answers, 'Why?')}")
    page.click("text=Why")
    page.wait_for_text("team-main", ".cm-why")
    page.wait_for_text("200 · served")


def test_the_first_paint_is_there_within_a_second(page: Page, noon: Dashboard) -> None:
    go(page, "/")
    for path in ("/", "/accounts", "/requests"):
        times, deadline = [1000.0], time.monotonic() + PATIENCE
        while min(times) >= 1000:  # Once is enough: the machine may be busy with something else at any time.
            assert time.monotonic() < deadline, (path, times)
            go(page, path)
            times.append(page.until(PAINTED))  # The heading is there a moment before it is painted.


def test_moments_are_told_in_the_zone_of_whoever_looks(browser: Browser, noon: Dashboard) -> None:
    shown, path = [], f"/requests/{newest(noon)}"
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        page = opened(browser, noon, path, zone=zone)
        page.until("document.querySelector('.cm-under time') !== null")
        shown.append(page.text(".cm-under time"))
        at = page.eval("document.querySelector('.cm-under time').dateTime")
        assert page.eval(f"new Date({json.dumps(at)}).getHours()") == int(shown[-1].split(", ")[2][:2])
    assert shown[0] != shown[1]


def test_dark_and_light_follow_the_system_until_somebody_chooses(browser: Browser, noon: Dashboard) -> None:
    page = opened(browser, noon, "/requests", dark=True)
    theme, color = "document.documentElement.dataset.theme", "getComputedStyle(document.body).backgroundColor"
    assert (page.eval(theme), page.eval(color)) == ("dark", "rgb(14, 17, 22)")
    page.dark(False)
    page.until(f"{theme} === 'light'")
    page.click("[data-cm-theme]")
    assert (page.eval(theme), page.eval("Quasar.Dark.isActive")) == ("dark", True)
    go(page, "/accounts")
    assert page.eval(theme) == "dark"
    page.until("Quasar.Dark.isActive")


def test_columns_sort_and_what_is_unknown_stays_last(page: Page, noon: Dashboard) -> None:
    go(page, "/requests")
    page.until(f"{ROWS}.length > 20")
    costs = f"{ROWS}.map(row => row.querySelector('[data-label=Cost]').innerText.replace('$', ''))"
    page.click("text=Cost")
    page.until("document.querySelector('[aria-sort=descending]')?.innerText.startsWith('Cost')")
    falling = [float(cost) for cost in page.eval(costs) if cost != "–"]  # noqa: RUF001 (the sign for nothing)
    assert falling == sorted(falling, reverse=True)
    page.click("[aria-sort=descending] button")
    page.until("document.querySelector('[aria-sort=ascending]') !== null")
    told = page.eval(costs)
    rising = [float(cost) for cost in told if cost != "–"]  # noqa: RUF001 (the sign for nothing)
    assert rising == sorted(rising)
    assert all(cost == "–" for cost in told[len(rising) :])  # noqa: RUF001 (the sign for nothing)
