"""A proxy as an operator has it at noon: a week of history, accounts in every state, a scripted upstream behind it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.state import Cooldown, Usage
from codemie_core.demo.threaded import UpstreamThread
from codemie_core.store.pool import save_changes
from support.admin import Admin, admin_of
from support.proxy import Mitmproxy, reverse
from support.showcase import fill
from support.stored import StoredHome, new_account

if TYPE_CHECKING:
    from support.devtools import Browser, Page

HOUR = 3600.0
THERE = "document.querySelector('h1') !== null && document.querySelector('#main') !== null"
"""The page is drawn."""


@dataclass(frozen=True)
class Dashboard:
    """All there is to it."""

    proxy: Mitmproxy
    admin: Admin
    upstream: UpstreamThread
    home: StoredHome


@contextmanager
def dashboard(
    *, history: bool = True, accounts: bool = True, options: Mapping[str, object] | None = None
) -> Iterator[Dashboard]:
    """Running, in the home that CODEMIE_HOME names."""
    home = StoredHome(Path(os.environ["CODEMIE_HOME"]), os.environ)
    if history:
        fill(home.places, os.environ, round(time.time() * 1000))
    with ExitStack() as stack:
        upstream = stack.enter_context(UpstreamThread())
        if accounts:
            at_noon(home, upstream.url)
        proxy = stack.enter_context(reverse(upstream.url, options={"codemie_hosts": ["127.0.0.1"], **(options or {})}))
        yield Dashboard(proxy, stack.enter_context(admin_of(proxy)), upstream, home)


def at_noon(home: StoredHome, url: str) -> None:
    """Five accounts: in use, limited, a guess, paused, and one to sign in to again."""
    now = time.time()
    main = home.key("team-main", url, "planted-team-main", provider="anthropic-compatible", priority=1, tags=("team",))
    spare = home.key("team-spare", url, "planted-team-spare", provider="anthropic-compatible", priority=2)
    openai = home.key("openai", "https://api.openai.com", "planted-openai", provider="openai", priority=1)
    night = home.key("night-shift", url, "planted-night", provider="anthropic-compatible", priority=3)
    home.change("night-shift", "paused", paused="only at night")
    lapsed = _lapsed(home)
    home.write(
        lambda connection: save_changes(
            connection,
            [
                Usage(main.id, "5h", 0.62, now + 1.7 * HOUR, now - 40),
                Usage(main.id, "7d", 0.41, now + 90 * HOUR, now - 40),
                Usage(spare.id, "5h", 1.0, now + 0.6 * HOUR, now - 300),
                Usage(spare.id, "7d", 0.93, now + 31 * HOUR, now - 300),
                Usage(openai.id, "requests", 0.18, now + 0.2 * HOUR, now - 9),
                Usage(night.id, "5h", 0.07, now + 4 * HOUR, now - 7 * HOUR),
                Usage(lapsed.id, "7d", 0.33, now + 50 * HOUR, now - 26 * HOUR),
                Cooldown(spare.id, "", now + 0.6 * HOUR, "5h limit", True, 0, now - 300),
            ],
            "proxy",
        )
    )


def _lapsed(home: StoredHome) -> Account:
    lapsed = home.add(new_account("personal", "https://api.anthropic.com", kind=Kind.OAUTH, priority=4), "{}")
    home.change("personal", "sign-in over", needs_login=True)
    return lapsed


def opened(browser: Browser, dash: Dashboard, path: str = "", **how: Any) -> Page:
    """A page of its own, signed in, that shows `path`; the rest is for `Browser.page`."""
    page = browser.page(dash.admin.page_url(path), **how)
    page.until(THERE)
    return page


def go(page: Page, path: str) -> None:
    """To another path of the same dashboard."""
    page.goto(page.eval("location.origin") + path)
    page.until(THERE)


AGENTS = {
    "claude": "claude-cli/2.1.0 (external, cli)",
    "codex": "codex_cli_rs/0.169.0 (Debian 13; x86_64)",
    "opencode": "opencode/1.4.0",
}
"""Clients that the proxy knows by their user agent."""


def asked(words: str = "Hello", model: str = "claude-sonnet-4-5-20250929") -> dict[str, Any]:
    """The body of a turn."""
    return {"model": model, "stream": True, "max_tokens": 100, "messages": [{"role": "user", "content": words}]}


def ask(dash: Dashboard, words: str = "Hello", agent: str = "claude") -> None:
    """A whole turn, to its end."""
    with _agent(agent) as client:
        client.post(f"{dash.proxy.url}/v1/messages", json=asked(words)).raise_for_status()


@contextmanager
def asking(dash: Dashboard, words: str = "Hello", agent: str = "claude") -> Iterator[None]:
    """A turn whose answer has begun and goes on; given up with the context unless it has ended."""
    with _agent(agent) as client, client.stream("POST", f"{dash.proxy.url}/v1/messages", json=asked(words)) as answer:
        chunks = answer.iter_bytes()  # held: with the iterator the answer would end
        next(chunks)
        yield


def _agent(name: str) -> httpx.Client:
    headers = {"x-api-key": "the-agents-own", "anthropic-version": "2023-06-01", "user-agent": AGENTS[name]}
    return httpx.Client(headers=headers, trust_env=False, timeout=60)
