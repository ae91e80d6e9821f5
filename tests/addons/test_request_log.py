"""The log, in process: which event makes which record, and what never gets into one."""

import asyncio
import gzip
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import taddons, tutils

from codemie_core import refusal
from codemie_core.addon import State
from codemie_core.errors import Problem
from codemie_core.exchange import exchange_of
from codemie_core.logs import log_writer
from codemie_core.logs.log_file import DAY
from request_log import RequestLog
from support import core_room, logged
from support.core_room import Room, request
from support.logged import Entry

BODY = json.dumps({"model": "claude-opus-4", "messages": ["hello"]}).encode()
HEADERS = (
    (b"content-type", b"application/json"),
    (b"user-agent", b"claude-cli/2.1.0 (external, cli)"),
    (b"authorization", b"Bearer planted-authorization"),
    (b"cookie", b"session=planted-cookie"),
    (b"x-forwarded-for", b"planted-address"),
    (b"x-codemie-client", b"codemie-claude"),
    (b"x-codemie-request-id", b"planted-id"),
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "PAUSE", 0.0)


class Log:
    """A proxy with the addon at work, and what it has written once it has stopped."""

    def __init__(self, room: Room, home: Path) -> None:
        self.room, self._home = room, home

    async def read(self) -> list[Entry]:
        addon = self.room.addons[0]
        await addon.finish(60)
        return logged.entries(logged.log_of(self._home)) if (self._home / "logs").is_dir() else []

    async def turn(self, flow: http.HTTPFlow, response: http.Response | None = None, *chunks: bytes) -> None:
        """A whole exchange that streams."""
        await self.room.fire("requestheaders", flow)
        await self.room.fire("request", flow)
        exchange = exchange_of(flow)
        exchange.streamed = True
        exchange.request_bytes = len(flow.request.raw_content or b"")
        flow.response = response or flow.response or tutils.tresp(content=b"")
        await self.room.fire("responseheaders", flow)
        for chunk in chunks:
            exchange.response_bytes += len(chunk)
            exchange.chunks += 1
            if exchange.chunks == exchange.chunk_mark:
                exchange.mark()
            if callable(flow.response.stream):
                flow.response.stream(chunk)
        await self.room.fire("response", flow)


@pytest.fixture
def home(codemie_home: Path) -> Path:
    return codemie_home


@asynccontextmanager
async def log(home: Path, **options: Any) -> AsyncIterator[Log]:
    own = {f"codemie_request_log_{name}": value for name, value in options.items() if not name.startswith("codemie_")}
    others = {name: value for name, value in options.items() if name.startswith("codemie_")}
    async with core_room.running(RequestLog()) as room:
        room.options.update(**own, **others)
        yield Log(room, home)


def ask(content: bytes = BODY, path: bytes = b"", **kwargs: Any) -> http.HTTPFlow:
    flow = request(headers=http.Headers(HEADERS), content=content, **kwargs)
    flow.request.data.path = path or flow.request.data.path
    return flow


def reply(content_type: str = "application/json", **headers: str) -> http.Response:
    fields = {"content_type": content_type, **headers}
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return tutils.tresp(headers=http.Headers(pairs), content=b"")


async def test_an_exchange_is_told_from_its_request_to_its_end(home: Path) -> None:
    async with log(home, every=2) as running:
        await running.turn(ask(path=b"/v1/messages?beta=true"), reply(), b"one", b"two", b"three", b"four")
        found = await running.read()
    assert [entry.kind for entry in found] == [
        *("proxy-request", "proxy-response-headers", "proxy-streaming", "proxy-streaming"),
        *("proxy-response", "proxy-complete", "proxy-access"),
    ]
    assert len({entry.request_id for entry in found}) == 1
    asked, head, *streaming = found[:4]
    assert asked.words == "GET /v1/messages?beta=true"
    assert [entry.args["chunk"] for entry in streaming] == [2, 4]
    assert [entry.args["bytes"] for entry in streaming] == [6, 15]
    assert (head.args["statusCode"], head.args["contentType"]) == (200, "application/json")
    access = found[-1].args
    assert (access["model"], access["end"], access["status"]) == ("claude-opus-4", "complete", "200")
    assert (access["bytes_in"], access["bytes_out"]) == (str(len(BODY)), "15")


