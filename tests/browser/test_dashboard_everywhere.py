"""Every tab: for eyes that need contrast, without a mouse, on a phone, in the dark, and while there is nothing yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.accessible import faint, nameless, outline, tabbed
from support.dashboard import Dashboard, go, opened
from support.devtools import Browser, Page
from support.programs import needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]

TABS = {
    "/": "Overview",
    "/accounts": "Accounts",
    "/requests": "Requests",
    "/sessions": "Sessions",
    "/analytics": "Analytics",
    "/agents": "Agents",
    "/addons": "Plugins",
    "/addons/usage_metering": "Plugins",
    "/logs": "Logs",
}
FILLED = {
    "/": ".cm-card-value:not(:empty), .cm-now-account, .cm-errors > *, .cm-table tbody tr",
    "/accounts": ".cm-account",
    "/requests": ".cm-table tbody tr, .cm-filter",
    "/sessions": ".cm-table tbody tr",
    "/analytics": ".cm-chart .bar, .cm-metric",
    "/agents": ".cm-agent",
    "/addons": ".cm-plugin",
    "/addons/usage_metering": ".cm-setting",
    "/logs": ".cm-log-line",
}
"""What is on each page once it has come: all of these."""
FITS = """(() => { const whole = document.documentElement;
  const {left, right} = document.querySelector('nav [aria-current=page]').getBoundingClientRect();
  return whole.scrollWidth <= whole.clientWidth && left >= 0 && right <= whole.clientWidth; })()"""
# But for numbers: some of them count seconds.
SETTLED = """new Promise(done => { let last = '', same = 0; const look = () => {
  const now = document.body.innerText.replace(/\\d+/g, ''); same = now === last ? same + 1 : 0; last = now;
  same > 2 ? done(true) : setTimeout(look, 80); }; look(); })"""


@pytest.fixture(scope="module")
def signed_in(browser: Browser, noon: Dashboard) -> Iterator[Page]:
    opened_once = opened(browser, noon)
    yield opened_once
    opened_once.close()


@pytest.fixture(scope="module", params=TABS)
def page(request: pytest.FixtureRequest, signed_in: Page) -> Page:
    """Each tab is gone to once, for all tests."""
    signed_in.console.clear()
    signed_in.requests.clear()
    look_at(signed_in, request.param)
    return signed_in


@pytest.fixture
def tab(request: pytest.FixtureRequest) -> str:
    return TABS[request.node.callspec.params["page"]]


def look_at(page: Page, path: str) -> None:
    go(page, path)
    for what in FILLED[path].split(", "):
        page.until(f"document.querySelector({what!r}) !== null")
    page.eval(SETTLED)


def test_a_page_says_where_one_is(page: Page, tab: str) -> None:
    told = outline(page)
    assert told["lang"].startswith("en")
    assert "CodeMie proxy" in told["title"]
    assert (told["nav"], told["main"]) == (1, 1)
    assert len(told["h1"]) == 1
    assert page.text("nav [aria-current=page]").strip() == tab
    assert "could not be shown" not in page.text()


def test_every_control_has_a_name(page: Page) -> None:
    assert nameless(page) == []


def test_every_word_is_to_be_read_by_day_and_by_night(page: Page) -> None:
    by_day = faint(page)
    page.dark(True)
    page.until("document.documentElement.dataset.theme === 'dark'")
    by_night = faint(page)
    page.dark(False)
    page.until("document.documentElement.dataset.theme === 'light'")
    assert (by_day, by_night) == ([], [])


def test_the_keyboard_reaches_the_tabs_and_what_is_on_the_page(page: Page) -> None:
    page.eval("document.activeElement.blur()")
    stops = list(tabbed(page))
    names = [stop["name"] for stop in stops]
    assert names[0] == "Skip to the content"
    assert [name for name in names if name in TABS.values()][:8] == list(dict.fromkeys(TABS.values()))
    assert len(stops) > 11  # more than the frame
    assert [stop for stop in stops if not stop["seen"]] == []


def test_nothing_sticks_out_on_a_phone_and_the_tab_one_is_on_is_to_be_seen(page: Page) -> None:
    page.resize(390, 844, phone=True)
    try:
        page.eval(SETTLED)
        page.until(f"document.documentElement.clientWidth === 390 && {FITS}", 30)  # Charts are drawn anew a bit later.
    finally:
        page.resize(1280, 800)


def test_no_page_asks_another_machine_or_complains(page: Page, noon: Dashboard) -> None:
    ours = (f"http://127.0.0.1:{noon.admin.port}/", f"ws://127.0.0.1:{noon.admin.port}/", "data:", "blob:")
    assert [url for url in page.requests if not url.startswith(ours)] == []
    # NiceGUI before 3.18, which Python 3.12 gets, tries out what the browser can by scripts that the policy refuses.
    assert [said for said in page.console if "'blob:" not in said] == []


def test_skipping_to_the_content_skips_the_tabs(browser: Browser, noon: Dashboard) -> None:
    page = opened(browser, noon)
    look_at(page, "/analytics")
    page.press("Tab")
    page.press("Enter")
    page.press("Tab")
    assert page.eval("document.querySelector('#main').contains(document.activeElement)")


def test_dark_follows_the_system_until_somebody_chooses(browser: Browser, noon: Dashboard) -> None:
    page = opened(browser, noon, "/logs")
    ground = "getComputedStyle(document.body).backgroundColor"
    day = page.eval(ground)
    page.dark(True)
    page.until(f"{ground} !== {day!r}")
    page.click("[data-cm-theme]")
    page.until(f"{ground} === {day!r}")
    go(page, "/agents")
    assert page.eval(ground) == day
