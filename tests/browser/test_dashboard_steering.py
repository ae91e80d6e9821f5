"""What an operator changes on the pages, and sees while agents work, in a real browser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from codemie_core.demo.script import Step
from support.dashboard import Dashboard, go
from support.devtools import PATIENCE, Browser, Page
from support.programs import needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]

NOON = {
    "history": False,
    "accounts": False,
    "environ": {"CODEMIE_HEADER_INJECTION_PROJECT": "held-by-the-environment"},
}
BODY = {"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
SAVE = "text=Save"
LINES = "document.querySelectorAll('.cm-log-line').length"
ASKED = "[...document.querySelectorAll('.cm-log-line')].filter(line => line.innerText.includes('POST')).length"


@pytest.fixture(scope="module")
def page(browser: Browser, noon: Dashboard) -> Iterator[Page]:
    """Signed in; each test goes where it wants to."""
    signed_in = browser.page(noon.admin.page_url("/agents"))
    yield signed_in
    signed_in.close()


def ask(noon: Dashboard, path: str = "/v1/messages", **more: object) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(f"{noon.proxy.url}{path}", json=BODY | more, headers={"x-api-key": "planted-key"})


def sent(noon: Dashboard, header: str) -> str | None:
    """What a request of a client brings to the upstream."""
    assert ask(noon).status_code == 200
    return noon.upstream.upstream.requests[-1].header(header)


def until(met: Callable[[], object]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def field(label: str) -> str:
    return f'[aria-label="{label}"]'


def test_a_plugin_that_is_switched_off_does_no_more_until_it_is_switched_on(page: Page, noon: Dashboard) -> None:
    assert sent(noon, "x-codemie-cli")
    go(page, "/addons")
    switch = field("header_injection on or off")
    page.click(switch)
    page.wait_for_toast("header_injection is off")
    assert sent(noon, "x-codemie-cli") is None
    go(page, "/addons")
    page.wait_for_text("1 disabled", ".cm-head")
    page.click(switch)
    page.wait_for_toast("header_injection is on")
    assert sent(noon, "x-codemie-cli")


def test_what_may_not_be_switched_while_requests_run_is_not_offered(page: Page, noon: Dashboard) -> None:
    go(page, "/addons")
    page.until("document.querySelectorAll('.cm-plugin').length > 8")
    for plugin in noon.admin.get("/plugins").json()["plugins"]:
        state = f"""document.querySelector('{field(plugin["name"] + " on or off")}').ariaDisabled"""
        assert (page.eval(state) == "true") is not plugin["switchable"]


def test_a_setting_that_is_saved_counts_for_the_next_request_and_can_be_given_back(page: Page, noon: Dashboard) -> None:
    go(page, "/addons/header_injection")
    page.until(f"document.querySelector('{field('Integration')}') !== null")
    page.fill(field("Integration"), "set-on-the-page")
    page.wait_for_text("1 change, not saved yet")
    assert sent(noon, "x-codemie-integration") is None
    page.click(SAVE)
    page.wait_for_toast("Saved.")
    page.wait_for_text("set here", ".cm-setting:nth-of-type(6), .cm-settings")
    assert sent(noon, "x-codemie-integration") == "set-on-the-page"
    page.click("text=Reset")
    page.until(f"document.querySelector('{field('Integration')}').value === ''")
    assert sent(noon, "x-codemie-integration") is None


def test_a_value_that_cannot_be_used_is_refused_in_words_and_nothing_changes(page: Page, noon: Dashboard) -> None:
    go(page, "/addons/upstream_attempts")
    page.until(f"document.querySelector('{field('Backoff')}') !== null")
    before = noon.admin.get("/plugins/upstream_attempts/settings").json()["values"]
    page.fill(field("Backoff"), "soon")
    page.fill(field("Max attempts"), "2")
    page.wait_for_text("2 changes, not saved yet")
    page.click(SAVE)
    page.wait_for_toast("backoff")
    assert noon.admin.get("/plugins/upstream_attempts/settings").json()["values"] == before
    page.click("text=Undo")
    page.until(f"document.querySelector('{field('Backoff')}').value === '{before['backoff']}'")


def test_a_setting_that_the_environment_decides_says_so_and_cannot_be_changed(page: Page, noon: Dashboard) -> None:
    go(page, "/addons/header_injection")
    page.wait_for_text("Decided by environment: CODEMIE_HEADER_INJECTION_PROJECT")
    assert page.eval(f"document.querySelector('{field('Project')}').disabled")
    assert page.eval(f"document.querySelector('{field('Project')}').value") == "held-by-the-environment"


def test_a_request_shows_up_in_the_log_while_one_looks(page: Page, noon: Dashboard) -> None:
    go(page, "/logs")
    page.wait_for_text("is running with", ".cm-log-lines")
    before = page.eval(ASKED)
    ask(noon, "/v1/messages?<img src=x onerror=document.title='owned'>")
    page.until(f"{ASKED} === {before + 1}")
    assert page.eval("document.title") != "owned"
    assert page.eval("document.querySelector('.cm-log-lines img')") is None


def test_lines_are_found_by_their_words_and_their_level(page: Page, noon: Dashboard) -> None:
    go(page, "/logs")
    page.wait_for_text("is running with", ".cm-log-lines")
    page.fill(".cm-log-search", "is RUNNING")
    page.until(f"{LINES} === 1")
    assert page.text(".cm-log-line mark") == "is running"
    page.click("text=Errors")
    page.wait_for_text("No line matches")
    page.click("text=Show all lines")
    page.until(f"{LINES} > 1")


def test_lines_stand_still_while_they_are_held_and_none_is_lost(page: Page, noon: Dashboard) -> None:
    go(page, "/logs")
    page.wait_for_text("is running with", ".cm-log-lines")
    page.click("text=Pause")
    before = page.eval(f"[{LINES}, {ASKED}]")
    ask(noon)
    # Others may have something to say meanwhile.
    page.until("document.querySelector('.cm-log-newest').innerText.match(/[1-9]\\d* new/)")
    assert page.eval(f"[{LINES}, {ASKED}]") == before
    page.click("text=Resume")
    page.until(f"{ASKED} === {before[1] + 1}")
    assert page.eval(LINES) > before[0]


def test_a_session_is_live_while_its_stream_is_open(page: Page, noon: Dashboard) -> None:
    ask(noon)
    until(lambda: noon.admin.get("/api/sessions").json()["items"])  # A session is one that has a turn.
    gate = noon.upstream.upstream.gate()
    noon.upstream.call(lambda: noon.upstream.upstream.script(Step(events=6, gate=gate)))
    with ThreadPoolExecutor(1) as clients:
        asked = clients.submit(ask, noon, stream=True)
        until(lambda: noon.admin.get("/api/exchanges").json()["open"])
        go(page, "/sessions")
        page.wait_for_text("live", ".cm-table")
        noon.upstream.call(gate.open)
        assert asked.result().status_code == 200
    page.until("!document.querySelector('.cm-table').innerText.includes('live')")
