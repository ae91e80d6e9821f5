"""Who is not signed in sees how to get in, and nothing else."""

from __future__ import annotations

import pytest

from support.dashboard import Dashboard
from support.devtools import Browser
from support.programs import needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]

NOON = {"history": False}


def test_the_token_opens_the_page_and_never_gets_into_an_address(browser: Browser, noon: Dashboard) -> None:
    page = browser.page(f"http://127.0.0.1:{noon.admin.port}/accounts")
    assert page.statuses[f"http://127.0.0.1:{noon.admin.port}/accounts"] == 401
    page.wait_for_text("codemie-proxy open")
    assert "team-main" not in page.eval("document.documentElement.outerHTML")
    page.fill("#token", "not-the-token-of-this-proxy")
    page.press("Enter")
    page.wait_for_text("not this proxy's token")
    page.fill("#token", f" {noon.admin.token} ")
    page.press("Enter")
    page.until("document.querySelector('.cm-nav') !== null && location.search === ''")
    page.wait_for_text("Overview")
    assert not [address for address in page.requests if noon.admin.token in address]
    assert all(
        address.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:http://127.0.0.1:"))
        for address in page.requests
    )
    page.goto(f"http://127.0.0.1:{noon.admin.port}/accounts")
    page.wait_for_text("team-main")


def test_a_code_that_was_used_leads_to_the_sign_in(browser: Browser, noon: Dashboard) -> None:
    link = noon.admin.page_url()
    browser.page(link).wait_for_text("Overview")
    page = browser.page(link)
    page.wait_for_text("A new link signs you in")


@pytest.mark.parametrize("dark", [False, True])
def test_the_sign_in_fits_a_phone(browser: Browser, noon: Dashboard, dark: bool) -> None:
    page = browser.page(f"http://127.0.0.1:{noon.admin.port}/", width=360, height=640, phone=True, dark=dark)
    page.wait_for_text("codemie-proxy open")
    assert page.eval("document.documentElement.scrollWidth <= innerWidth")
    assert page.eval("document.documentElement.dataset.theme") == ("dark" if dark else "light")