async def test_of_the_headers_only_a_few_harmless_ones_are_told(home: Path) -> None:
    async with log(home) as running:
        await running.turn(ask(), reply(set_cookie="session=planted"))
        found = await running.read()
    assert {name: value for name, value in found[0].args.items() if name not in ("requestId", "sessionId")} == {
        "agent": "claude",
        "profile": "default",
        "model": "claude-opus-4",
        "contentType": "application/json",
        "userAgent": "claude-cli/2.1.0",
        "x-codemie-client": "codemie-claude",
        "bodySize": len(BODY),
    }
    assert "planted" not in logged.log_of(home)


@pytest.mark.parametrize("every", [0, 3])
async def test_no_observer_is_needed_for_any_of_it(home: Path, every: int) -> None:
    async with log(home, every=every) as running:
        flow = ask()
        await running.turn(flow, reply(), *[b"chunk"] * 7)
        assert exchange_of(flow).observers == []
        found = await running.read()
    assert sum(entry.kind == "proxy-streaming" for entry in found) == (2 if every else 0)


async def test_bodies_are_left_out_unless_they_are_asked_for(home: Path) -> None:
    async with log(home) as running:
        await running.turn(ask(), reply(), b'{"answer": "world"}')
        await running.read()
    assert "hello" not in logged.log_of(home)
    assert "world" not in logged.log_of(home)


async def test_bodies_that_are_asked_for_are_redacted(home: Path) -> None:
    body = json.dumps({"model": "m", "say": "hello", "api_key": "planted-key"}).encode()
    async with log(home, bodies=True) as running:
        await running.turn(ask(body), reply(), b'{"say": "world", ', b'"token": "planted-token"}')
        found = await running.read()
    assert "hello" in found[0].args["body"]
    assert "world" in found[2].args["body"]
    assert "planted" not in logged.log_of(home)


async def test_compressed_bodies_are_shown_decoded(home: Path) -> None:
    events = b"".join(b'data: {"n": %d}\n\n' % number for number in range(30))
    packed = gzip.compress(events)
    async with log(home, bodies=True) as running:
        flow = ask(gzip.compress(BODY))
        flow.request.headers["content-encoding"] = "gzip"
        await running.turn(flow, reply("text/event-stream", content_encoding="gzip"), packed[:20], packed[20:])
        found = await running.read()
    assert found[0].args["body"] == BODY.decode()
    assert found[0].args["model"] == "claude-opus-4"
    told = found[2].args["body"]
    assert (told["eventCount"], told["firstEvents"][0], told["bodySizeBytes"]) == (30, 'data: {"n": 0}', len(events))


@pytest.mark.parametrize("path", [b"/v1/metrics", b"/code-assistant-api/v1/conversations/7/history", b"/v1/m%65trics"])
async def test_what_codemie_reports_about_sessions_is_never_told(home: Path, path: bytes) -> None:
    async with log(home, bodies=True) as running:
        await running.turn(ask(b'{"say": "planted"}', path=path), reply(), b'{"also": "planted"}')
        found = await running.read()
    assert [entry.args["body"] for entry in (found[0], found[2])] == ["[omitted: session sync payload]"] * 2
    assert "planted" not in logged.log_of(home)


async def test_an_answer_of_the_proxy_itself_is_told_with_its_status(home: Path) -> None:
    async with log(home, bodies=True) as running:
        flow = ask()
        await running.room.fire("requestheaders", flow)
        flow.response = http.Response.make(418, b'{"short": "stout"}', {"content-type": "application/json"})
        await running.turn(flow)
        found = await running.read()
    assert found[-1].args["end"] == "answered_locally"
    assert found[-1].args["status"] == "418"
    assert found[2].args["body"] == '{"short": "stout"}'


