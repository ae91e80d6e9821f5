"""The admin addon, in process and without its pages: when it listens, what it loads, what it hears."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import exceptions, hooks, http
from mitmproxy.proxy.layers.http import HttpRequestHook
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow, tutils

import admin_server
from admin_server import WHILE_WATCHED, AdminServer, missing
from codemie_core.addon import State
from codemie_core.core_addon import core_of
from codemie_core.demo.absent import closed_port
from codemie_core.exchange import BOOK, ExchangeDoneHook, Terminal
from codemie_core.recorded import UsageRecordedHook
from support.cli import environ
from support.records import new_record

HEAVY = ("uvicorn", "fastapi", "starlette", "nicegui", "sqlalchemy")


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[AdminServer, taddons.context]]:
    addon = AdminServer(pages=False)
    with taddons.context(addon) as tctx:
        tctx.configure(addon, **{f"codemie_admin_server_{name}": value for name, value in options.items()})
        await tctx.master.addons.trigger_event(hooks.RunningHook())
        yield addon, tctx
        await addon.finish(within=60.0)
        core_of(addon).running_since = None


def flow_of(path: bytes = b"/v1/messages", body: bytes = b'{"model":"m-1","stream":true}') -> http.HTTPFlow:
    flow = tflow.tflow(req=tutils.treq(method=b"POST", path=path, content=body))
    flow.client_conn.proxy_mode = ProxyMode.parse("reverse:https://api.anthropic.com")
    return flow


def port_of(addon: AdminServer) -> int:
    port = addon.health()["port"]
    assert isinstance(port, int)
    return port


async def get(port: int, path: str, token: str = "", host: str = "127.0.0.1") -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}", headers={**headers, "host": host})


def test_loading_it_loads_no_web_library() -> None:
    code = f"import sys, admin_server; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ())
    assert done.stdout.strip() == "[]"


async def test_it_listens_at_once_and_tells_where(codemie_home: Path) -> None:
    async with running() as (addon, _):
        port, core = port_of(addon), core_of(addon)
        assert addon.health() == {"port": port, "loaded": False, "watching": 0}
        assert core.admin_port == port
        [entry] = (codemie_home / "proxy" / "run").glob("*.json")
        assert json.loads(entry.read_bytes())["admin_port"] == port
        token = (codemie_home / "proxy" / "admin.token").read_text("ascii").strip()
        assert (await get(port, "/health/live")).status_code == 200
        assert (await get(port, "/api/logs/history")).status_code == 401
        assert (await get(port, "/api/logs/history", token)).status_code == 200
        assert addon.health()["loaded"] is True
    assert core.admin_port is None


async def test_switched_off_the_port_is_closed_and_on_again_it_is_another_way_in(codemie_home: Path) -> None:
    async with running(port=closed_port()) as (addon, _):
        first = port_of(addon)
        assert (await get(first, "/health/live")).status_code == 200
        addon.status.enabled = False
        await addon.finish(within=60.0)
        with pytest.raises(httpx.ConnectError):
            await get(first, "/health/live")
        addon.switch(True)
        token = (codemie_home / "proxy" / "admin.token").read_text("ascii").strip()
        history = (await get(port_of(addon), "/api/logs/history", token)).json()
        assert isinstance(history, list)
        assert (await get(port_of(addon), "/api/stats", token)).status_code == 200


async def test_a_port_can_be_asked_for() -> None:
    wanted = closed_port()
    async with running(port=wanted) as (addon, _):
        assert port_of(addon) == wanted


async def test_a_port_that_is_taken_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = taken.getsockname()[1]
        async with running(port=wanted) as (addon, _):
            assert port_of(addon) != wanted
            assert (await get(port_of(addon), "/health/live")).status_code == 200
    assert f"codemie_admin_server_port: port {wanted} cannot be had" in caplog.text


async def test_names_count_at_once_and_must_be_names() -> None:
    async with running() as (addon, tctx):
        assert (await get(port_of(addon), "/health/live", host="proxy.example")).status_code == 421
        tctx.configure(addon, codemie_admin_server_names=["proxy.example"])
        assert (await get(port_of(addon), "/health/live", host="proxy.example")).status_code == 200
        with pytest.raises(exceptions.OptionsError, match="codemie_admin_server_names"):
            tctx.configure(addon, codemie_admin_server_names=["http://x/y"])


async def test_another_port_counts_from_the_next_start_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with running() as (addon, tctx):
        port = port_of(addon)
        tctx.configure(addon, codemie_admin_server_port=1 if port != 1 else 2)
        assert port_of(addon) == port
        assert f"from the next start on; until then it is {port}" in caplog.text


async def test_a_token_that_cannot_be_read_leaves_the_proxy_without_its_pages(codemie_home: Path) -> None:
    (codemie_home / "proxy").mkdir(parents=True, mode=0o700)
    (codemie_home / "proxy" / "admin.token").write_text("short")
    async with running() as (addon, _):
        assert addon.status.state is State.DEGRADED
        assert "holds no token; remove it" in str(addon.status.error)
        assert addon.health()["port"] is None


async def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_server, "LIBRARIES", ("no_such_library", "json"))
    async with running() as (addon, _):
        assert addon.status.state is State.ACTIVE
        assert addon.health() == {"problem": "it needs no_such_library: pip install 'codemie-proxy[admin]'"}
        assert core_of(addon).admin_port is None


def test_what_is_there_is_not_missing() -> None:
    assert missing(("json", "asyncio")) == ""


async def test_hooks_of_the_live_view_are_there_only_while_somebody_watches() -> None:
    async with running() as (addon, _):
        assert [getattr(addon, hook) for hook in WHILE_WATCHED] == [None, None]
        with addon.hub.subscribe():
            assert all(getattr(addon, hook) for hook in WHILE_WATCHED)
        assert [getattr(addon, hook) for hook in WHILE_WATCHED] == [None, None]


async def test_who_watches_sees_a_request_begin_end_and_be_counted() -> None:
    async with running() as (addon, tctx):
        with addon.hub.subscribe() as events:
            flow = flow_of()
            exchange = BOOK.of(flow)
            await tctx.master.addons.trigger_event(HttpRequestHook(flow))
            exchange.end(Terminal.COMPLETE)
            await tctx.master.addons.trigger_event(ExchangeDoneHook(exchange))
            await tctx.master.addons.trigger_event(UsageRecordedHook(new_record()))
            seen = await events.take(60) or []
        assert [event.type for event in seen if event.request.id == exchange.request_id] == ["start", "summary"]
        assert seen[0].request.model == "m-1"
        assert len(seen) == 3


async def test_what_ended_last_is_remembered_whether_anybody_watches_or_not() -> None:
    async with running() as (addon, tctx):
        exchange = BOOK.of(flow_of())
        await tctx.master.addons.trigger_event(ExchangeDoneHook(exchange))
        assert len(addon.recent) == 1
