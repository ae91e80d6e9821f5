"""The hidden core addon: it opens and closes exchanges, owns the response stream, and starts and stops the others."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import connection, exceptions, hooks, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.view import View
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow, tutils

from codemie_core import __version__
from codemie_core.addon import Addon, AddonSettings, State, Status
from codemie_core.core_addon import CoreAddon, core_of, counters, is_local
from codemie_core.exchange import BOOK, RUN_ID, Exchange, Terminal
from codemie_core.policy import AttemptPlan, Failure, Reason
from codemie_core.running import running_proxies
from codemie_core.seams.attempt_hooks import AttemptHook, UpstreamFailedHook, UpstreamResponseHook
from codemie_core.tap import Tap


@pytest.fixture(autouse=True)
def new_book() -> Iterator[None]:
    yield
    BOOK.__init__()  # type: ignore[misc] # one process runs one proxy; the next test starts with a new book


class Listener(Addon, priority=40, name="listener"):
    """Notes what happens."""

    class Settings(AddonSettings):
        """One of them."""

        limit: int = 3

    def __init__(self) -> None:
        self.log: list[str] = []
        self.done: list[Exchange] = []

    def start(self) -> None:
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")

    async def exchange_done(self, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        self.done.append(exchange)

    def upstream_response(self, flow: http.HTTPFlow, attempt: object) -> None:
        self.log.append("upstream_response")

    def upstream_failed(self, flow: http.HTTPFlow, attempt: object) -> None:
        self.log.append("upstream_failed")

    def look(self, data: bytes) -> None:
        raise RuntimeError("this observer always fails")


class Fixed(Addon, priority=10, name="fixed"):
    """May not be switched while the proxy runs."""

    switchable = False


class Room:
    """A mitmproxy with these addons at work."""

    def __init__(self, tctx: taddons.context, addons: tuple[Addon, ...]) -> None:
        self.tctx, self.addons = tctx, addons

    @property
    def core(self) -> CoreAddon:
        core = self.tctx.master.addons.get(CoreAddon.name)
        assert isinstance(core, CoreAddon)
        return core

    @property
    def options(self) -> Any:
        return self.tctx.options

    async def fire(self, hook: str, *args: Any) -> None:
        await self.tctx.master.addons.trigger_event(hooks.all_hooks[hook](*args))


@asynccontextmanager
async def running(*addons: Addon, **options: Any) -> AsyncIterator[Room]:
    script = SimpleNamespace(name="script", addons=list(addons))
    with taddons.context(script) as tctx:
        tctx.options.add_option("mode", list, ["regular"], "") if "mode" not in tctx.options else None
        tctx.options.update(**options)
        tctx.master.addons.invoke_addon_sync(script, hooks.ConfigureHook(tctx.options.keys()))
        # The core stands last in a real chain; here it was added while the script was still being added.
        core = tctx.master.addons.get(CoreAddon.name)
        tctx.master.addons.chain.remove(core)
        tctx.master.addons.chain.append(core)
        await tctx.master.addons.trigger_event(hooks.RunningHook())
        yield Room(tctx, addons)
        await tctx.master.addons.trigger_event(hooks.DoneHook())


def request(
    mode: str = "reverse:https://api.anthropic.com", host: str = "api.anthropic.com", **kwargs: Any
) -> http.HTTPFlow:
    flow = tflow.tflow(req=tutils.treq(host=host, port=443, path=b"/v1/messages", **kwargs))
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    return flow


async def test_the_core_comes_with_the_first_addon_and_only_once() -> None:
    listener, fixed = Listener(), Fixed()
    async with running(listener, fixed) as room:
        assert core_of(listener) is core_of(fixed) is room.core
        assert room.core.addons_in_order == [listener, fixed]


async def test_a_reloaded_addon_takes_the_place_of_its_former_self() -> None:
    async with running(Listener()) as room:
        again = Listener()
        room.core.adopt(again)
        assert room.core.addons_in_order == [again]


async def test_a_running_proxy_is_in_the_register_and_says_so(
    caplog: pytest.LogCaptureFixture, codemie_home: Path
) -> None:
    caplog.set_level(logging.INFO)
    async with running(Listener(), Fixed(), codemie_disabled=["listener"]) as room:
        assert f"codemie-proxy {__version__} is running with fixed" in caplog.messages
        [entry] = running_proxies(room.core.places)
        assert (entry.run_id, entry.version, entry.mode) == (RUN_ID, __version__, ("regular",))
        assert entry.addresses == ()
    assert list(running_proxies(room.core.places)) == []


async def test_with_every_addon_off_the_proxy_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(Listener(), codemie_disabled=["listener"]):
        assert any(message.endswith("is running with no addon") for message in caplog.messages)


async def test_a_home_that_cannot_be_written_only_costs_the_register(
    caplog: pytest.LogCaptureFixture, codemie_home: Path
) -> None:
    (codemie_home / "proxy").mkdir(parents=True)
    (codemie_home / "proxy" / "run").write_text("a file where a folder should be")
    async with running(Listener()) as room:
        assert room.core.running_since
    assert any("is missing from `codemie-proxy status`" in message for message in caplog.messages)


async def test_the_register_names_the_addresses() -> None:
    async with running(Listener()) as room:
        server = Proxyserver()
        room.tctx.master.addons.add(server)
        room.tctx.configure(server, listen_host="127.0.0.1", listen_port=0)
        assert await server.setup_servers()
        try:
            [(host, port)] = room.core.listening()
            assert (host, port > 0) == ("127.0.0.1", True)
            room.core.running()
            [entry] = running_proxies(room.core.places)
            assert entry.addresses == (f"127.0.0.1:{port}",)
        finally:
            room.tctx.configure(server, server=False)
            await server.setup_servers()


async def test_problems_with_the_configuration_keep_the_proxy_from_running(
    caplog: pytest.LogCaptureFixture, codemie_home: Path
) -> None:
    async with running(Listener(), codemie_kept_flows=-1, codemie_hosts=["http://x"]) as room:
        assert room.core.running_since is None
        assert room.core.layers.problems == []
        assert not list(codemie_home.glob("proxy/run/*"))
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "codemie_kept_flows: " in line
    assert "codemie_hosts: " in line


async def test_an_addon_that_nobody_knows_cannot_be_named(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Listener(), codemie_disabled=["listner"]):
        pass
    assert "codemie_disabled: there is no addon 'listner'; did you mean 'listener'?" in caplog.messages


async def test_an_addon_of_the_bundle_that_is_not_loaded_may_be_named() -> None:
    async with running(Listener(), codemie_disabled=["header_injection"]) as room:
        assert room.core.running_since


@pytest.mark.parametrize(
    "change, started",
    [
        ({"codemie_disabled": ["listener"]}, False),
        ({"codemie_enabled": ["fixed"]}, False),
        ({"codemie_enabled": ["listener", "fixed"]}, True),
        ({"codemie_enabled": ["listener", "fixed"], "codemie_disabled": ["listener"]}, False),
    ],
)
async def test_addons_are_switched_by_two_lists(change: dict[str, list[str]], started: bool) -> None:
    listener = Listener()
    async with running(listener, Fixed()) as room:
        room.options.update(**change)
        assert listener.status.started is listener.status.enabled is started
        assert listener.log == (["start"] if started else ["start", "stop"])
        room.options.update(codemie_disabled=[], codemie_enabled=[])
        assert listener.status.state is State.ACTIVE
    other = Listener()
    async with running(other, Fixed(), **change):
        assert other.status.started is started


async def test_an_addon_that_is_off_from_the_start_is_never_started() -> None:
    class Second(Addon, priority=50, name="second"):
        def start(self) -> None:
            raise AssertionError("it is off")

    first, second = Listener(), Second()
    with taddons.context() as tctx:
        # The options of the first addon configure the core before the second one has loaded.
        tctx.options.set("codemie_disabled=second", defer=True)
        tctx.master.addons.add(first, second)
        await tctx.master.addons.trigger_event(hooks.RunningHook())
    assert first.log == ["start"]
    assert second.status == Status(enabled=False)


class Needy(Addon, priority=50, name="needy", requires=("listener",)):
    """Does not work alone."""


@pytest.mark.parametrize(
    "addons, disabled, starts",
    [
        ((Listener, Needy), [], True),
        ((Needy,), [], False),
        ((Listener, Needy), ["listener"], False),
        ((Listener, Needy), ["listener", "needy"], True),
    ],
)
async def test_an_addon_does_not_run_without_those_it_needs(
    addons: tuple[type[Addon], ...], disabled: list[str], starts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(*(addon() for addon in addons), codemie_disabled=disabled) as room:
        assert bool(room.core.running_since) is starts
    assert any("needy needs listener" in message for message in caplog.messages) is not starts


async def test_an_addon_that_guards_the_proxy_is_not_switched_while_it_runs() -> None:
    fixed = Fixed()
    async with running(fixed, Listener()) as room:
        with pytest.raises(exceptions.OptionsError, match="fixed cannot be switched while the proxy runs; restart it"):
            room.options.update(codemie_disabled=["fixed"])
        assert fixed.status.enabled
        assert room.options.codemie_disabled == []
    off = Fixed()
    async with running(off, codemie_disabled=["fixed"]):
        assert off.status.state is State.DISABLED


async def test_options_of_others_do_not_configure_the_core_again() -> None:
    async with running(Listener()) as room:
        before = room.core.settings
        room.options.update(codemie_listener_limit=9)
        assert room.core.settings is before
        room.options.update(codemie_session_id="fixed")
        assert room.core.settings.session_id == BOOK.fixed_session_id == "fixed"


@pytest.mark.parametrize(
    "mode, host, scoped",
    [
        ("reverse:https://anything.example.com", "anything.example.com", True),
        ("regular", "api.anthropic.com", True),
        ("regular", "anything.example.com", False),
        ("regular", "mine.example.org", False),
    ],
)
async def test_the_bundle_acts_on_its_hosts(mode: str, host: str, scoped: bool) -> None:
    async with running(Listener()) as room:
        assert room.core.in_scope(request(mode, host)) is scoped
        room.options.update(codemie_hosts=["mine.example.org:443"])
        assert room.core.in_scope(request("regular", "mine.example.org"))


@pytest.mark.parametrize(
    "host, local",
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("", True),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("example.com", False),
    ],
)
async def test_peers_beyond_this_machine_are_refused(host: str, local: bool) -> None:
    assert is_local(host) is local
    async with running(Listener()) as room:
        client = peer(host)
        await room.fire("client_connected", client)
        assert bool(client.error) is not local
        room.options.update(codemie_allow_remote_peers=True)
        client = peer(host)
        await room.fire("client_connected", client)
        assert client.error is None


def peer(host: str) -> connection.Client:
    return connection.Client(peername=(host, 5), sockname=("127.0.0.1", 8080), timestamp_start=1.0)


async def test_what_is_not_ours_streams_in_both_directions() -> None:
    async with running(Listener()) as room:
        theirs, ours = request("regular", "other.example.com"), request()
        for flow in (theirs, ours):
            await room.fire("requestheaders", flow)
            flow.response = tutils.tresp()
            await room.fire("responseheaders", flow)
        assert theirs.request.stream is True
        assert theirs.response is not None
        assert theirs.response.stream is True
        assert not ours.request.stream
        # Without upstream_attempts nobody has asked for the answer to stream.
        assert ours.response is not None
        assert not ours.response.stream


@pytest.mark.parametrize("kind", ["answered", "connect"])
async def test_what_is_answered_here_or_opens_a_tunnel_is_not_streamed(kind: str) -> None:
    async with running(Listener()) as room:
        flow = request("regular", "other.example.com", method=b"CONNECT" if kind == "connect" else b"GET")
        if kind == "answered":
            flow.response = tutils.tresp()
        await room.fire("requestheaders", flow)
        assert not flow.request.stream


async def test_a_stream_without_observers_costs_no_call_per_chunk() -> None:
    async with running(Listener()) as room:
        flow = request()
        flow.response = tutils.tresp()
        BOOK.of(flow).streamed = True
        await room.fire("responseheaders", flow)
        assert flow.response.stream is True
        assert BOOK.of(flow).status == 200
        assert BOOK.of(flow).head_ms is not None


@pytest.mark.parametrize("kind", ["no response", "already ended"])
async def test_without_a_response_from_upstream_there_is_nothing_to_stream(kind: str) -> None:
    async with running(Listener()) as room:
        flow = request()
        exchange = BOOK.of(flow)
        exchange.streamed = True
        if kind == "already ended":
            flow.response = tutils.tresp()
            exchange.end(Terminal.ANSWERED_LOCALLY)
        await room.fire("responseheaders", flow)
        assert flow.response is None or not flow.response.stream


def fails(data: bytes) -> None:
    raise RuntimeError("this observer always fails")


class Callable_:
    def __call__(self, data: bytes) -> None:
        raise RuntimeError("this observer always fails")


async def streamed(room: Room, *observers: Callable[[bytes], None]) -> None:
    """One exchange whose body these observers look at."""
    flow = request()
    flow.response = tutils.tresp(headers=http.Headers())
    exchange = BOOK.of(flow)
    exchange.streamed = True
    exchange.observers.extend(observers)
    await room.fire("responseheaders", flow)
    assert isinstance(flow.response.stream, Tap)
    assert flow.response.stream(b"data: 1\n\n") == b"data: 1\n\n"


async def test_an_addon_is_named_for_its_observer_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    async with running(listener) as room:
        for _ in range(3):
            await streamed(room, listener.look)
    assert listener.status.mishaps == {"chunk observer": 3}
    [line] = caplog.messages
    assert "listener failed in chunk observer: RuntimeError" in line


async def test_an_addon_is_named_for_a_function_of_its_file(caplog: pytest.LogCaptureFixture) -> None:
    here = type("Here", (Addon,), {"__module__": fails.__module__}, priority=40)()
    async with running(here) as room:
        for _ in range(3):
            await streamed(room, fails)
    assert here.status.mishaps == {"chunk observer": 3}
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "observer, named", [(fails, "fails"), (Callable_(), "Callable_"), (functools.partial(fails), "partial")]
)
async def test_an_observer_of_nobody_is_named_once(
    observer: Callable[[bytes], None], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(Listener()) as room:
        for _ in range(3):
            await streamed(room, observer)
    [line] = caplog.messages
    assert f"The chunk observer {named} failed with RuntimeError" in line


async def test_an_answer_given_here_ends_the_exchange_as_such() -> None:
    async with running(Listener()) as room:
        flow = request()
        flow.response = tutils.tresp()
        await room.fire("request", flow)
        assert BOOK.of(flow).terminal is Terminal.ANSWERED_LOCALLY


async def test_identity_is_settled_before_the_request_goes_out() -> None:
    async with running(Listener()) as room:
        ours, theirs = request(), request("regular", "other.example.com")
        await room.fire("request", ours)
        await room.fire("request", theirs)
        assert "codemie.session_id" in ours.metadata
        assert "codemie.session_id" not in theirs.metadata


def failed_once(exchange: Exchange) -> None:
    exchange.begin_attempt("api.anthropic.com", 443).failure = Failure(Reason.RESET)


def tried(exchange: Exchange) -> None:
    exchange.begin_attempt("api.anthropic.com", 443)


def planned(exchange: Exchange) -> None:
    exchange.plan = AttemptPlan()


ENDINGS: list[tuple[str, int | None, str, Callable[[Exchange], None], Terminal]] = [
    ("response", 200, "", tried, Terminal.COMPLETE),
    ("response", 404, "", tried, Terminal.COMPLETE),
    ("response", 503, "", tried, Terminal.UPSTREAM_ERROR),
    ("response", 200, "", failed_once, Terminal.UPSTREAM_ERROR),
    ("response", None, "", tried, Terminal.COMPLETE),
    ("error", None, "Client disconnected.", tried, Terminal.CLIENT_CANCELLED),
    ("error", None, "stream reset by client (CANCEL)", tried, Terminal.CLIENT_CANCELLED),
    ("error", 200, "connection closed by server", tried, Terminal.UPSTREAM_ERROR),
    ("error", None, "malformed", planned, Terminal.REFUSED),
    ("error", None, "malformed", lambda exchange: None, Terminal.UPSTREAM_ERROR),
    ("websocket_end", 101, "", tried, Terminal.COMPLETE),
]


@pytest.mark.parametrize("hook, status, message, before, terminal", ENDINGS)
async def test_an_exchange_ends_once_in_its_own_way(
    hook: str, status: int | None, message: str, before: Callable[[Exchange], None], terminal: Terminal
) -> None:
    listener = Listener()
    async with running(listener) as room:
        flow = request()
        if status:
            flow.response = tutils.tresp(status_code=status)
        if message:
            flow.error = tflow.terr(message)
        exchange = BOOK.of(flow)
        before(exchange)
        await room.fire(hook, flow)
        await room.fire("error", flow)
        assert listener.done == [exchange]
        assert exchange.terminal is terminal
        assert len(BOOK) == 0
        total = counters(room.core)
        assert total["exchanges"] == {"open": 0, str(terminal): 1}


async def test_a_websocket_does_not_end_with_its_handshake() -> None:
    listener = Listener()
    async with running(listener) as room:
        flow = request()
        flow.response = tutils.tresp(status_code=101)
        await room.fire("response", flow)
        assert listener.done == []
        await room.fire("websocket_end", flow)
        assert len(listener.done) == 1


async def test_an_error_without_words_is_an_error() -> None:
    async with running(Listener()) as room:
        flow = request()
        tried(BOOK.of(flow))
        await room.fire("error", flow)
        assert BOOK.of(flow).terminal is Terminal.UPSTREAM_ERROR


async def test_what_is_not_ours_is_closed_and_not_counted() -> None:
    listener = Listener()
    async with running(listener) as room:
        flow = request("regular", "other.example.com")
        flow.response = tutils.tresp()
        await room.fire("response", flow)
        assert len(listener.done) == 1
        assert counters(room.core)["exchanges"] == {"open": 0}


async def test_attempts_are_counted() -> None:
    async with running(Listener()) as room:
        flow = request()
        failed_once(BOOK.of(flow))
        tried(BOOK.of(flow))
        flow.response = tutils.tresp()
        await room.fire("response", flow)
        assert counters(room.core)["attempts"] == {"total": 2, "retries": 1, "failed": {"reset": 1}}


async def test_the_hooks_of_the_attempt_machine_reach_every_addon() -> None:
    listener = Listener()
    async with running(listener) as room:
        flow = request()
        attempt = BOOK.of(flow).begin_attempt("a.example.com", 443)
        for hook in (UpstreamResponseHook, UpstreamFailedHook):
            await room.tctx.master.addons.trigger_event(AttemptHook(hook(flow, attempt)))
    assert listener.log == ["start", "upstream_response", "upstream_failed", "stop"]


async def test_the_end_of_the_proxy_closes_what_is_open_before_anyone_stops() -> None:
    class Late(Addon, priority=50, name="late"):
        def stop(self) -> None:
            assert listener.done, "the exchange must be closed by now"
            listener.log.append("late stopped")

    listener, late = Listener(), Late()
    flow = request()
    async with running(listener, late):
        exchange = BOOK.of(flow)
    assert listener.done == [exchange]
    assert exchange.terminal is Terminal.PROXY_STOPPED
    assert listener.log == ["start", "late stopped", "stop"]
    assert not late.status.mishaps


async def test_finished_flows_are_bounded_in_a_user_interface() -> None:
    async with running(Listener(), codemie_kept_flows=3) as room:
        view = View()
        room.tctx.master.addons.add(view)
        marked, live = request(), request()
        marked.marked, marked.live = ":star:", False
        view.add([marked, live])
        flows = []
        for _ in range(6):
            flow = request()
            flow.response, flow.live = tutils.tresp(), False
            flows.append(flow)
            view.add([flow])
            await room.fire("response", flow)
        assert set(view.resolve("@all")) == {marked, live, flows[-1]}
        room.options.update(codemie_kept_flows=0)
        view.add([request()])
        await room.fire("response", flows[-1])
        assert view.store_count() == 4


async def test_the_settings_come_from_the_file_under_the_home(codemie_home: Path) -> None:
    place = codemie_home / "proxy" / "codemie.yaml"
    place.parent.mkdir(parents=True)
    place.write_text("session_id: from-the-file\nlistener: {limit: 8}\n")
    listener = Listener()
    async with running(listener) as room:
        assert room.core.settings.session_id == "from-the-file"
        assert listener.settings.limit == 8
        assert room.core.running_since


async def test_our_options_in_mitmproxy_s_own_file_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with taddons.context() as tctx:
        tctx.options.deferred["codemie_session_id"] = "x"
        tctx.master.addons.add(Listener())
    assert any("codemie_session_id is set in mitmproxy's config.yaml" in message for message in caplog.messages)