async def test_a_tunnel_that_is_refused_gets_its_access_line(home: Path) -> None:
    async with log(home) as running:
        refused, granted = (request(mode="regular", host="api.openai.com", method=b"CONNECT") for _ in range(2))
        for flow in (refused, granted):
            flow.request.path = ""  # As mitmproxy has it for a CONNECT.
        refusal.refuse(refused, Problem(407, "no_key", "This proxy asks for a key."))
        for flow in (refused, granted):
            await running.room.fire("http_connect", flow)
        found = await running.read()
    assert [entry.kind for entry in found if entry.kind != "proxy-response"] == ["proxy-error", "proxy-access"]
    args = found[-1].args
    assert (args["method"], args["host"], args["status"], args["end"]) == (
        "CONNECT",
        "api.openai.com",
        "407",
        "refused",
    )


async def test_of_foreign_hosts_only_the_access_line_is_written_and_not_what_was_asked(home: Path) -> None:
    async with log(home, bodies=True) as running:
        await running.turn(ask(mode="regular", host="example.org", path=b"/planted?planted=1"), reply(), b"planted")
        (access,) = await running.read()
    assert (access.kind, access.args["host"], access.args["path"]) == ("proxy-access", "example.org", "-")
    assert "planted" not in logged.log_of(home)


@pytest.mark.parametrize(
    "level, kinds", [("info", ["proxy-access"]), ("warning", []), ("error", [])], ids=["info", "warning", "error"]
)
async def test_a_level_spares_what_is_below_it(home: Path, level: str, kinds: list[str]) -> None:
    async with log(home, level=level, bodies=True) as running:
        flow = ask()
        await running.turn(flow, reply(), *[b"x"] * 10)
        assert exchange_of(flow).observers == []
        found = await running.read()
    assert [entry.kind for entry in found] == kinds
    assert all(entry.args["model"] == "claude-opus-4" for entry in found)


async def test_warnings_of_the_proxy_are_told_too(home: Path) -> None:
    async with log(home) as running:
        logging.getLogger("mitmproxy.proxy.server").warning("Client said Bearer planted0123456789")
        found = await running.read()
        logging.getLogger("mitmproxy.proxy.server").warning("nobody writes this down any more")
    assert [(entry.level, entry.owner, entry.words) for entry in found] == [
        ("WARN", "system", "Client said Bearer [redacted]")
    ]


async def test_at_midnight_a_new_file_begins_and_old_ones_go(home: Path) -> None:
    midnight = 20_485 * DAY
    (home / "logs").mkdir(parents=True)
    old = home / "logs" / "debug-2026-01-20.log"
    for path in (old, home / "logs" / "notes.txt"):
        path.touch()
        os.utime(path, (midnight - 30 * DAY,) * 2)
    now = midnight - 0.5
    async with core_room.running(RequestLog(lambda: now)) as room:
        running = Log(room, home)
        await running.turn(ask(), reply())
        now = midnight
        await running.turn(ask(), reply())
        found = await running.read()
    assert sorted(path.name for path in (home / "logs").iterdir()) == [
        *("debug-2026-01-31.log", "debug-2026-02-01.log", "notes.txt")
    ]
    ends = [entry.at for entry in found if entry.kind == "proxy-access"]
    assert ends == ["2026-01-31T23:59:59.500Z", "2026-02-01T00:00:00.000Z"]
    assert len(logged.entries((home / "logs" / "debug-2026-02-01.log").read_text())) == 5


async def test_settings_are_changed_while_it_runs(home: Path) -> None:
    async with log(home) as running:
        running.room.options.update(codemie_request_log_level="warning", codemie_request_log_keep_days=9)
        await running.turn(ask(), reply())
        running.room.options.update(codemie_request_log_level="info")
        await running.turn(ask(), reply())
        found = await running.read()
    assert [entry.kind for entry in found] == ["proxy-access"]


