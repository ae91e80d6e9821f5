"""The log of a real proxy: complete in good times, and in bad times nothing that a stream would notice."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import sse
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from support import logged, misbehaving
from support.clients import Answer, Http1
from support.logged import Entry, count, written
from support.proxy import BUNDLE, Mitmproxy, reverse

EVENTS = [sse(f'{{"n": {n}}}', "content_block_delta") for n in range(25)]
BODY = b"".join(EVENTS)
PATH = "/v1/messages"
ASK = json.dumps({"model": "claude-opus-4", "stream": True}).encode()
QUICK = {"codemie_upstream_attempts_backoff": "1ms", "flow_detail": 0}
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NEEDS_ROOT = pytest.mark.skipif(not ROOT or not shutil.which("mount"), reason="mounting a small disk needs root")


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as running:
        running.script(then=Step(events=EVENTS))
        yield running


def of(found: list[Entry], kind: str) -> list[Entry]:
    return [entry for entry in found if entry.kind == kind]


async def asked(proxy: Mitmproxy, times: int = 1, path: str = PATH) -> list[Answer]:
    async with Http1(proxy.port) as client:
        return [await client.ask("POST", path, [("content-type", "application/json")], ASK) for _ in range(times)]


async def test_a_stream_is_told_from_its_request_to_its_end(upstream: Upstream, codemie_home: Path) -> None:
    with reverse(upstream.url, options=QUICK) as proxy:
        (answer,) = await asked(proxy, path=f"{PATH}?beta=true&key=planted")
        found = await written(codemie_home, count("proxy-access", 1))
        details = next(addon for addon in proxy.health()["addons"] if addon["name"] == "request_log")
    assert answer.body == BODY
    own = [entry for entry in found if entry.owner != "system"]
    assert [entry.kind for entry in own] == [
        *("proxy-request", "proxy-response-headers", "proxy-streaming", "proxy-streaming"),
        *("proxy-response", "proxy-complete", "proxy-access"),
    ]
    assert len({entry.request_id for entry in own}) == 1
    assert own[0].words == f"POST {PATH}?beta=true&key=[redacted]"
    assert own[0].args["x-codemie-session-id"] == own[0].args["sessionId"]
    access = own[-1].args
    assert (access["model"], access["path"], access["status"], access["end"]) == (
        *("claude-opus-4", PATH, "200", "complete"),
    )
    assert (access["attempts"], access["bytes_in"], access["bytes_out"]) == ("1", str(len(ASK)), str(len(BODY)))
    assert int(access["first_byte_ms"]) <= int(access["total_ms"])
    for file in (codemie_home / "logs").iterdir():  # at midnight there are two
        assert re.fullmatch(r"debug-\d{4}-\d\d-\d\d\.log", file.name)
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert details["state"] == "active"
    assert details["details"]["written"] >= 5


async def test_what_went_wrong_is_told_with_every_attempt(upstream: Upstream, codemie_home: Path) -> None:
    with reverse(upstream.url, options=QUICK) as proxy:
        upstream.script(Step(status=503), Step(cut=Cut.RESET), then=Step(events=EVENTS))
        await asked(proxy)
        upstream.script(Step(events=EVENTS, cut=Cut.RESET, after_events=3), then=Step(status=503))
        await asked(proxy)
        await asked(proxy)
        found = await written(codemie_home, count("proxy-access", 3))
    mended, cut, failed = of(found, "proxy-error")
    assert (mended.level, mended.words.partition(":")[0]) == ("WARN", "NetworkError")
    assert [(one["number"], one["reason"], one["status"]) for one in mended.args["attempts"]] == [
        (1, "status", 503),
        (2, "reset", None),
        (3, None, 200),
    ]
    assert {one["port"] for one in mended.args["attempts"]} == {upstream.port}
    assert (cut.level, cut.args["end"]) == ("ERROR", "truncated")
    assert (failed.level, failed.words, len(failed.args["attempts"])) == ("ERROR", "UpstreamError: status", 3)
    ends = [(entry.args["end"], entry.args["attempts"]) for entry in of(found, "proxy-access")]
    assert ends == [("complete", "3"), ("truncated", "1"), ("upstream_error", "3")]


async def test_an_upstream_that_is_gone_and_a_client_that_leaves_are_told_apart(
    upstream: Upstream, codemie_home: Path
) -> None:
    with reverse(f"http://127.0.0.1:{closed_port()}", options=QUICK) as proxy:
        assert (await asked(proxy))[0].status == 502
        await written(codemie_home, count("proxy-access", 1))
    with reverse(upstream.url, options=QUICK) as proxy:
        upstream.script(Step(events=EVENTS, gate=upstream.gate()))
        async with Http1(proxy.port) as client:
            await client.send("POST", PATH, body=ASK)
            await client.head()
            await client.chunk()
        found = await written(codemie_home, count("proxy-access", 2))
    assert [entry.args["end"] for entry in of(found, "proxy-access")] == ["upstream_error", "client_cancelled"]
    (error,) = of(found, "proxy-error")
    assert error.words.startswith("NetworkError: connect_failed")


async def test_compressed_bodies_are_told_in_the_clear_when_bodies_are_asked_for(
    upstream: Upstream, codemie_home: Path
) -> None:
    options = {**QUICK, "codemie_request_log_bodies": True}
    with reverse(upstream.url, options=options) as proxy:
        for encoding in ("gzip", "br", "zstd"):
            upstream.script(Step(events=EVENTS, encoding=encoding))
            await asked(proxy)
        await asked(proxy, path="/v1/metrics")
        found = await written(codemie_home, count("proxy-access", 4))
    *packed, sync = of(found, "proxy-response")
    for entry in packed:
        body = entry.args["body"]
        assert (body["eventCount"], body["bodySizeBytes"]) == (len(EVENTS), len(BODY))
        assert body["firstEvents"][:2] == ["event: content_block_delta", 'data: {"n": 0}']
    assert of(found, "proxy-request")[0].args["body"] == ASK.decode()
    assert sync.args["body"] == of(found, "proxy-request")[-1].args["body"] == "[omitted: session sync payload]"


async def test_bodies_are_left_out_by_default(upstream: Upstream, codemie_home: Path) -> None:
    with reverse(upstream.url, options=QUICK) as proxy:
        await asked(proxy)
        await written(codemie_home, count("proxy-access", 1))
    assert "content_block_delta" not in logged.log_of(codemie_home)


async def test_the_end_of_the_proxy_writes_what_is_left(upstream: Upstream, codemie_home: Path) -> None:
    with reverse(upstream.url, options=QUICK) as proxy:
        async with AsyncExitStack() as stack:
            upstream.script(*[Step(events=EVENTS, gate=upstream.gate())] * 3, then=Step(events=EVENTS))
            for _ in range(3):
                client = await stack.enter_async_context(Http1(proxy.port))
                await client.send("POST", PATH, body=ASK)
                await client.head()
                await client.chunk()
            await asked(proxy, 20)
            assert await asyncio.to_thread(proxy.stop) == 0
    ends = [entry.args["end"] for entry in of(logged.entries(logged.log_of(codemie_home)), "proxy-access")]
    assert sorted(ends) == ["complete"] * 20 + ["proxy_stopped"] * 3


@pytest.mark.parametrize("shown", [True, False])
async def test_the_terminal_shows_it_when_codemie_debug_says_so(
    upstream: Upstream, codemie_home: Path, shown: bool
) -> None:
    with reverse(upstream.url, options=QUICK, env={"CODEMIE_DEBUG": "1"} if shown else {}) as proxy:
        await asked(proxy)
        await written(codemie_home, count("proxy-access", 1))
        if shown:
            proxy.wait_for_log(r"\[DEBUG\] .*\[proxy-request\] POST /v1/messages")
            proxy.wait_for_log(r"\[INFO\] .*\[proxy-access\] request_id=")
    assert ("[proxy-" in proxy.log) == shown


async def test_of_hosts_that_are_not_ours_nobody_reads_what_was_asked(upstream: Upstream, codemie_home: Path) -> None:
    with Mitmproxy(options=QUICK) as proxy:
        await asked(proxy, path=f"http://127.0.0.1:{upstream.port}/planted?planted=1")
        found = await written(codemie_home, count("proxy-access", 1))
    (access,) = (entry for entry in found if entry.kind)
    assert (access.args["host"], access.args["path"], access.args["status"]) == ("127.0.0.1", "-", "200")
    assert "planted" not in logged.log_of(codemie_home)


async def test_what_the_proxy_complains_about_stands_in_the_log_too(upstream: Upstream, codemie_home: Path) -> None:
    scripts = (BUNDLE, misbehaving.SCRIPT)
    with reverse(upstream.url, options=QUICK, scripts=scripts, env=misbehaving.env("sync")) as proxy:
        await asked(proxy)
        found = await written(codemie_home, lambda found: any(entry.level == "ERROR" for entry in found))
    complaints = {entry.words for entry in found if entry.owner == "system" and entry.level == "ERROR"}
    assert any("misbehaving failed in request: RuntimeError" in words for words in complaints)


async def test_a_killed_proxy_leaves_whole_records_and_the_next_one_goes_on(
    upstream: Upstream, codemie_home: Path
) -> None:
    options = {**QUICK, "codemie_request_log_bodies": True, "codemie_request_log_every": 1}
    for _ in range(3):
        with reverse(upstream.url, options=options) as proxy:
            load = [asyncio.get_running_loop().create_task(asked(proxy, 1000)) for _ in range(4)]
            before = len(of(logged.entries(logged.log_of(codemie_home)), "proxy-access"))
            await written(codemie_home, count("proxy-access", before + 50))
            # Stopped, it is in no write: how much of one is done when it is killed is for the kernel to say.
            proxy.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.1)
            proxy.process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(proxy.process.wait)
            await asyncio.gather(*load, return_exceptions=True)
    assert logged.log_of(codemie_home).endswith("\n")
    assert len(of(logged.entries(logged.log_of(codemie_home)), "proxy-access")) >= 150


async def test_two_proxies_and_codemie_itself_write_to_one_file(upstream: Upstream, codemie_home: Path) -> None:
    with reverse(upstream.url, options=QUICK) as one, reverse(upstream.url, options=QUICK) as other:
        await asyncio.gather(*(asked(proxy, 50) for proxy in (one, other) for _ in range(2)))
        await written(codemie_home, count("proxy-access", 200))
        *_, file = sorted((codemie_home / "logs").iterdir())
        with file.open("a") as theirs:
            theirs.write("[2026-01-31T09:30:00.125Z] [INFO] [claude] [session] a line of CodeMie's own\n")
        await asked(one)
        found = await written(codemie_home, count("proxy-access", 201))
    by_request: dict[str, list[str]] = {}
    for entry in found:
        if entry.kind and entry.kind != "proxy-streaming":
            by_request.setdefault(entry.request_id, []).append(entry.kind)
    order = ["proxy-request", "proxy-response-headers", "proxy-response", "proxy-complete", "proxy-access"]
    assert len(by_request) == 201
    assert all(kinds == order for kinds in by_request.values())


@contextmanager
def small_disk(folder: Path, options: str = "size=64k") -> Iterator[None]:
    """A file system of its own in this place."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)), check=False)
    if mounted.returncode:
        pytest.skip("this machine mounts nothing, not even for root")
    try:
        yield
    finally:
        subprocess.run(("umount", "-l", str(folder)), check=True)


