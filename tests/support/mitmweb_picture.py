"""Draws docs/pictures/mitmweb-conversation.png: an answer in mitmweb, with the result of its tool call."""

from __future__ import annotations

from pathlib import Path

import httpx

from codemie_core.demo.script import Step
from codemie_core.demo.threaded import UpstreamThread
from support.devtools import Browser
from support.talks import anthropic, plainly
from support.web import TOKEN, mitmweb

NAME = "mitmweb-conversation.png"


def mitmweb_picture(browser: Browser, folder: Path) -> Path:
    """Written; returns where."""
    talk = plainly(anthropic())
    with UpstreamThread() as upstream:
        steps = (Step(status=529), Step(events=talk.events), Step(events=talk.events))
        upstream.call(upstream.upstream.script, *steps)
        with mitmweb("--mode", f"reverse:{upstream.url}") as (proxy, web), httpx.Client(trust_env=False) as client:
            for body in (talk.request, talk.following):
                client.post(proxy.url + talk.path, json=body, headers=talk.headers, timeout=20).raise_for_status()
            page = browser.page(f"{web.url}/?token={TOKEN}", width=1280, height=1000)
            page.wait_for_text("2 attempts")
            rows = "[...document.querySelectorAll('tbody tr')].filter(row => row.innerText.includes('POST'))"
            page.until(f"{rows}.length === 2 && {rows}.every(row => row.innerText.includes('read'))")
            page.eval(f"{rows}[0].click()")
            page.click("text=Response")
            page.wait_for_text("[result]")
            page.listen(0.5)
            page.screenshot(folder / NAME)
    return folder / NAME
