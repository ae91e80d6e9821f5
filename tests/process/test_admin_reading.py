"""What the admin API of a real proxy tells: every path, with a history, accounts and a stream in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from codemie_core.demo.script import Cut, Step
from support.access import until
from support.admin import Admin, admin_of
from support.history_cli import SESSION, keep, some_turns
from support.proxy import Mitmproxy, reverse
from support.scripted import Scripted
from support.shared import shared_proxy
from support.stored import StoredHome

ASK = {"model": "claude-sonnet-4-5", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
WHO = {"user-agent": "claude-cli/2.1", "x-claude-code-session-id": "c1"}
LIMITED = Step(status=429, headers=(("retry-after", "600"),))
GET = [
    *("/api/stats", "/api/analytics", "/api/analytics?range=1h&modelBreakdown=true&mode=cumulative"),
    *("/api/analytics/choices", "/api/requests", "/api/requests/detail", "/api/sessions", "/api/exchanges"),
    *("/api/agents", "/api/models", "/api/storage", "/api/system/info", "/health", "/health/ready", "/plugins"),
    *("/plugins/status", "/plugins/telemetry/health", "/plugins/telemetry/settings", "/plugins/codemie/settings"),
    *("/metrics", f"/api/sessions/{SESSION}", f"/api/sessions/{SESSION}/turns", f"/api/sessions/{SESSION}/account"),
]
MISSING = [
    *("/api/requests/nothing", "/api/requests/nothing/why", "/api/requests/payload/nothing", "/api/sessions/nothing"),
    *("/api/sessions/nothing/turns", "/api/sessions/nothing/account", "/api/exchanges/nothing"),
    *("/api/exchanges/nothing/why", "/plugins/nothing/health", "/plugins/nothing/settings"),
]


@dataclass(frozen=True)
class Running:
    """A proxy before two accounts, main and spare, with a history of two sessions."""

    upstream: Scripted
    proxy: Mitmproxy
    admin: Admin


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch, Scripted() as upstream:
        patch.setenv("CODEMIE_HOME", str(folder / ".codemie"))
        patch.setenv("CODEMIE_KEYRING", "0")
        keep(some_turns())
        home = StoredHome(folder / ".codemie")
        home.key("main", upstream.url, "planted-main", provider="anthropic-compatible")
        home.key("spare", upstream.url, "planted-spare", provider="anthropic-compatible", priority=1)
        options = {"codemie_usage_metering_payloads": True}
        mode = ("--mode", f"reverse:{upstream.url}")
        made = shared_proxy(folder, *mode, options=options, env={"CODEMIE_KEYRING": "0"})
        with made as proxy, admin_of(proxy) as admin:
            yield Running(upstream, proxy, admin)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """For tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("reading")) as found:
        yield found


def asked(proxy: Mitmproxy) -> httpx.Response:
    return httpx.post(f"{proxy.url}/v1/messages", json=ASK, headers=WHO, timeout=60)


def project(upstream: Scripted) -> str | None:
    """Of the newest request that came there."""
    return {name.lower(): value for name, value in upstream.requests[-1].headers}.get("x-codemie-project")


def newest(admin: Admin) -> dict[str, Any]:
    """The turn that was asked by us, once it is stored."""
    until(lambda: admin.get("/api/requests?limit=1").json()[0]["model"] == "claude-sonnet-4-5")
    [found] = admin.get("/api/requests?limit=1").json()
    return dict(found)


def test_every_path_answers_those_who_may_and_nobody_else(shared: Running) -> None:
    admin = shared.admin
    asked(shared.proxy)
    for path in GET:
        told = admin.get(path)
        assert told.status_code == 200, (path, told.text)
        assert told.content
    with admin.stranger() as stranger:
        for path in (*GET, *MISSING):
            assert stranger.get(path).status_code == 401, path
        assert stranger.patch("/plugins/telemetry", json={"enabled": False}).status_code == 401
        assert stranger.patch("/plugins/telemetry/settings", json={}).status_code == 401
        assert stranger.get("/health/live").json() == {"status": "ok"}
    for path in MISSING:
        told = admin.get(path)
        assert (told.status_code, told.headers["content-type"]) == (404, "application/problem+json"), path
        assert told.json()["detail"]


def test_a_request_that_moved_to_the_next_account_is_told_from_all_sides(tmp_path: Path) -> None:
    with running(tmp_path) as found:
        moved(found.proxy, found.upstream, found.admin)
        nobody_left(found.proxy, found.upstream, found.admin)


def moved(proxy: Mitmproxy, upstream: Scripted, admin: Admin) -> None:
    upstream.script_for("planted-main", then=LIMITED)
    assert asked(proxy).status_code == 200
    row = newest(admin)
    assert (row["accountUsed"], row["failoverAttempts"], row["agentUsed"]) == ("spare", 1, "claude")
    detail = admin.get(f"/api/requests/{row['id']}").json()
    assert [(one["account"], one["status"]) for one in detail["attempts"]] == [("main", 429), ("spare", 200)]
    why = admin.get(f"/api/exchanges/{row['id']}/why").json()
    assert why["remembered"]
    assert why["accountWhy"].startswith("moved: main is limited until")
    assert {one["name"]: one["state"] for one in why["accountsNow"]} == {"main": "limited", "spare": "in use"}
    assert any("with main: 429" in line for line in why["lines"])
    assert admin.get(f"/api/sessions/{row['sessionId']}/account").json()["account"] == "spare"
    ready = admin.get("/health/ready").json()["pool"]
    assert (ready["configured"], ready["routable"], ready["rate_limited"]) == (2, 1, 1)
    until(lambda: admin.get(f"/api/requests/payload/{row['id']}").status_code == 200)
    said = admin.get(f"/api/requests/payload/{row['id']}")
    assert json.loads(said.json()["request"]["body"])["model"] == "claude-sonnet-4-5"
    everything = "".join(admin.get(path).text for path in (*GET, f"/api/requests/{row['id']}"))
    assert "planted" not in everything + said.text