def state_of_log(proxy: Mitmproxy) -> dict[str, Any]:
    found: dict[str, Any] = next(addon for addon in proxy.health()["addons"] if addon["name"] == "request_log")
    return found


async def streams_arrive_whole(proxy: Mitmproxy, upstream: Upstream, words: str) -> None:
    """One stream is open while the log fails; it and others after it are untouched, and one warning says so."""
    gate = upstream.gate()
    upstream.script(Step(events=EVENTS, gate=gate), then=Step(events=EVENTS))
    async with Http1(proxy.port) as client:
        await client.send("POST", PATH, body=ASK)
        head = await client.head()
        assert await client.chunk() == EVENTS[0]
        for _ in range(3):
            assert {(answer.body, answer.ended) for answer in await asked(proxy, 20)} == {(BODY, "complete")}
        await asyncio.to_thread(proxy.wait_for_log, f"cannot be written .*{words}")
        assert {answer.body for answer in await asked(proxy, 20)} == {BODY}
        gate.open()
        assert (await client.read(head)).body == b"".join(EVENTS[1:])
    told = await asyncio.to_thread(state_of_log, proxy)
    assert told["state"] == "degraded"
    assert words in told["error"]
    assert told["details"]["lost"] > 0
    assert proxy.log.count("cannot be written") == 1
    assert "Traceback" not in proxy.log


