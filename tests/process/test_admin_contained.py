"""Whatever becomes of the admin plane, whoever streams does not notice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from codemie_core.demo.frames import sse
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from support import broken_admin
from support.admin import Admin, admin_of
from support.clients import Answer, Http1
from support.proxy import BUNDLE, Mitmproxy, reverse
from support.shared import shared_proxy

type Meanwhile = Callable[[], Awaitable[None]]

EVENTS = [sse(f'{{"n": {n}, "text": "Grüße"}}', "content_block_delta") for n in range(40)]
FAST = {"codemie_upstream_attempts_backoff": "1ms", "codemie_upstream_attempts_keepalive": "1h", "flow_detail": 0}
KINDS: list[dict[str, Any]] = [{}, {"encoding": "gzip"}, {"split": (5, 50, 51, 500)}]
STREAMS = 9
OWN = ("x-codemie-request-id", "date")
"""Headers that are another each time."""


async def streams(proxy: Mitmproxy, upstream: Upstream, meanwhile: Meanwhile) -> list[Answer]:
    """All that clients get of streams that were tried again, half of which comes after something has happened."""
    gates = [upstream.gate() for _ in range(STREAMS)]
    for number, gate in enumerate(gates):
        step = Step(events=EVENTS, gate=gate, **KINDS[number % len(KINDS)])
        upstream.script_for(f"stream-{number}", Step(status=503), step)

    async def one(number: int) -> Answer:
        async with Http1(proxy.port) as client:
            headers = [("x-api-key", f"stream-{number}"), ("connection", "close")]
            await client.send("POST", "/v1/messages", headers, b'{"model": "m", "stream": true}')
            answer = await client.read(await client.head())
            answer.headers = [field for field in answer.headers if field[0].lower() not in OWN]
            return answer

    async with asyncio.timeout(300), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(number)) for number in range(STREAMS)]
        for gate in gates:
            gate.release(len(EVENTS) // 2)
        await upstream.wait_until(lambda: all(gate.waiting for gate in gates), timeout=60)
        await meanwhile()
        for gate in gates:
            gate.open()
    return [task.result() for task in running]


async def nothing() -> None:
    """What happens to a proxy that nobody looks at."""


class Operators:
    """People and programs who ask for everything at once, while streams are open."""

    def __init__(self, admin: Admin, patience: float) -> None:
        self._admin, self._patience = admin, patience
        self.answers: set[int] = set()
        """The statuses they got; 0 for no answer in time, or none at all."""

    async def ask(self) -> None:
        """Every method of every path there is, and some pages."""
        headers = {"authorization": f"Bearer {self._admin.token}"}
        url = f"http://127.0.0.1:{self._admin.port}"
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, limits=limits) as client:
            known = await self._document(client)
            asked = [("GET", "/"), ("GET", "/accounts"), *known]
            self.answers = set(await asyncio.gather(*(self._one(client, *one) for one in asked)))

    async def _document(self, client: httpx.AsyncClient) -> list[tuple[str, str]]:
        try:
            paths = (await client.get("/openapi.json", timeout=120)).json()["paths"]
        except httpx.HTTPError:
            return []  # It could not be put together.
        known = [(method.upper(), re.sub("{.*?}", "x", path)) for path in paths for method in paths[path]]
        assert len(known) > 40
        return known

    async def _one(self, client: httpx.AsyncClient, method: str, path: str) -> int:
        try:
            body: dict[str, str] | None = None if method in ("GET", "HEAD") else {}
            return (await client.request(method, path, json=body, timeout=self._patience)).status_code
        except httpx.HTTPError:
            return 0


ANSWERING = ("raising", "unbuildable")
"""These fail at once, and the proxy knows."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Answer]:
    """The same streams through a proxy without an admin plane."""
    return asyncio.run(_without_admin(tmp_path_factory.mktemp("without")))


async def _without_admin(home: Path) -> list[Answer]:
    async with Upstream() as upstream:
        options = {**FAST, "codemie_hosts": "127.0.0.1", "codemie_disabled": "admin_server"}
        with shared_proxy(home, "--mode", f"reverse:{upstream.url}", options=options) as proxy:
            return await streams(proxy, upstream, nothing)


@pytest.mark.parametrize("way", broken_admin.WAYS)
async def test_streams_are_the_same_whatever_the_admin_plane_does(way: str, undisturbed: list[Answer]) -> None:
    scripts = (BUNDLE, broken_admin.SCRIPT)
    async with Upstream() as upstream:
        with (
            reverse(upstream.url, scripts=scripts, env=broken_admin.env(way), options=FAST) as proxy,
            admin_of(proxy) as admin,
        ):
            operators = Operators(admin, 120.0 if way in ANSWERING else 1.5)
            assert await streams(proxy, upstream, operators.ask) == undisturbed
            assert operators.answers == {500 if way == "raising" else 0}
            states = {addon["name"]: addon["state"] for addon in (await asyncio.to_thread(proxy.health))["addons"]}
            assert (states.pop("admin_server") == "degraded") == (way in ANSWERING)
            assert set(states.values()) == {"active"}
            # Less than a thread hangs, and time enough for a machine that has much else to do.
            assert await asyncio.to_thread(lambda: proxy.stop(timeout=broken_admin.STUCK_SECONDS / 2)) == 0
    assert {(answer.status, answer.ended) for answer in undisturbed} == {(200, "complete")}
    assert undisturbed[0].body == b"".join(EVENTS)


LOOKING = """
import logging, sys

class Looking:
    def done(self):
        heavy = {"fastapi", "uvicorn", "starlette", "nicegui", "socketio", "codemie_core.admin.plane"}
        logging.getLogger("looking").warning("loaded: %s", sorted(heavy & set(sys.modules)))

addons = [Looking()]
"""


@pytest.mark.parametrize("disabled", ["", "admin_server"])
async def test_of_a_plane_that_nobody_looks_at_nothing_is_loaded(disabled: str, tmp_path: Path) -> None:
    looking = tmp_path / "looking.py"
    looking.write_text(LOOKING)
    options = {**FAST, **({"codemie_disabled": disabled} if disabled else {})}
    async with Upstream() as upstream:
        with reverse(upstream.url, scripts=(BUNDLE, looking), options=options, fresh=True) as proxy:
            await streams(proxy, upstream, nothing)
            details = {one["name"]: one["details"] for one in (await asyncio.to_thread(proxy.health))["addons"]}
            assert bool(details["admin_server"].get("port")) is not bool(disabled)
            assert await asyncio.to_thread(proxy.stop) == 0
    proxy.wait_for_log(r"loaded: \[\]")
