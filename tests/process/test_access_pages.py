"""Web pages stay out of a proxy without keys, and other machines out of one that asks nobody for a key."""

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from codemie_core import __version__
from support.access import Door, ask, door, other_address, until
from support.clients import Answer
from support.programs import CHROMIUM, needs_chromium
from support.proxy import ADDONS
from support.raw_client import raw_client

ELSEWHERE = other_address() or ""
elsewhere = pytest.mark.skipif(not ELSEWHERE, reason="this machine has no address but loopback")


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Without keys."""
    home = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("CODEMIE_HOME", str(home / ".codemie"))
        with door(keys=(), options={"codemie_proxy_access_origins": ["https://tool.example.com"]}) as found:
            yield found


async def raw(door: Door, *lines: str, method: str = "POST", host: str = "127.0.0.1") -> Answer:
    """One request, its head written by hand."""
    head = "\r\n".join([f"{method} /v1/messages HTTP/1.1", *lines, "content-length: 2", "", "{}"])
    async with raw_client(door.proxy.port, host) as client:
        await client.send(head.encode())
        first = (await client.until(b"\r\n")).decode()
        fields = (await client.until(b"\r\n\r\n")).decode().lower()
        answer = Answer(int(first.split(" ")[1]))
        answer.headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in fields.split("\r\n"))]
        answer.body = await client.reader.readexactly(int(answer.header("content-length") or 0))
    return answer


UPGRADE = ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: " + "A" * 22)


@pytest.mark.parametrize(
    "lines, status, code",
    [
        (("host: evil.example:8080",), 421, "misdirected_request"),
        (("host: evil.example", "origin: http://evil.example"), 421, "misdirected_request"),
        (("host: evil.example", *UPGRADE), 421, "misdirected_request"),
        (("host: 127.0.0.1", "host: evil.example"), 421, "misdirected_request"),
        (("host: localhost", "origin: https://evil.example"), 400, "cross_site_request"),
        (("host: localhost", "origin: null"), 400, "cross_site_request"),
        (("host: localhost", "sec-fetch-site: cross-site"), 400, "cross_site_request"),
        (("host: localhost", "sec-fetch-site: same-site"), 400, "cross_site_request"),
        (("host: localhost", "origin: chrome-extension://abc", "sec-fetch-site: none"), 400, "cross_site_request"),
        (("host: localhost", "origin: https://evil.example", *UPGRADE), 400, "cross_site_request"),
        (("host: localhost", "origin: https://evil.example", "x-api-key: cmk_abcd1234_x"), 400, "cross_site_request"),
    ],
)
async def test_what_a_web_page_can_send_never_reaches_the_upstream(
    gate: Door, lines: tuple[str, ...], status: int, code: str
) -> None:
    before = len(gate.received())
    answer = await raw(gate, *lines)
    assert (answer.status, answer.header("access-control-allow-origin")) == (status, None)
    assert "codemie_proxy_access_" in json.loads(answer.body)["error"]["message"]
    assert len(gate.received()) == before
    gate.proxy.wait_for_log("Refused a request from 127.0.0.1: it looks like one of a web page")


@pytest.mark.parametrize(
    "lines",
    [
        ("host: 127.0.0.1:8080",),
        ("host: host.docker.internal:8080",),
        ("host: localhost", "sec-fetch-mode: cors"),  # what undici sends
        ("host: localhost", "origin: http://localhost:3000", "sec-fetch-site: same-site"),
        ("host: localhost", "origin: vscode-file://vscode-app", "sec-fetch-site: cross-site"),
        ("host: localhost", "origin: https://tool.example.com", "sec-fetch-site: cross-site"),
    ],
)
async def test_programs_and_pages_of_this_machine_pass(gate: Door, lines: tuple[str, ...]) -> None:
    assert (await raw(gate, *lines)).status == 200


async def test_a_preflight_of_a_foreign_page_is_not_granted(gate: Door) -> None:
    asked = ("host: localhost", "origin: https://evil.example", "access-control-request-method: POST")
    answer = await raw(gate, *asked, method="OPTIONS")
    assert (answer.status, answer.header("access-control-allow-origin")) == (400, None)


async def test_the_host_a_client_asked_is_judged_also_where_mitmproxy_keeps_it() -> None:
    with door("--set", "keep_host_header=true", keys=()) as kept:
        assert (await raw(kept, "host: evil.example")).status == 421
        assert (await raw(kept, "host: localhost:1")).status == 200


async def test_alone_the_addon_knows_the_host_that_was_asked() -> None:
    with door(keys=(), scripts=[ADDONS / "proxy_access.py"]) as alone:
        assert (await raw(alone, "host: evil.example")).status == 421
        assert (await raw(alone, "host: localhost")).status == 200


PAGE = """<!doctype html><title>start</title><script>
const said = [];
const note = (what) => (value) => said.push(what + ": " + value);
const proxy = "http://127.0.0.1:%d";
Promise.all([
  fetch(proxy + "/v1/messages", {method: "POST", body: "{}"}).then(note("read"), note("failed")),
  fetch(proxy + "/v1/messages", {method: "POST", body: "{}", mode: "no-cors"}).then((r) => r.text()).then(note("opaque"), note("failed")),
  new Promise((done) => { const i = new Image(); i.onload = i.onerror = done; i.src = proxy + "/v1/models"; }),
  new Promise((done) => { const s = new WebSocket("ws://127.0.0.1:%d/v1/responses"); s.onopen = (e) => done(note("open")(e)); s.onclose = done; }),
]).then(() => fetch("/done", {method: "POST", body: JSON.stringify(said)}));
</script>"""  # noqa: E501 - one request of the page in a line


@contextmanager
def page(port: int) -> Iterator[tuple[int, list[str], threading.Event]]:
    """A site with one page, which tells us what became of its requests."""
    said: list[str] = []
    done = threading.Event()

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (PAGE % (port, port)).encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            said.extend(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], said, done
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.browser
@needs_chromium
@pytest.mark.parametrize("site", ["evil.example", "rebound.example"], ids=["cross-site", "rebinding"])
def test_a_page_in_a_real_browser_gets_nothing_and_the_upstream_sees_nothing(
    gate: Door, tmp_path: Path, site: str
) -> None:
    before = len(gate.received())
    with page(gate.proxy.port) as (port, said, done):
        # What an attacker does with his DNS server: his name leads here, in the second case to the proxy as well.
        rules = f"MAP evil.example 127.0.0.1, MAP rebound.example:80 127.0.0.1:{gate.proxy.port}"
        url = f"http://evil.example:{port}/" if site == "evil.example" else "http://rebound.example/v1/models"
        command = [
            CHROMIUM or "chromium",
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
        ]
        command.append(f"--host-resolver-rules={rules}")
        if site == "evil.example":
            # It stays until the page has said how its requests went, however long that takes.
            quiet = subprocess.DEVNULL
            looking = [*command, "--remote-debugging-port=0", url]
            with subprocess.Popen(looking, stdin=quiet, stdout=quiet, stderr=quiet) as browser:
                try:
                    assert done.wait(120)
                finally:
                    browser.terminate()
            assert sorted(words.split(":")[0] for words in said) == ["failed", "opaque"]
            assert "opaque: " in said
        else:
            looking = [*command, "--dump-dom", url]
            shown = subprocess.run(looking, capture_output=True, text=True, timeout=120, check=False).stdout
            assert "does not go by the name" in shown
    assert len(gate.received()) == before


@elsewhere
def test_another_machine_comes_in_with_a_key_and_not_without() -> None:
    with door("--listen-host", "0.0.0.0") as closed:
        url = f"http://{ELSEWHERE}:{closed.proxy.port}"
        assert ask(url).status_code == 401
        assert ask(url, x_api_key=closed.keys["ann"]).status_code == 200
        assert len(closed.received()) == 1
        closed.proxy.wait_for_log(f"Refused a request from {ELSEWHERE}: it came without a client key")
        with httpx.Client(trust_env=False) as client:
            assert client.get(f"{url}/health").json() == {"status": "ok", "version": __version__}
            assert "run_id" in client.get(f"{closed.proxy.url}/health").json()


@elsewhere
def test_without_keys_another_machine_is_refused_until_there_is_one() -> None:
    with door("--listen-host", "0.0.0.0", keys=()) as found:
        url = f"http://{ELSEWHERE}:{found.proxy.port}"
        with pytest.raises(httpx.TransportError):
            ask(url)
        found.proxy.wait_for_log(f"Refused a connection from {ELSEWHERE}: only this machine is served")
        key = found.add("ann")
        until(lambda: ask(found.proxy.url).status_code == 401)
        assert (ask(url).status_code, ask(url, x_api_key=key).status_code) == (401, 200)


@elsewhere
def test_switched_off_it_lets_no_other_machine_in() -> None:
    with door("--listen-host", "0.0.0.0", options={"codemie_disabled": ["proxy_access"]}) as off:
        assert ask(off.proxy.url).status_code == 200
        with pytest.raises(httpx.TransportError):
            ask(f"http://{ELSEWHERE}:{off.proxy.port}", x_api_key=off.keys["ann"])


@elsewhere
async def test_served_to_all_on_purpose_the_proxy_still_goes_by_its_own_addresses_alone() -> None:
    options = {"codemie_allow_remote_peers": True, "codemie_proxy_access_names": ["build-box"]}
    with door("--listen-host", "0.0.0.0", keys=(), options=options) as found:
        statuses = [
            (await raw(found, f"host: {name}", host=ELSEWHERE)).status
            for name in (f"{ELSEWHERE}:{found.proxy.port}", "build-box:8080", "localhost", "evil.example", "192.0.2.99")
        ]
    assert statuses == [200, 200, 200, 421, 421]
