"""The hidden core addon: the register, bad configuration, switching addons, scope and peers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import connection, exceptions, hooks
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons

from codemie_core import __version__
from codemie_core.addon import Addon, State, Status
from codemie_core.core_addon import core_of
from codemie_core.exchange import BOOK, RUN_ID
from codemie_core.running import running_proxies
from codemie_core.scope import is_local
from support.core_room import Fixed, Listener, request, running


@pytest.fixture(autouse=True)
def new_book() -> Iterator[None]:
    yield
    BOOK.__init__()  # type: ignore[misc] # one process runs one proxy; the next test starts with a new book


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


async def test_where_an_addon_asks_for_keys_other_machines_may_come_in() -> None:
    async with running(Listener()) as room:
        room.core.asks_for_keys = lambda: True
        client = peer("10.0.0.1")
        await room.fire("client_connected", client)
        assert client.error is None


async def test_a_peer_that_cannot_be_told_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Listener()) as room:
        client = peer("127.0.0.1")
        client.peername = ()  # type: ignore[assignment] # no operating system is known to do this
        await room.fire("client_connected", client)
        assert client.error


def peer(host: str) -> connection.Client:
    return connection.Client(peername=(host, 5), sockname=("127.0.0.1", 8080), timestamp_start=1.0)


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
