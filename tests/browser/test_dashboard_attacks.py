"""Pages of other sites in the browser of somebody who is signed in: what they can make it do to the dashboard."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from codemie_core.demo.threaded import UpstreamThread
from support.admin import Admin, admin_of
from support.devtools import Browser
from support.programs import needs_chromium
from support.shared import shared_proxy

pytestmark = [pytest.mark.browser, needs_chromium]

TRIES = """(async admin => {
    const post = (path, body, kind) => fetch(admin + path,
        {method: 'POST', mode: 'no-cors', credentials: 'include', headers: {'content-type': kind}, body});
    const outcome = promise => promise.then(() => 'reached', () => 'refused');
    const opened = (thing, name) => new Promise(done => {
        thing['on' + name] = () => done('reached'); thing.onerror = () => done('refused'); });
    const framed = document.createElement('iframe');
    framed.src = admin + '/';
    document.body.append(framed);
    const form = Object.assign(document.createElement('form'),
        {method: 'POST', action: admin + '/api/config/strategy', enctype: 'text/plain', target: 'hidden'});
    const hidden = Object.assign(document.createElement('iframe'), {name: 'hidden'});
    form.append(Object.assign(document.createElement('input'), {name: '{"strategy":"round-robin","x":"', value: '"}'}));
    document.body.append(hidden, form);
    form.submit();
    return {
        read: await outcome(fetch(admin + '/api/accounts', {credentials: 'include'})),
        changed: await outcome(fetch(admin + '/api/config/strategy', {method: 'POST', credentials: 'include',
            headers: {'content-type': 'application/json'}, body: '{"strategy":"round-robin"}'})),
        // Opaque: whether it was served shows in what it would have changed.
        posted: await outcome(post('/api/config/strategy', '{"strategy":"round-robin"}', 'text/plain')),
        events: await opened(new EventSource(admin + '/api/requests/stream', {withCredentials: true}), 'open'),
        socket: await opened(new WebSocket(
            admin.replace('http', 'ws') + '/_nicegui_ws/socket.io/?EIO=4&transport=websocket'), 'open'),
        picture: await opened(Object.assign(new Image(), {src: admin + '/favicon.ico'}), 'load'),
        script: await opened(document.head.appendChild(Object.assign(document.createElement('script'),
            {src: admin + '/api/stats'})), 'load'),
    };
})"""


class Elsewhere(BaseHTTPRequestHandler):
    """A site on another port of this machine: to a browser it is same-site at 127.0.0.1, and foreign at localhost."""

    link = ""

    def do_GET(self) -> None:
        body = f'<!doctype html><title>Elsewhere</title><a href="{type(self).link}">come</a>'.encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    home = tmp_path_factory.mktemp("visited")
    with (
        UpstreamThread() as upstream,
        shared_proxy(home, "--mode", f"reverse:{upstream.url}") as proxy,
        admin_of(proxy) as client,
    ):
        yield client


THERE = "document.querySelector('h1') !== null && document.title.includes('CodeMie proxy')"


@pytest.mark.parametrize("site", ["127.0.0.1", "localhost"])
def test_a_page_of_another_site_reaches_nothing(admin: Admin, browser: Browser, elsewhere: int, site: str) -> None:
    page = browser.page(admin.page_url())
    page.until(THERE)
    before = admin.get("/api/config/strategy").json()
    page.goto(f"http://{site}:{elsewhere}/")
    assert page.eval(f"{TRIES}('http://127.0.0.1:{admin.port}')") == {
        "read": "refused",
        "changed": "refused",
        "posted": "refused",
        "events": "refused",
        "socket": "refused",
        "picture": "refused",
        "script": "refused",
    }
    assert admin.get("/api/config/strategy").json() == before
    assert admin.get("/api/audit").json()["events"] == []
    page.close()


@pytest.mark.parametrize("site", ["127.0.0.1", "localhost"])
def test_a_link_with_a_code_on_another_site_signs_in(admin: Admin, browser: Browser, elsewhere: int, site: str) -> None:
    Elsewhere.link = admin.page_url("/accounts")
    page = browser.page(f"http://{site}:{elsewhere}/")
    page.click("text=come")
    page.until(f"{THERE} && location.pathname === '/accounts'")
    assert page.eval("location.search + document.cookie + document.referrer") == ""
    page.close()


def test_the_cookie_is_no_business_of_scripts(admin: Admin, browser: Browser) -> None:
    page = browser.page(admin.page_url())
    page.until(THERE)
    assert "codemie_admin" not in page.eval("document.cookie")
    page.close()
