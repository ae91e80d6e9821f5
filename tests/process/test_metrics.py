"""Session metrics through a real proxy: from an agent's turn to CodeMie's API, and an end that nobody holds up."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest

from codemie_core.demo.script import Cut, Step
from support.codemie_backend import Arrived, CodemieBackend
from support.proxy import BUNDLE, Mitmproxy
from support.signing import sign_in, signing

PATIENCE = 60
"""Seconds for what comes for certain; a busy machine takes some."""
CODEMIE = {"x-claude-code-session-id": "a-session-of-claude-code"}


@pytest.fixture
def backend() -> Iterator[CodemieBackend]:
    with CodemieBackend() as running:
        yield running


@contextmanager
def proxy_of(backend: CodemieBackend, home: Path, **options: Any) -> Iterator[Mitmproxy]:
    home.mkdir(exist_ok=True)
    profile = {"provider": "ai-run-sso", "baseUrl": backend.api_url, "authMethod": "sso"}
    (home / "codemie-cli.config.json").write_text(json.dumps(profile))
    with signing(backend, scripts=(BUNDLE,), options=options) as proxy:
        # Its first round is over: what is counted from now on waits for the next.
        deadline = time.monotonic() + PATIENCE
        while details(proxy).get("last_sync_ms") is None:
            assert time.monotonic() < deadline, details(proxy)
            time.sleep(0.05)
        yield proxy


def details(proxy: Mitmproxy) -> dict[str, Any]:
    [addon] = [addon for addon in proxy.health()["addons"] if addon["name"] == "metrics_sync"]
    found: dict[str, Any] = addon["details"]
    return found


def hello(proxy: Mitmproxy) -> None:
    with anthropic.Anthropic(base_url=proxy.url, api_key="proxy-handled", max_retries=0, timeout=PATIENCE) as client:
        client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}], extra_headers=CODEMIE
        )


def posted(backend: CodemieBackend) -> list[Arrived]:
    return [request for request in backend.requests if request.path == "/v1/metrics"]


def records(home: Path) -> list[dict[str, Any]]:
    files = list((home / "sessions").glob("*_metrics.jsonl"))
    lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
    # One without its end is being written now.
    return [json.loads(line) for line in lines if line.endswith("\n")]


def written(home: Path, n: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + PATIENCE
    while len(found := records(home)) < n:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_a_turn_is_told_to_codemie_at_the_end(backend: CodemieBackend, codemie_home: Path) -> None:
    cookies = sign_in(backend)
    with proxy_of(backend, codemie_home) as proxy:
        hello(proxy)
        hello(proxy)
        assert {record["syncStatus"] for record in written(codemie_home, 2)} == {"pending"}
    [came] = posted(backend)
    assert came.signed
    metric = json.loads(came.body)
    assert metric["name"] == "codemie_cli_tool_usage_total"
    assert metric["attributes"]["session_id"] == "a-session-of-claude-code"
    assert {record["syncStatus"].strip() for record in records(codemie_home)} == {"synced"}
    kept = [path for path in codemie_home.rglob("*") if path.is_file() and path.parent.name != "credentials"]
    assert not [path for path in kept for cookie in cookies.values() if cookie.encode() in path.read_bytes()]
    assert not [cookie for cookie in cookies.values() if cookie in proxy.log]


def test_a_proxy_that_was_killed_leaves_it_to_the_next(backend: CodemieBackend, codemie_home: Path) -> None:
    sign_in(backend)
    with proxy_of(backend, codemie_home) as proxy:
        hello(proxy)
        written(codemie_home, 1)
        proxy.stop(signal.SIGKILL)
    assert posted(backend) == []
    with proxy_of(backend, codemie_home):
        backend.wait_until(lambda: bool(posted(backend)), PATIENCE)
    assert len(posted(backend)) == 1
    assert {record["syncStatus"].strip() for record in records(codemie_home)} == {"synced"}
    [file] = [path for path in (codemie_home / "sessions").glob("*.json")]
    assert json.loads(file.read_text())["status"] == "recovered"


def test_a_slow_api_does_not_hold_up_the_end(backend: CodemieBackend, codemie_home: Path) -> None:
    sign_in(backend)
    backend.answers["/v1/metrics"] = Step(cut=Cut.STALL)
    # Far from the five seconds after which the core cuts an addon off.
    with proxy_of(backend, codemie_home, codemie_metrics_sync_final_timeout="1s") as proxy:
        hello(proxy)
        written(codemie_home, 1)
        # A single attempt that hangs takes thirty.
        proxy.stop(timeout=25)
    assert "the next start sends them" in proxy.log
    assert "TimeoutError" not in proxy.log, "the addon was cut off by the core"
    assert {record["syncStatus"] for record in records(codemie_home)} == {"pending"}
    backend.answers.clear()
    # A machine that is slow enough has sent nothing before.
    before = len(posted(backend))
    with proxy_of(backend, codemie_home):
        backend.wait_until(lambda: len(posted(backend)) > before, PATIENCE)
    assert len({(came.body, came.header("x-codemie-request-id")) for came in posted(backend)}) == 1


def test_another_provider_has_no_metrics(backend: CodemieBackend, codemie_home: Path) -> None:
    sign_in(backend)
    with signing(backend, scripts=(BUNDLE,)) as proxy:
        hello(proxy)
        found = details(proxy)
    assert "not ai-run-sso" in found["off"]
    assert not (codemie_home / "sessions").exists()
    assert posted(backend) == []
