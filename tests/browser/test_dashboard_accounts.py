"""Accounts in a real browser: what is done on the page counts for the next request."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from support.dashboard import Dashboard, ask, go
from support.devtools import PATIENCE, Browser, Page
from support.pooled import the_one_credential
from support.programs import needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]

NOON = {
    "history": False,
    "options": {"codemie_account_rotation_stickiness": "0s"},
    "environ": {"CODEMIE_OAUTH_ANTHROPIC_CLIENT_ID": "planted-client"},
}
NAMES = "[...document.querySelectorAll('.cm-account')].map(each => each.dataset.name)"
DIALOG = ".cm-dialog"
WITHOUT_A_CLIENT = """\
gateway:
  provider: anthropic-compatible
  base_url: https://gateway.example.com
  authorize_url: https://login.example.com/authorize
  token_url: https://login.example.com/token
"""


@pytest.fixture(scope="module")
def signed_in(browser: Browser, noon: Dashboard) -> Iterator[Page]:
    opened = browser.page(noon.admin.page_url("/agents"))
    yield opened
    opened.close()


@pytest.fixture
def page(signed_in: Page) -> Page:
    """The accounts, just loaded: of what the test before has left open there, nothing."""
    go(signed_in, "/accounts")
    signed_in.until(f"{NAMES}.length > 4")
    return signed_in


def served_by(noon: Dashboard) -> str:
    """Whose key the next request bears."""
    ask(noon)
    return the_one_credential(noon.upstream.upstream.requests[-1])


def of(name: str) -> str:
    return f'.cm-account[data-name="{name}"]'


def act(page: Page, name: str, words: str) -> None:
    """Choose it in the account's menu."""
    page.click(f"{of(name)} .cm-icon")
    page.wait_for_text(words, ".q-menu")
    page.click(f".q-menu text={words}")


def label(words: str) -> str:
    return f'{DIALOG} input[aria-label="{words}"]'


def test_accounts_show_how_they_are(page: Page) -> None:
    assert page.eval(NAMES)[:2] == ["openai", "team-main"]  # by priority, then by name
    assert "62%" in page.text(of("team-main"))
    assert "limited" in page.text(of("team-spare"))
    assert "only at night" in page.text(of("night-shift"))
    assert "Sign in again" in page.text(of("personal"))
    left = page.text(f"{of('team-spare')} .cm-countdown")
    page.until(f"document.querySelector('{of('team-spare')} .cm-countdown').innerText !== {left!r}")


def test_an_account_added_on_the_page_serves_the_next_request_and_paused_it_does_not(
    page: Page, noon: Dashboard
) -> None:
    assert served_by(noon) == "team-main"
    page.click("text=Add account")
    page.wait_for_text("Add an account", DIALOG)
    page.click(f"{DIALOG} .q-select")
    page.click(".q-menu text=An API like Anthropic's")
    page.until(f"document.querySelector('{label('Base URL')}').value === ''")  # The provider has none of its own.
    page.fill(label("Name"), "fresh")
    page.fill(label("API key"), "planted-fresh")
    page.click("text=More")
    page.fill(label("Base URL"), noon.upstream.url)
    page.fill(label("Priority"), "0")
    page.click(f"{DIALOG} .cm-button.primary")
    page.wait_for_toast("fresh is added")
    page.until(f"{NAMES}[0] === 'fresh'")
    page.until("document.querySelector('.cm-dialog') === null")
    assert served_by(noon) == "fresh"
    page.click(f"{of('fresh')} .cm-account-acts .cm-button")
    # The list shows what is stored, perhaps a moment before the pool knows of it; who has acted is told after that.
    page.wait_for_toast("fresh is paused")
    page.wait_for_text("paused", of("fresh"))
    assert served_by(noon) == "team-main"
    page.click(f"{of('fresh')} .cm-account-acts .cm-button")
    page.wait_for_toast("fresh serves again")
    page.until(f"!document.querySelector('{of('fresh')}').innerText.includes('paused')")
    assert served_by(noon) == "fresh"
    events = noon.admin.get("/api/audit", params={"account": "fresh"}).json()
    told = [(event["event"], event["who"]) for event in (events if isinstance(events, list) else events["events"])]
    assert ("paused", "dashboard") in told
    assert "planted-fresh" not in page.eval("document.documentElement.outerHTML")
    act(page, "fresh", "Remove")
    page.fill(f"{DIALOG} input", "fresh")
    page.click(f"{DIALOG} .cm-button.danger")
    page.wait_for_toast("fresh is gone")
    page.until(f"!{NAMES}.includes('fresh')")
    assert served_by(noon) == "team-main"


