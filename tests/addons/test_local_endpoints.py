"""What is answered on this machine, in process: which paths, in which mode, and what /health says."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import hooks, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow, tutils

from codemie_core import __version__, loading
from codemie_core.addon import Addon
from codemie_core.exchange import RUN_ID, exchange_of
from local_endpoints import LocalEndpoints
from upstream_attempts import UpstreamAttempts

REVERSE = "reverse:https://api.anthropic.com"
EVENTS = b'{"success":true}'


@asynccontextmanager
async def running(*addons: Addon, **options: Any) -> AsyncIterator[taddons.context]:
    """The addons at work beside mitmproxy's own server, which does not listen yet."""
    with taddons.context(Proxyserver()) as tctx:
        tctx.options.update(server=False)
        tctx.master.addons.add(*addons)
        for addon in addons:
            own = {name: value for name, value in options.items() if name.startswith(f"codemie_{addon.name}_")}
            tctx.configure(addon, **own)
        await tctx.master.addons.trigger_event(hooks.RunningHook())
        yield tctx
        await tctx.master.addons.trigger_event(hooks.DoneHook())


@asynccontextmanager
async def listening(tctx: taddons.context) -> AsyncIterator[int]:
    """The port that mitmproxy's server listens on meanwhile."""
    server = tctx.master.addons.get("proxyserver")
    tctx.options.update(listen_host="127.0.0.1", listen_port=0, server=True)
    assert await server.setup_servers()
    yield server.listen_addrs()[0][1]
    tctx.options.update(server=False)
    assert await server.setup_servers()


def request(
    path: str, method: str = "GET", mode: str = REVERSE, host: str = "api.anthropic.com", port: int = 443
) -> http.HTTPFlow:
    flow = tflow.tflow(
        req=tutils.treq(method=method.encode(), path=path.encode(), host=host, port=port, headers=http.Headers())
    )
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    flow.client_conn.sockname = ("127.0.0.1", 8080)
    return flow


async def answer(tctx: taddons.context, flow: http.HTTPFlow) -> http.Response | None:
    await tctx.master.addons.trigger_event(hooks.all_hooks["requestheaders"](flow))
    return flow.response


async def health(tctx: taddons.context, path: str = "/health") -> dict[str, Any]:
    response = await answer(tctx, request(path))
    assert response is not None
    assert response.content is not None
    found: dict[str, Any] = json.loads(response.content)
    return found


class Talkative(Addon, priority=50, name="talkative"):
    def health(self) -> Mapping[str, object]:
        return {"written": 3}


class TalksNonsense(Addon, priority=51, name="talks_nonsense"):
    def health(self) -> Mapping[str, object]:
        raise RuntimeError("this addon cannot say how it is")


@pytest.mark.parametrize("path", ["/health", "/healthz", "/health?deep=1", "/healthz?"])
async def test_health_says_how_the_proxy_is(path: str) -> None:
    async with running(LocalEndpoints()) as tctx:
        core = tctx.master.addons.get("codemie_core")
        found = await health(tctx, path)
        since = core.running_since
    assert found["status"] == "ok"
    assert found["port"] == 8080
    assert found["startedAt"].endswith("Z")
    assert datetime.fromisoformat(found["startedAt"]).timestamp() == pytest.approx(since, abs=0.001)
    assert found["version"] == __version__
    assert found["run_id"] == RUN_ID
    assert found["mode"] == ["regular"]
    assert set(found["counters"]) == {"exchanges", "attempts"}
    assert found["addons"] == [
        {
            "name": "local_endpoints",
            "version": "1.0.0",
            "priority": 5,
            "fail": "open",
            "state": "active",
            "error": None,
            "mishaps": {},
            "details": {},
        }
    ]


async def test_health_shows_what_an_addon_says_of_itself_and_survives_one_that_cannot() -> None:
    talkative, clumsy = Talkative(), TalksNonsense()
    async with running(LocalEndpoints(), talkative, clumsy) as tctx:
        found = {addon["name"]: addon for addon in (await health(tctx, "/health"))["addons"]}
        again = {addon["name"]: addon for addon in (await health(tctx, "/health"))["addons"]}
    assert found["talkative"]["details"] == {"written": 3}
    assert found["talks_nonsense"]["details"] == {}
    assert again["talks_nonsense"]["state"] == "degraded"


