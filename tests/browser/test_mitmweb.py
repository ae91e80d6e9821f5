"""mitmweb in a real browser: the answers of every API as conversations, whatever was said in them."""

from collections.abc import Iterator

import httpx
import pytest

from codemie_core.demo.script import Step
from codemie_core.demo.threaded import UpstreamThread
from support import talks
from support.devtools import Browser, Page
from support.programs import needs_chromium
from support.shared import shared_proxy
from support.talks import TALKS, Talk, responses
from support.web import TOKEN, Web, web_options

pytestmark = [pytest.mark.browser, needs_chromium]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Each conversation of `TALKS`, its first answer compressed, with the request that follows it."""
    args, options, found = web_options()
    with UpstreamThread() as upstream:
        args = ("--mode", f"reverse:{upstream.url}", *args)
        home = tmp_path_factory.mktemp("home")
        with (
            shared_proxy(home, *args, tool="mitmweb", options=options) as proxy,
            httpx.Client(trust_env=False) as client,
        ):
            for talk in TALKS:
                upstream.call(
                    upstream.upstream.script, Step(events=talk.events, encoding="gzip"), Step(events=talk.events)
                )
                for body in (talk.request, talk.following):
                    client.post(proxy.url + talk.path, json=body, headers=talk.headers, timeout=60).raise_for_status()
            yield found


@pytest.fixture(scope="module")
def signed_in(browser: Browser, web: Web) -> Iterator[Page]:
    shown = browser.page(f"{web.url}/?token={TOKEN}", width=1400, height=1000)
    yield shown
    shown.close()


@pytest.fixture
def page(signed_in: Page, web: Web) -> Page:
    """Just loaded: of what the test before has left open there, nothing."""
    signed_in.goto(f"{web.url}/")
    signed_in.wait_for_text("40 written")
    return signed_in


def open_flow(page: Page, talk: Talk, tab: str) -> None:
    place = 2 * TALKS.index(talk)
    rows = "[...document.querySelectorAll('tbody tr')].filter(row => row.innerText.includes('POST'))"
    page.until(f"{rows}.length === {2 * len(TALKS)}")
    page.eval(f"{rows}[{place}].click()")
    page.click(f"text={tab}")


@pytest.mark.parametrize("talk", TALKS, ids=[talk.api for talk in TALKS])
def test_an_answer_is_read_as_a_conversation(page: Page, talk: Talk) -> None:
    open_flow(page, talk, "Response")
    page.wait_for_text("Conversation")
    for words in (talk.stopped, talk.tokens, talks.THOUGHT, talks.SAID, "[call] Bash", "git status", talks.CAME_BACK):
        page.wait_for_text(words)
    assert page.console == []


@pytest.mark.parametrize("talk", TALKS, ids=[talk.api for talk in TALKS])
def test_what_was_said_is_text_and_nothing_else(page: Page, talk: Talk) -> None:
    title = page.eval("document.title")
    open_flow(page, talk, "Request")
    page.wait_for_text(talks.ASKED)
    assert page.eval("document.title") == title != "owned"
    assert page.eval("[...document.querySelectorAll('b')].every(found => found.innerText !== 'bold')")


def test_the_list_has_a_column_with_account_attempts_and_cost(page: Page) -> None:
    page.wait_for_text("gemini-2.5-pro | 1,512 read, 40 written | $0.0", "table")


def test_the_conversation_is_one_of_the_views_to_choose_from(page: Page) -> None:
    open_flow(page, responses(), "Response")
    page.wait_for_text("[call] Bash")
    page.click("text=View: auto")
    page.wait_for_text("conversation")


def test_it_is_the_same_in_the_dark_and_asks_nobody_else(page: Page, web: Web) -> None:
    page.dark(True)
    open_flow(page, responses(), "Comment")
    page.wait_for_text("session")
    assert all(url.startswith((web.url, web.url.replace("http", "ws"), "data:")) for url in page.requests)