def test_what_cannot_be_is_said_and_nothing_is_done(page: Page) -> None:
    page.click("text=Add account")
    page.fill(label("Name"), "team-main")
    page.fill(label("API key"), "planted-twice")
    page.click(f"{DIALOG} .cm-button.primary")
    page.wait_for_toast("already")
    assert page.eval("document.querySelector('.cm-dialog') !== null")
    page.press("Escape")
    page.until("document.querySelector('.cm-dialog') === null")
    act(page, "team-main", "Remove")
    page.fill(f"{DIALOG} input", "team-mian")
    page.click(f"{DIALOG} .cm-button.danger")
    page.wait_for_toast("to remove it: team-main")
    assert "team-main" in page.eval(NAMES)


def test_an_account_is_renamed_and_gets_another_priority(page: Page, noon: Dashboard) -> None:
    act(page, "night-shift", "Rename")
    page.fill(label("Name"), "nights")
    page.press("Enter")
    page.until(f"{NAMES}.includes('nights')")
    act(page, "nights", "Priority and weight")
    page.fill(label("Priority"), "7")
    page.click(f"{DIALOG} .cm-button.primary")
    page.until(f"{NAMES}.at(-1) === 'nights'")
    act(page, "nights", "Details")
    page.wait_for_text("What happened to it", DIALOG)
    page.wait_for_text("dashboard", DIALOG)


def test_an_account_is_paused_with_the_keyboard_alone(page: Page, noon: Dashboard) -> None:
    page.eval(f"document.querySelector('{of('openai')} .cm-account-name').focus()")
    page.press("Tab")
    assert page.eval("document.activeElement.innerText") == "Pause"
    page.press("Enter")
    page.wait_for_text("paused", of("openai"))
    page.until("document.activeElement.innerText === 'Resume'")  # the focus has stayed where it was
    page.press("Enter")
    page.until(f"!document.querySelector('{of('openai')}').innerText.includes('paused')")


def test_a_limit_is_forgotten_on_demand(page: Page) -> None:
    act(page, "team-spare", "Forget its limits")
    page.until(f"!document.querySelector('{of('team-spare')}').innerText.includes('back in')")


def test_the_strategy_is_changed_at_once(page: Page, noon: Dashboard) -> None:
    page.click(".cm-strategy")
    page.click(".q-menu text=least-used")
    page.wait_for_toast("Strategy: least-used")
    deadline = time.monotonic() + PATIENCE
    while noon.admin.get("/api/config").json()["lb_strategy"] != "least-used":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_sign_in_leads_to_the_provider_and_says_what_comes_then(page: Page) -> None:
    page.click(f"{of('personal')} .cm-account-state .cm-button")
    page.wait_for_text("Sign in again: personal", DIALOG)
    page.until(f"document.querySelector('{label('Name of the account')}').disabled")
    page.click(f"{DIALOG} .cm-button.primary")
    page.until("document.querySelector('.cm-dialog a') !== null")
    link = page.eval("(e => [e.href, e.target, e.rel])(document.querySelector('.cm-dialog a'))")
    assert link[0].startswith("https://")
    assert "client_id=planted-client" in link[0]
    assert link[1:] == ["_blank", "noopener noreferrer"]


def test_a_sign_in_that_lacks_a_client_says_what_to_do_first(page: Page, noon: Dashboard) -> None:
    (noon.home.places.proxy / "providers.yaml").write_text(WITHOUT_A_CLIENT)
    page.click("text=Add account")
    page.wait_for_text("Add an account", DIALOG)
    page.click(f"{DIALOG} .cm-choices button:last-child")
    page.wait_for_text("Go on", DIALOG)  # The form for a key, which it takes the place of, has a provider, too.
    page.click(f"{DIALOG} .q-select")
    page.until("document.querySelectorAll('.q-menu .q-item').length > 1")
    page.click(".q-menu .q-item:last-child")
    page.wait_for_text("_CLIENT_ID", f"{DIALOG} .cm-banner.bad")