async def test_a_client_on_another_machine_learns_how_the_proxy_is_and_nothing_else() -> None:
    async with running(LocalEndpoints()) as tctx:
        flow = request("/health")
        flow.client_conn.peername = ("192.0.2.7", 40000)
        response = await answer(tctx, flow)
    assert response is not None
    assert response.content is not None
    assert json.loads(response.content) == {"status": "ok", "version": __version__}


@pytest.mark.parametrize("host, all_of_it", [("evil.test:8080", False), ("localhost:8080", True), ("", True)])
async def test_a_web_page_that_gave_its_name_this_address_learns_no_more(host: str, all_of_it: bool) -> None:
    async with running(LocalEndpoints()) as tctx:
        flow = request("/health")
        exchange_of(flow).asked_host = host
        response = await answer(tctx, flow)
    assert response is not None
    assert ("mode" in json.loads(response.content or b"")) is all_of_it


async def test_uptime_counts_from_the_start() -> None:
    before = time.time()
    async with running(LocalEndpoints(clock=lambda: time.time() + 90)) as tctx:
        shown = (await health(tctx))["uptime_seconds"]
    assert 90 <= shown <= time.time() - before + 91


async def test_health_is_json_that_nobody_caches() -> None:
    async with running(LocalEndpoints()) as tctx:
        response = await answer(tctx, request("/health"))
    assert response is not None
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


async def test_head_gets_the_headers_of_get_and_no_body() -> None:
    async with running(LocalEndpoints()) as tctx:
        response = await answer(tctx, request("/health", "HEAD"))
    assert response is not None
    assert response.raw_content == b""
    assert int(response.headers["content-length"]) > 100


@pytest.mark.parametrize(
    "path, method",
    [
        ("/health", "POST"),
        ("/Health", "GET"),
        ("/health/", "GET"),
        ("/healthy", "GET"),
        ("//health", "GET"),
        ("/code-assistant-api/health", "GET"),
        ("/v1/health", "GET"),
        ("/", "GET"),
        ("/v1/messages?beta=true", "POST"),
    ],
)
async def test_other_paths_go_on_to_the_upstream(path: str, method: str) -> None:
    async with running(LocalEndpoints()) as tctx:
        assert await answer(tctx, request(path, method)) is None


class Clumsy(Addon, priority=40, version="2.3.4", name="clumsy"):
    """Fails at every request."""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        raise ValueError("cannot use Authorization: Bearer sk-ant-planted-000")


async def test_an_addon_that_raises_shows_in_health_without_its_secrets() -> None:
    async with running(LocalEndpoints(), Clumsy()) as tctx:
        before = await health(tctx)
        after = await health(tctx)
    clumsy = after["addons"][1]
    assert before["status"] == "ok"
    assert after["status"] == "degraded"
    assert (clumsy["name"], clumsy["version"], clumsy["priority"]) == ("clumsy", "2.3.4", 40)
    assert clumsy["state"] == "degraded"
    assert clumsy["mishaps"] == {"requestheaders": 1}
    assert "ValueError" in clumsy["error"]
    assert "sk-ant-planted" not in json.dumps(after)


async def test_an_addon_that_could_not_be_imported_shows_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    left = loading.LeftOut("telemetry", "ImportError: token=planted-1234 is no module")
    monkeypatch.setattr(loading, "left_out", [left])
    async with running(LocalEndpoints()) as tctx:
        found = await health(tctx)
    assert found["status"] == "degraded"
    assert found["addons"][1]["name"] == "telemetry"
    assert found["addons"][1]["state"] == "failed"
    assert "ImportError" in found["addons"][1]["error"]
    assert "planted-1234" not in json.dumps(found)


async def test_an_addon_that_is_switched_off_is_disabled_and_no_trouble() -> None:
    async with running(LocalEndpoints(), Clumsy()) as tctx:
        core = tctx.master.addons.get("codemie_core")
        tctx.configure(core, codemie_disabled=["clumsy"])
        await health(tctx)
        found = await health(tctx)
    assert found["status"] == "ok"
    assert found["addons"][1]["state"] == "disabled"


async def test_credentials_in_a_mode_do_not_show() -> None:
    async with running(LocalEndpoints()) as tctx:
        tctx.options.update(mode=["reverse:https://planted-user@api.anthropic.com:443"])
        found = json.dumps(await health(tctx))
    assert "planted-user" not in found
    assert "api.anthropic.com" in found


