"""Each addon file in a mitmdump of its own, alone and with the configuration that all of them share."""

import importlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import codemie
from codemie_core.demo.absent import closed_port
from codemie_core.demo.received import Received
from codemie_core.demo.threaded import UpstreamThread
from codemie_core.options import Layers, settings_of
from support.clients import Http2
from support.proxy import ADDONS, BUNDLE, Mitmproxy, failing_start, reverse

STEMS = sorted(path.stem for path in ADDONS.glob("*.py") if path != BUNDLE)
BODY = {"model": "claude-sonnet-4-6", "max_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread() as thread:
        yield thread


def ask(proxy: Mitmproxy, path: str = "/v1/messages", **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(f"{proxy.url}{path}", json=BODY, headers=headers)


def get(url: str, proxy: str | None = None, method: str = "GET") -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60, proxy=proxy) as client:
        return client.request(method, url)


def only(upstream: UpstreamThread) -> Received:
    [received] = upstream.upstream.requests
    return received


def complaints(proxy: Mitmproxy) -> list[str]:
    words = ("error", "traceback", "exception", "warn", "failed")
    return [line for line in proxy.lines if any(word in line.lower() for word in words)]


def shared_config(home: Path, **changes: dict[str, object]) -> None:
    """codemie.yaml with a section for every addon, every setting written out."""
    sections: dict[str, dict[str, object]] = {}
    for stem in STEMS:
        [addon] = importlib.import_module(stem).addons
        found = settings_of(stem, addon.Settings)
        sections[stem] = {setting.name: setting.resolve(Layers({})).value for setting in found}
        sections[stem] |= changes.get(stem, {})
    (home / "proxy").mkdir(parents=True, mode=0o700)
    # YAML reads JSON.
    (home / "proxy" / "codemie.yaml").write_text(json.dumps(sections, indent=2))


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("configured", [False, True], ids=["without-config", "with-shared-config"])
def test_each_addon_serves_a_request_alone(
    upstream: UpstreamThread, codemie_home: Path, stem: str, configured: bool
) -> None:
    if configured:
        shared_config(codemie_home)
    with reverse(upstream.url, scripts=[ADDONS / f"{stem}.py"]) as proxy:
        response = ask(proxy)
        assert proxy.stop() == 0
    assert response.status_code == 200
    assert response.json()["type"] == "message"
    assert only(upstream).json() == BODY
    assert f"is running with {stem}" in proxy.log
    assert complaints(proxy) == []


def test_an_addon_alone_takes_its_own_section_of_the_shared_config(
    upstream: UpstreamThread, codemie_home: Path
) -> None:
    shared_config(codemie_home, header_injection={"project": "apollo", "branch": "release/1"})
    with reverse(upstream.url, scripts=[ADDONS / "header_injection.py"]) as proxy:
        ask(proxy, **{"X-CodeMie-Project": "forged", "x_codemie_client": "forged"})
    received = only(upstream)
    sent = {name.lower(): value for name, value in received.headers}
    assert sent["x-codemie-project"] == "apollo"
    assert sent["x-codemie-branch"] == "release/1"
    assert "forged" not in sent.values()


def test_a_key_that_does_not_exist_stops_only_the_addon_it_is_for(upstream: UpstreamThread, codemie_home: Path) -> None:
    shared_config(codemie_home, local_endpoints={"blok_telemetry": True})
    with reverse(upstream.url, scripts=[ADDONS / "header_injection.py"]) as proxy:
        assert ask(proxy).status_code == 200
    mode = f"reverse:{upstream.url}"
    code, log = failing_start("--mode", mode, scripts=[ADDONS / "local_endpoints.py"])
    assert code != 0
    assert "local_endpoints has no key 'blok_telemetry'; did you mean 'block_telemetry'?" in log


@pytest.mark.parametrize("script", [BUNDLE, ADDONS / "local_endpoints.py"], ids=["bundle", "alone"])
def test_local_answers_need_no_upstream(script: Path) -> None:
    with reverse(f"http://127.0.0.1:{closed_port()}", scripts=[script]) as proxy:
        health = get(f"{proxy.url}/health?deep=1")
        head = get(f"{proxy.url}/healthz", method="HEAD")
        events = ask(proxy, "//api/event_logging/batch?source=cli")
        managed = get(f"{proxy.url}/code-assistant-api/v1/managed-settings?x=1")
    found = health.json()
    assert (health.status_code, found["status"], found["port"]) == (200, "ok", proxy.port)
    assert health.headers["cache-control"] == "no-store"
    assert (head.status_code, head.content) == (200, b"")
    assert (events.status_code, events.json()) == (200, {"success": True})
    assert (managed.status_code, managed.json()) == (200, {})


def test_health_names_every_addon_of_the_bundle_in_its_order() -> None:
    with reverse(f"http://127.0.0.1:{closed_port()}") as proxy:
        ask(proxy, Authorization="Bearer sk-ant-planted-000000")
        found = proxy.health()
    states = {addon["name"]: addon["state"] for addon in found["addons"]}
    assert list(states) == [type(addon).__module__ for addon in codemie.addons]
    assert set(states.values()) == {"active"}
    assert found["counters"]["attempts"]["failed"]["connect_failed"] >= 1
    assert found["counters"]["exchanges"]["upstream_error"] == 1
    assert "planted" not in json.dumps(found)


async def test_http2_clients_get_local_answers_too() -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    trusting.set_alpn_protocols(["h2"])
    with reverse(f"https://127.0.0.1:{closed_port()}") as proxy:
        async with Http2(proxy.port, trusting) as client:
            health = await client.ask("GET", "/health")
            head = await client.ask("HEAD", "/health")
            events = await client.ask("POST", "/api/event_logging/batch?x=1", body=b"{}")
    assert (health.status, health.ended) == (200, "complete")
    assert json.loads(health.body)["port"] == proxy.port
    assert (head.status, head.body, head.ended) == (200, b"", "complete")
    assert (events.status, events.body) == (200, b'{"success":true}')


def test_in_regular_mode_the_proxy_answers_for_itself_and_passes_the_rest_on(upstream: UpstreamThread) -> None:
    with Mitmproxy() as proxy:
        own = [
            get(f"{proxy.url}/health"),  # origin form
            get(f"{proxy.url}/health", proxy=proxy.url),  # absolute form
            get(f"http://localhost:{proxy.port}/healthz", proxy=proxy.url),
            ask(proxy, "/api/event_logging/batch"),
        ]
        assert [response.status_code for response in own] == [200, 200, 200, 200]
        assert own[1].json()["mode"] == ["regular"]
        assert upstream.upstream.requests == []
        get(f"{upstream.url}/health", proxy=proxy.url)
        get(f"{upstream.url}/v1/managed-settings", proxy=proxy.url)
    assert [request.path for request in upstream.upstream.requests] == ["/health", "/v1/managed-settings"]
