"""Writes docs/pictures/dashboard-*.png with a real browser: `PYTHONPATH=addons:tests python -m support.pictures`.

The week in them is made up; the requests under way are real ones, to a scripted upstream.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from codemie_core.demo.script import Step
from support.dashboard import AGENTS, Dashboard, ask, asking, dashboard
from support.devtools import Browser, Page, chrome
from support.mitmweb_picture import mitmweb_picture

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WORDS = "The cart shows a wrong total when two coupons are used. Find out why, and fix it."
ANSWER = (
    "The second coupon is taken off the price before the first one, so a percentage counts twice. "
    "I will make `Cart.total` apply them in the order they were added, and add a test with two coupons."
)
SEEN = "!document.querySelector('#app:empty') && document.querySelectorAll({what!r}).length > 0"


def main(folder: Path = PICTURES) -> list[Path]:
    """Write them all; returns which."""
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        stack.enter_context(home_of_nobody(room))
        dash = stack.enter_context(dashboard(options={"codemie_usage_metering_payloads": True}))
        browser = stack.enter_context(chrome(room))
        dash.upstream.call(dash.upstream.upstream.script, then=Step(text=ANSWER, interval=0.04))
        ask(dash, WORDS)
        dash.upstream.call(dash.upstream.upstream.script, then=Step(events=3000, interval=0.15))
        for agent in AGENTS:
            stack.enter_context(asking(dash, WORDS, agent))
        taken = [path for take in (_wide, _phone) for path in take(dash, browser, folder)]
        return [*taken, mitmweb_picture(browser, folder)]


def _wide(dash: Dashboard, browser: Browser, folder: Path) -> Iterator[Path]:
    views = {"overview": ("/", ".cm-now-account"), "requests": ("/requests", "tr.open"), "accounts": _ACCOUNTS}
    for dark in (False, True):
        page = browser.page(dash.admin.page_url(), width=1280, height=860, dark=dark)
        for name, (path, what) in views.items():
            if not dark or name == "overview":
                _go(dash, page, path, what)
                yield _taken(page, folder / f"dashboard-{name}{'-dark' if dark else ''}.png")
    newest = dash.admin.get("/api/requests", params={"limit": 1}).json()[0]["id"]
    page = browser.page(dash.admin.page_url(f"/requests/{newest}"), width=1280, height=860)
    page.until(SEEN.format(what=".cm-say-part"))
    yield _taken(page, folder / "dashboard-request.png")


def _phone(dash: Dashboard, browser: Browser, folder: Path) -> Iterator[Path]:
    page = browser.page(dash.admin.page_url("/accounts"), width=390, height=844, phone=True)
    page.until(SEEN.format(what=".cm-account"))
    yield _taken(page, folder / "dashboard-phone.png")


_ACCOUNTS = ("/accounts", ".cm-account")


def _go(dash: Dashboard, page: Page, path: str, what: str) -> None:
    page.goto(f"http://127.0.0.1:{dash.admin.port}{path}")
    page.until(SEEN.format(what=what))


def _taken(page: Page, path: Path) -> Path:
    page.listen(1.0)  # charts take the width they find
    page.screenshot(path)
    return path


@contextmanager
def home_of_nobody(room: Path) -> Iterator[None]:
    """Nobody's own."""
    before = dict(os.environ)
    home = room / "home"
    home.mkdir(exist_ok=True)
    os.environ.update(HOME=str(home), CODEMIE_HOME=str(home / ".codemie"), CODEMIE_KEYRING="0")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    for written in main():
        sys.stdout.write(f"{written}\n")
