"""Each scene notices when what it shows did not happen: here none of it does, because there is no proxy."""

from typing import Any

import httpx
import pytest

from codemie_core.demo import scenes, stage
from codemie_core.demo.script import Step
from codemie_core.demo.stage import SceneFailed, Stage
from codemie_core.demo.upstream import Upstream
from support.no_proxy import NoProxy, without_proxy


class Buffering(httpx.AsyncHTTPTransport):
    """Hands an answer on when all of it is there, as a proxy without streaming does."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(await answer.aread()))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PATIENCE", 0.1)
    monkeypatch.setattr(scenes, "INTERVAL", 0)


async def test_a_stream_that_is_held_back_is_noticed() -> None:
    async with without_proxy(Buffering()) as made:
        made.client.timeout = httpx.Timeout(60, read=0.3)
        with pytest.raises(SceneFailed, match="event 1 was sent and did not arrive"):
            await scenes.a_stream(made)


async def test_a_stream_that_is_not_held_back_is_fine() -> None:
    async with without_proxy() as made:
        await scenes.a_stream(made)


async def test_an_overload_that_reaches_the_client_is_noticed() -> None:
    async with without_proxy() as made:
        with pytest.raises(SceneFailed, match="the upstream was asked three times"):
            await scenes.an_overloaded_upstream(made)


async def test_an_upstream_that_is_down_for_the_client_too_is_noticed() -> None:
    async with without_proxy() as made:
        with pytest.raises(httpx.ConnectError):
            await scenes.an_upstream_that_is_down(made)


async def test_a_cut_that_nobody_counts_is_noticed() -> None:
    async with without_proxy() as made:
        with pytest.raises(SceneFailed, match="/health counts the exchange as truncated"):
            await scenes.a_cut_stream(made)


@pytest.mark.parametrize(
    "addons, problem",
    [
        ([{"name": "failing_addon", "state": "active", "error": None}], "/health names the addon"),
        ([], "/health names the addon"),
        (
            [
                {"name": "failing_addon", "state": "degraded", "error": "RuntimeError"},
                {"name": "local_endpoints", "state": "failed", "error": "RuntimeError"},
            ],
            "all others are active",
        ),
    ],
)
async def test_a_failing_addon_that_is_not_named_or_not_alone_is_noticed(
    addons: list[dict[str, Any]], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with without_proxy() as made:
        other = NoProxy(made.upstream.url, addons)
        monkeypatch.setattr(Stage, "another_proxy", lambda self, script: other)
        with pytest.raises(SceneFailed, match=problem):
            await scenes.a_failing_addon(made)


async def test_an_answer_that_a_failing_addon_changes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with without_proxy() as made, Upstream() as another:
        another.script(then=Step(body=b"something else"))
        monkeypatch.setattr(Stage, "another_proxy", lambda self, script: NoProxy(another.url))
        with pytest.raises(SceneFailed, match="the answer is the same with the addon"):
            await scenes.a_failing_addon(made)