async def test_the_terminal_shows_the_lines_when_it_is_asked_to(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    async with log(home) as running:
        await running.turn(ask(), reply())
        await running.read()
    assert "[proxy-access]" not in caplog.text
    monkeypatch.setenv("CODEMIE_DEBUG", "1")
    async with log(home) as running:
        await running.turn(ask(), reply())
        logging.getLogger("elsewhere").warning("said once")
        await running.read()
    shown = [record for record in caplog.records if record.name == "codemie_core.console"]
    assert {record.levelname for record in shown} == {"INFO"}
    assert any("[proxy-request]" in record.message for record in shown)
    assert caplog.text.count("said once") == 1


async def test_it_can_be_switched_off_and_on(home: Path) -> None:
    async with log(home) as running:
        for disabled in (["request_log"], []):
            running.room.options.update(codemie_disabled=disabled)
            await running.turn(ask(), reply())
        found = await running.read()
    assert sum(entry.kind == "proxy-access" for entry in found) == 1


@pytest.mark.parametrize("level", ["debug", "info"])
async def test_who_only_asks_for_our_health_is_not_written_down(home: Path, level: str) -> None:
    async with log(home, level=level, bodies=True) as running:
        flow = ask(path=b"/health")
        flow.response = reply()
        await running.turn(flow)
        found = await running.read()
    assert found == []


async def test_the_health_of_an_upstream_is_written_down(home: Path) -> None:
    async with log(home, level="info") as running:
        await running.turn(ask(path=b"/health"), reply())
        found = await running.read()
    assert [entry.kind for entry in found] == ["proxy-access"]


async def test_health_counts_records_and_tells_trouble_until_it_is_over(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "RETRY", 0.0)
    home.mkdir()
    (home / "logs").write_text("not a folder")
    async with log(home) as running:
        addon = running.room.addons[0]
        assert isinstance(addon, RequestLog)
        await running.turn(ask(), reply())
        await _until(lambda: addon.status.state is State.DEGRADED)
        assert addon.status.error is not None
        assert str(home / "logs") in addon.status.error
        (home / "logs").unlink()
        await running.turn(ask(), reply())
        await _until(lambda: addon.status.state is State.ACTIVE)
        assert addon.status.error is None
        health = dict(addon.health())
        await running.read()
    assert (health["problem"], health["dropped"]) == (None, 0)
    assert addon.health() == {}


async def _until(true: Any) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "options",
    [{"level": "loud"}, {"every": -1}, {"body_bytes": "2m"}, {"body_bytes": "some"}, {"max_queue": 5}],
)
async def test_settings_that_make_no_sense_are_refused(home: Path, options: dict[str, Any]) -> None:
    async with core_room.running(RequestLog()) as room:
        with pytest.raises(Exception, match=r"codemie_request_log|option"):
            room.options.update(**{f"codemie_request_log_{name}": value for name, value in options.items()})


async def test_without_a_running_proxy_its_hooks_do_nothing(home: Path) -> None:
    addon = RequestLog()
    with taddons.context(addon) as tctx:
        tctx.configure(addon)
        flow = ask()
        await addon.request(flow)
        flow.response = reply()
        addon.responseheaders(flow)
        addon.exchange_done(exchange_of(flow))
        await addon.stop()
    assert not (home / "logs").exists()


async def test_whoever_listens_hears_one_line_of_each_exchange_also_when_the_log_began_later(home: Path) -> None:
    addon, told = RequestLog(), []
    addon.listen(lambda *brief: told.append(brief))
    async with core_room.running(addon) as room:
        running = Log(room, home)
        await running.turn(ask(), reply(), b"one")
        await running.read()
        assert [(level, source) for _, level, source, _ in told] == [(logging.INFO, "proxy-access")]
        addon.listen(None)
        addon.start()
        await running.turn(ask(), reply(), b"one")
        await addon.stop()
    assert len(told) == 1