TELEMETRY = [
    ("/api/event_logging/batch", EVENTS),
    ("//api/event_logging/batch", EVENTS),
    ("/API/Event_Logging/Batch", EVENTS),
    ("/managed-settings", b"{}"),
    ("/v1/managed-settings", b"{}"),
    ("/api/claude/managed-settings", b"{}"),
    ("/api/v1/managed-settings", b"{}"),
    ("/managed-settings/", b"{}"),
    ("/v1/managed-settings/policy", b"{}"),
    ("/managed-settings#top", b"{}"),
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("query", ["", "?source=cli&n=1"])
@pytest.mark.parametrize("prefix", ["", "/code-assistant-api"])
@pytest.mark.parametrize("path, body", TELEMETRY)
async def test_telemetry_and_managed_settings_are_answered_here(
    path: str, body: bytes, prefix: str, query: str, method: str
) -> None:
    async with running(LocalEndpoints()) as tctx:
        response = await answer(tctx, request(prefix + path + query, method))
    assert response is not None
    assert response.status_code == 200
    assert response.content == body
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    [
        "/api/event_logging/batch/",
        "/api/event_logging/batches",
        "///api/event_logging/batch",
        "/v1/api/event_logging/batch",
        "//managed-settings",
        "/managed-settingsx",
        "/v2/managed-settings",
        "/code-assistant-apix/managed-settings",
        "/other/managed-settings",
        "/v1/messages?next=/managed-settings",
    ],
)
async def test_paths_that_only_look_similar_go_on_to_the_upstream(path: str) -> None:
    async with running(LocalEndpoints()) as tctx:
        assert await answer(tctx, request(path, "POST")) is None


@pytest.mark.parametrize("sent", ["/api/event_logging/batch", "/gateway/v2/api/event_logging/batch"])
async def test_a_target_path_stands_before_them_or_not(sent: str) -> None:
    addons = UpstreamAttempts(), LocalEndpoints()
    async with running(*addons, codemie_upstream_attempts_target_path="/gateway/v2") as tctx:
        flow = request(sent, "POST")
        response = await answer(tctx, flow)
    assert flow.request.path == sent
    assert response is not None
    assert response.content == EVENTS


async def test_nothing_connects_before_there_is_an_answer() -> None:
    async with running(LocalEndpoints()) as tctx:
        assert tctx.options.connection_strategy == "lazy"


async def test_the_path_of_the_profiles_base_url_stands_before_them_or_not(codemie_home: Path) -> None:
    codemie_home.mkdir()
    profile = {"provider": "litellm", "baseUrl": "https://llm.example.com/gate"}
    (codemie_home / "codemie-cli.config.json").write_text(json.dumps(profile))
    async with running(LocalEndpoints()) as tctx:
        assert await answer(tctx, request("/gate/v1/managed-settings")) is not None


async def test_telemetry_passes_when_the_operator_wants_it_to() -> None:
    async with running(LocalEndpoints(), codemie_local_endpoints_block_telemetry=False) as tctx:
        assert await answer(tctx, request("/api/event_logging/batch", "POST")) is None
        assert await answer(tctx, request("/health")) is not None


@pytest.mark.parametrize("path", ["/health", "/api/event_logging/batch"])
@pytest.mark.parametrize(
    "host, own_port, answered",
    [
        ("127.0.0.1", True, True),
        ("localhost", True, True),
        ("LocalHost.", True, True),
        ("::1", True, True),
        ("127.0.0.1", False, False),  # some other server of this machine
        ("api.anthropic.com", True, False),
        ("example.org", True, False),
    ],
)
async def test_in_regular_mode_only_what_is_addressed_to_the_proxy_is_answered(
    path: str, host: str, own_port: bool, answered: bool
) -> None:
    async with running(LocalEndpoints()) as tctx, listening(tctx) as port:
        port = port if own_port else 1
        flow = request(path, mode="regular", host=host, port=port)
        assert (await answer(tctx, flow) is not None) is answered


async def test_an_answer_given_by_someone_else_stays() -> None:
    async with running(LocalEndpoints()) as tctx:
        flow = request("/health")
        flow.response = given = tutils.tresp()
        assert await answer(tctx, flow) is given


async def test_switched_off_it_answers_nothing() -> None:
    async with running(LocalEndpoints()) as tctx:
        tctx.configure(tctx.master.addons.get("codemie_core"), codemie_disabled=["local_endpoints"])
        assert await answer(tctx, request("/health")) is None