def nobody_left(proxy: Mitmproxy, upstream: Scripted, admin: Admin) -> None:
    """Unhealthy, with the time it ends."""
    upstream.script_for("planted-spare", then=LIMITED)
    asked(proxy)
    told = admin.get("/health/ready")
    assert (told.status_code, told.json()["condition"]) == (503, "unhealthy")
    assert told.json()["pool"]["next_available_at"] in told.json()["detail"]
    assert admin.get("/health").json()["status"] == "unhealthy"


def test_a_stream_is_there_while_it_is_open(shared: Running) -> None:
    proxy, upstream, admin = shared.proxy, shared.upstream, shared.admin
    upstream.script(then=Step(cut=Cut.STALL, after_events=3))
    streaming = httpx.stream("POST", f"{proxy.url}/v1/messages", json=ASK, headers=WHO, timeout=60)
    with streaming as stream:
        pieces = stream.iter_bytes()
        next(pieces)
        [told] = admin.get("/api/exchanges").json()["open"]
        assert (told["open"], told["model"], told["account"], told["status"]) == (
            *(True, "claude-sonnet-4-5", "main", 200),
        )
        why = admin.get(f"/api/exchanges/{told['id']}/why").json()
        assert "It is under way" in why["lines"][-1]
        metrics = {f.name: f for f in text_string_to_metric_families(admin.get("/metrics").text)}
        assert metrics["codemie_exchanges_open"].samples[0].value == 1
    until(lambda: admin.get("/api/exchanges").json()["open"] == [])
    upstream.script(then=None)
    ended = admin.get("/api/exchanges?limit=1").json()["items"][0]
    assert (ended["id"], ended["terminal"]) == (told["id"], "client_cancelled")


def test_a_setting_changed_here_counts_for_the_next_request_and_after_a_restart() -> None:
    payloads = {"codemie_usage_metering_payloads": True}
    with Scripted() as upstream:
        with reverse(upstream.url, options=payloads) as proxy, admin_of(proxy) as admin:
            change(proxy, upstream, admin)
        with reverse(upstream.url) as proxy, admin_of(proxy) as admin:
            asked(proxy)
            assert project(upstream) == "shop"
            states = {one["name"]: one["status"] for one in admin.get("/plugins").json()["plugins"]}
            assert (states["telemetry"], states["header_injection"]) == ("disabled", "active")
        variable = {"CODEMIE_HEADER_INJECTION_PROJECT": "tools"}
        with reverse(upstream.url, env=variable) as proxy, admin_of(proxy) as admin:
            asked(proxy)
            assert project(upstream) == "tools"
            assert admin.patch("/plugins/header_injection/settings", json={"project": "x"}).status_code == 409


def change(proxy: Mitmproxy, upstream: Scripted, admin: Admin) -> None:
    bad = admin.patch("/plugins/header_injection/settings", json={"project": "shop", "timeout_ms": -1})
    assert (bad.status_code, bad.headers["content-type"]) == (400, "application/problem+json")
    asked(proxy)
    assert project(upstream) is None
    good = admin.patch("/plugins/header_injection/settings", json={"project": "shop"})
    assert good.json()["values"]["project"] == "shop"
    asked(proxy)
    assert project(upstream) == "shop"
    off = admin.patch("/plugins/telemetry", json={"enabled": False})
    assert (off.status_code, off.json()["status"]) == (200, "disabled")
    pinned = admin.patch("/plugins/usage_metering/settings", json={"payloads": False})
    assert (pinned.status_code, pinned.json()["pinnedBy"]) == (409, "--set codemie_usage_metering_payloads")
    assert "header_injection.project: shop" in admin.get("/api/audit").text


def test_lists_go_on_where_the_link_says(shared: Running) -> None:
    admin = shared.admin
    seen: list[str] = []
    path = f"/api/requests?limit=2&sessions={SESSION}"
    while path:
        told = admin.get(path)
        seen += [row["id"] for row in told.json()]
        path = told.links.get("next", {}).get("url", "")
    assert len(seen) == len(set(seen)) == 3
    assert admin.get("/api/requests?cursor=nonsense").status_code == 400
    assert admin.get("/api/requests?since=5&until=5").status_code == 400
    assert admin.get("/api/requests?limit=0").status_code == 422


def test_the_api_describes_itself(shared: Running) -> None:
    paths = shared.admin.get("/openapi.json").json()["paths"]
    for path in ("/api/stats", "/api/analytics", "/api/requests/{request_id}/why", "/plugins/{name}/settings"):
        assert paths[path]["get"]["summary"]
        schema = paths[path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema
