"""The hidden core addon: opens and closes exchanges, owns the response stream, starts and stops the others.

The first addon of the bundle that loads adds it, so it stands last in mitmproxy's chain and sees each event after
everyone else. It cannot be switched off. Peers: it refuses clients that are not on this machine, because a script
cannot choose the address mitmproxy listens on; that part fails closed.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Sequence

from mitmproxy import connection, ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.mode_specs import ReverseMode

from codemie_core import __version__, options
from codemie_core.addon import Addon, note
from codemie_core.bundle_settings import BundleSettings
from codemie_core.errors import SettingsError
from codemie_core.exchange import BOOK, RUN_ID, Exchange, ExchangeDoneHook, Terminal, ending_of
from codemie_core.heap import Heap
from codemie_core.interception.first_party import is_control
from codemie_core.interception.tunnels import TunnelRules
from codemie_core.places import Places
from codemie_core.running import LENT, RunningProxy, remove_entry, this_process, write_entry
from codemie_core.scope import address_of, host_matches, is_local
from codemie_core.seams import dispatch, terminal
from codemie_core.seams.attempt_hooks import UpstreamFailedHook, UpstreamResponseHook
from codemie_core.sources import did_you_mean, from_mitmproxy_file, is_addon_name, read_layers, unknown_keys
from codemie_core.tally import Tally
from codemie_core.tap import Tap

logger = logging.getLogger(__name__)

STOP_BOUND = 5.0
"""Seconds that one addon may take to stop."""


class CoreAddon:
    """One per proxy process."""

    name = "codemie_core"

    def __init__(self) -> None:
        self.addons_in_order: list[Addon] = []
        self.layers = options.Layers({})
        self.places = Places.from_env({})
        self.settings = BundleSettings()
        self.running_since: float | None = None
        self.tally = Tally()
        self.asks_for_keys: Callable[[], bool] = _of_nobody
        """Does an addon ask every client for a key? Then clients on other machines may come in."""
        self.further_hosts: dict[str, tuple[str, ...]] = {}
        """Hosts that addons, by name, need in scope wherever else they are named: a gateway, those of rules."""
        self.tunnels = TunnelRules()
        self.admin_port: int | None = None
        """Where the operator's side listens on this machine."""
        self._heap = Heap()
        self._configured = False
        self._failed_observers: set[str] = set()

    def load(self, loader: Loader) -> None:
        """Read the configuration sources, before any addon declares its options."""
        self.places = Places.from_env(os.environ)
        self.layers = read_layers(self.places, os.environ, ctx.options.deferred)
        for option in from_mitmproxy_file(ctx.options.deferred):
            fix = f"move it to {self.places.config}"
            logger.warning("%s is set in mitmproxy's config.yaml, which overrules --set; %s", option, fix)
        options.declare(loader, "", BundleSettings, self.layers)
        self.layers.problems.extend(options.apply_deferred(ctx.options, "", BundleSettings))
        dispatch.install(ctx.master.addons)
        terminal.redact_flow_lines(ctx.master.addons)

    def adopt(self, addon: Addon) -> None:
        """An addon of the bundle has loaded. A reloaded one takes the place of its former self."""
        self.addons_in_order = [a for a in self.addons_in_order if a.name != addon.name] + [addon]
        # The options of the first addon configure the core before the later ones have loaded.
        addon.status.enabled = _wanted(addon, self.settings)

    def configure_first(self, updated: set[str]) -> None:
        """mitmproxy configures the addons of a script, not the addon that one of them added."""
        if not self._configured:
            self.configure(updated)

    def configure(self, updated: set[str]) -> None:
        """Check the bundle's settings; switch addons."""
        own = {setting.option for setting in options.settings_of("", BundleSettings)}
        if self._configured and not own & set(updated):
            return
        try:
            settings = options.read(ctx.options, "", BundleSettings)
            if self.running_since:
                self._check_names(settings)
        except SettingsError as problem:
            if self.running_since:
                raise exceptions.OptionsError(str(problem)) from None
            self.layers.problems.append(str(problem))
            settings = BundleSettings()
        self._configured = True
        self.settings = settings
        BOOK.scope = self.in_scope
        BOOK.fixed_session_id = settings.session_id
        self._switch()

    def in_scope(self, flow: http.HTTPFlow) -> bool:
        """Does the bundle act on this flow? Always in reverse mode, else on the hosts named."""
        if isinstance(flow.client_conn.proxy_mode, ReverseMode):
            return True
        # Not pretty_host: what the Host header claims does not change where the request goes.
        host, port = flow.request.host, flow.request.port
        return self.acts_on(host, port) and not is_control(host, flow.request.path)

    def acts_on(self, host: str, port: int) -> bool:
        """Is this one of the hosts named? In regular mode the bundle acts on those, and only they are decrypted."""
        further = itertools.chain.from_iterable(self.further_hosts.values())
        return host_matches(address_of(host, port), (*self.settings.hosts, *self.layers.profile.hosts, *further))

    def _check_names(self, settings: BundleSettings) -> None:
        known = {addon.name: addon for addon in self.addons_in_order}
        for option, names in (("codemie_enabled", settings.enabled), ("codemie_disabled", settings.disabled)):
            for name in names:
                if name not in known and not is_addon_name(name):
                    raise SettingsError(f"{option}: there is no addon {name!r}{did_you_mean(name, known)}")
        if self.running_since:
            for addon in self.addons_in_order:
                if not addon.switchable and addon.status.enabled != _wanted(addon, settings):
                    raise SettingsError(f"{addon.name} cannot be switched while the proxy runs; restart it")

    def _switch(self) -> None:
        for addon in self.addons_in_order:
            wanted = _wanted(addon, self.settings)
            if self.running_since:
                addon.switch(wanted)
            else:
                addon.status.enabled = wanted

    def running(self) -> None:
        """All is up: report what is wrong with the configuration, enter the register."""
        try:
            self._check_names(self.settings)
        except SettingsError as problem:
            self.layers.problems.append(str(problem))
        self.layers.problems.extend(
            unknown_keys(self.layers, ctx.options.deferred, self.addons_in_order, BundleSettings)
        )
        self.layers.problems.extend(missing_requirements(self.addons_in_order))
        for line in dict.fromkeys(self.layers.problems):  # Two addons may need the same.
            # An ERROR during start-up makes mitmproxy exit: a proxy half configured must not run.
            logger.error("%s", line)
        stop = bool(self.layers.problems)
        self.layers.problems.clear()
        if not stop:
            self.running_since = time.time()
            self._heap.settle()
            self._enter_register()
            logger.info("codemie-proxy %s is running with %s", __version__, ", ".join(self._active()) or "no addon")

    def _active(self) -> list[str]:
        return [addon.name for addon in self.addons_in_order if addon.status.at_work]

    def rewire(self) -> None:
        """An addon has put hooks on or taken some off: from the next event on they count."""
        dispatch.refresh(ctx.master.addons)

    def listening(self) -> list[tuple[str, int]]:
        """The addresses this proxy listens on."""
        proxyserver = ctx.master.addons.get("proxyserver")
        return [(address[0], address[1]) for address in proxyserver.listen_addrs()] if proxyserver else []

    def announce_admin(self, port: int | None) -> None:
        """The operator's side listens there, or nowhere: the register tells."""
        self.admin_port = port
        if self.running_since:
            self._enter_register()

    def _enter_register(self) -> None:
        pid, started = this_process()
        addresses = tuple(dict.fromkeys(f"{host}:{port}" for host, port in self.listening()))
        began, modes = self.running_since or 0.0, tuple(ctx.options.mode)
        answers, lent = "local_endpoints" in self._active(), LENT.is_set()
        entry = RunningProxy(RUN_ID, pid, started, began, addresses, modes, __version__, self.admin_port, lent, answers)
        try:
            write_entry(self.places, entry)
        except (OSError, SettingsError) as problem:
            logger.warning("This proxy is missing from `codemie-proxy status`: %s", problem)

    def client_connected(self, client: connection.Client) -> None:
        """Refuse peers that are not on this machine."""
        # Set first: whatever raises below, the connection stays refused.
        before, client.error = client.error, "peers beyond loopback are not served"
        if self.settings.allow_remote_peers or self.asks_for_keys() or is_local(client.peername[0]):
            client.error = before
            return
        fix = "give clients keys (codemie-proxy keys add), or set codemie_allow_remote_peers=true to serve all"
        logger.warning("Refused a connection from %s: only this machine is served; %s", client.peername[0], fix)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Open the exchange; what is not ours streams through in both directions."""
        exchange = BOOK.of(flow)
        if not exchange.scoped and flow.response is None and flow.request.method != "CONNECT":
            flow.request.stream = True

    async def request(self, flow: http.HTTPFlow) -> None:
        """Settle who is asking; note an answer that an addon gave."""
        exchange = BOOK.of(flow)
        if flow.response is not None:
            exchange.end(Terminal.ANSWERED_LOCALLY)
        elif exchange.scoped:
            await exchange.identify(flow)

    async def codemie_attempt(self, event: UpstreamResponseHook | UpstreamFailedHook) -> None:
        """The attempt machine's hooks, handed on with both of their arguments."""
        await ctx.master.addons.trigger_event(event)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The only place that sets `flow.response.stream`."""
        exchange = BOOK.of(flow)
        response = flow.response
        if response is None:
            return
        exchange.status = response.status_code
        exchange.head_ms = exchange.elapsed_ms()
        if exchange.terminal is not None or not (exchange.streamed or not exchange.scoped):
            return
        if exchange.observers:
            response.stream = self._tap(exchange, response)
        else:
            response.stream = True

    def _observer_failed(self, exchange: Exchange, observer: object, error: Exception) -> None:
        owner = self._owner_of(observer)
        if owner is not None:
            note(owner, "chunk observer", error)
            return
        name = getattr(observer, "__qualname__", type(observer).__qualname__)
        if name not in self._failed_observers:
            self._failed_observers.add(name)
            words = "The chunk observer %s failed with %s in request %s and was dropped. It is reported only once."
            logger.error(words, name, type(error).__name__, exchange.request_id)

    def _owner_of(self, observer: object) -> Addon | None:
        """The addon whose method or whose file's function this is."""
        owner = getattr(observer, "__self__", None)
        if isinstance(owner, Addon):
            return owner
        stem = getattr(observer, "__module__", "").rpartition(".")[2]
        return next((addon for addon in self.addons_in_order if addon.name == stem), None)

    async def response(self, flow: http.HTTPFlow) -> None:
        """The response has gone out whole."""
        if flow.websocket is not None:
            return  # websocket_end closes it.
        exchange = BOOK.of(flow)
        if exchange.status is None and flow.response is not None:
            exchange.status = flow.response.status_code  # No `responseheaders` comes for an answer given here.
        if not exchange.response_bytes and flow.response is not None:
            self._take_whole(exchange, flow.response)
        failed = flow.response is not None and flow.response.status_code >= 500
        failed = failed or bool(exchange.attempts and exchange.attempts[-1].failure)
        await self._close(exchange, Terminal.UPSTREAM_ERROR if failed else Terminal.COMPLETE)
        self._trim()

    def _take_whole(self, exchange: Exchange, response: http.Response) -> None:
        """Nobody streamed it, so nobody counted and nobody has seen it: without the attempt machine all are such."""
        body = response.raw_content or b""
        exchange.response_bytes = len(body)
        if exchange.observers and exchange.terminal is None:
            self._tap(exchange, response)(body)

    def _tap(self, exchange: Exchange, response: http.Response) -> Tap:
        encoding = response.headers.get("content-encoding", "")
        return Tap(encoding, exchange.observers, lambda o, e: self._observer_failed(exchange, o, e))

    async def error(self, flow: http.HTTPFlow) -> None:
        """It broke off. A client that hangs up fires only this."""
        exchange = BOOK.of(flow)
        message = flow.error.msg if flow.error else ""
        await self._close(exchange, ending_of(exchange, message), message)
        self._trim()

    async def websocket_end(self, flow: http.HTTPFlow) -> None:
        """The WebSocket closed."""
        await self._close(BOOK.of(flow), Terminal.COMPLETE)
        self._trim()

    async def _close(self, exchange: Exchange, terminal: Terminal, error: str | None = None) -> None:
        if not BOOK.close(exchange):
            return
        exchange.end(terminal, error)
        if exchange.scoped:
            self.tally.add(exchange)
        if dispatch.has_listeners(ctx.master.addons, ExchangeDoneHook.name):
            await ctx.master.addons.trigger_event(ExchangeDoneHook(exchange))

    def _trim(self) -> None:
        view, limit = ctx.master.addons.get("view"), self.settings.kept_flows
        if view is None or not limit or view.store_count() <= limit:
            return
        finished = [flow for flow in view.resolve("@all") if not flow.live and not flow.marked]
        for flow in finished[: view.store_count() - limit]:
            view.remove([flow])

    async def done(self) -> None:
        """Close what is open, then stop the addons in reverse order; mitmproxy fires this before open flows end."""
        self._heap.leave()
        for exchange in BOOK.still_open():
            await self._close(exchange, Terminal.PROXY_STOPPED)
        for addon in self.addons_in_order:
            await addon.hand_over(within=STOP_BOUND)
        for addon in reversed(self.addons_in_order):
            await addon.finish(within=STOP_BOUND)
        remove_entry(self.places, RUN_ID)


def _of_nobody() -> bool:
    return False


def missing_requirements(addons: Sequence[Addon]) -> list[str]:
    """One line for each addon that runs without one it needs."""
    running = {addon.name for addon in addons if addon.status.enabled}
    return [
        f"{addon.name} needs {needed}: load and enable it, or name {addon.name} in codemie_disabled"
        for addon in addons
        for needed in addon.requires
        if addon.name in running and needed not in running
    ]


def _wanted(addon: Addon, settings: BundleSettings) -> bool:
    if addon.name in settings.disabled:
        return False
    return not settings.enabled or addon.name in settings.enabled


def core_of(addon: Addon) -> CoreAddon:
    """The core addon that `addon` works with, added now if this is the first addon of the bundle."""
    core = ctx.master.addons.get(CoreAddon.name)
    if core is None:
        core = CoreAddon()
        ctx.master.addons.add(core)
    assert isinstance(core, CoreAddon)  # A second copy of this module would make a second core.
    if addon not in core.addons_in_order:
        core.adopt(addon)
    return core