@NEEDS_ROOT
async def test_a_disk_that_fills_up_touches_no_stream(upstream: Upstream, codemie_home: Path) -> None:
    with small_disk(codemie_home / "logs"), reverse(upstream.url, options=QUICK) as proxy:
        await streams_arrive_whole(proxy, upstream, "No space left on device")
        assert (codemie_home / "logs").stat()
        assert sum(file.stat().st_size for file in (codemie_home / "logs").iterdir()) > 32 * 1024


async def test_a_device_that_is_full_touches_no_stream(upstream: Upstream, codemie_home: Path) -> None:
    (codemie_home / "logs").mkdir(parents=True)
    now = datetime.now(UTC)
    for day in (now, now + timedelta(days=1)):  # which may begin before the test has ended
        (codemie_home / "logs" / f"debug-{day:%F}.log").symlink_to("/dev/full")
    with reverse(upstream.url, options=QUICK) as proxy:
        await streams_arrive_whole(proxy, upstream, "No space left on device")


@NEEDS_ROOT
async def test_a_folder_on_a_read_only_disk_touches_no_stream(upstream: Upstream, codemie_home: Path) -> None:
    with small_disk(codemie_home / "logs", "ro"), reverse(upstream.url, options=QUICK) as proxy:
        await streams_arrive_whole(proxy, upstream, "Read-only file system")


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
async def test_a_folder_without_permission_touches_no_stream(upstream: Upstream, codemie_home: Path) -> None:
    (codemie_home / "logs").mkdir(parents=True, mode=0o500)
    with reverse(upstream.url, options=QUICK) as proxy:
        await streams_arrive_whole(proxy, upstream, "Permission denied")


async def test_a_file_in_the_place_of_the_folder_touches_no_stream(upstream: Upstream, codemie_home: Path) -> None:
    codemie_home.mkdir()
    (codemie_home / "logs").write_text("not a folder")
    with reverse(upstream.url, options=QUICK) as proxy:
        await streams_arrive_whole(proxy, upstream, "File exists")


async def test_a_folder_that_vanishes_is_made_again_while_streams_go_on(upstream: Upstream, codemie_home: Path) -> None:
    with reverse(upstream.url, options=QUICK) as proxy:
        await asked(proxy)
        await written(codemie_home, count("proxy-access", 1))
        shutil.rmtree(codemie_home / "logs")
        assert (await asked(proxy))[0].body == BODY
        found = await written(codemie_home, count("proxy-access", 1))
    assert len(of(found, "proxy-access")) == 1
    assert "cannot be written" not in proxy.log


def test_it_runs_alone(codemie_home: Path) -> None:
    with Mitmproxy(scripts=(BUNDLE.parent / "request_log.py",)) as proxy:
        assert "is running with request_log" in proxy.log
