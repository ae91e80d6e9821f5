"""mitmdump in this process, without the built-in addons that have nothing to do.

Nearly half of stock mitmdump's CPU per small request goes into asking some thirty addons whether they care. Those whose
options stand at their defaults do nothing but answer no, so `start` takes them out. A plain `mitmdump -s` keeps them.
"""

from __future__ import annotations

import errno
import functools
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mitmproxy import exceptions, options, optmanager
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode
from mitmproxy.tools import cmdline, dump
from mitmproxy.tools import main as tools

from codemie_core.errors import SettingsError

WAKING_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "anticache": ("anticache",),
    "anticomp": ("anticomp",),
    "blocklist": ("block_list",),
    "keepserving": ("client_replay", "server_replay", "rfile"),
    "maplocal": ("map_local",),
    "mapremote": ("map_remote",),
    "modifybody": ("modify_body",),
    "modifyheaders": ("modify_headers",),
    "proxyauth": ("proxyauth",),
    "readfilestdin": ("rfile",),
    "save": ("save_stream_file",),
    "savehar": ("hardump",),
    "serverplayback": ("server_replay",),
    "stickyauth": ("stickyauth",),
    "stickycookie": ("stickycookie",),
    "upstreamauth": ("upstream_auth",),
    "dumper": ("flow_detail",),
    # Only commands, which stay registered, and a history file for a prompt that mitmdump does not have.
    "commandhistory": (),
    "comment": (),
    "cut": (),
    "export": (),
}
"""Addons and the options without which they do nothing.

Left in although mitmproxy's defaults are in force: `block` and `updatealtsvc` act by default; `disableh2c` has no
option; `browser` closes in `done` what its command opened; `clientplayback` has no flow hook and an async `done`, which
`AddonManager.remove` cannot call; `core`, `errorcheck`, `nextlayer`, `proxyserver`, `scriptloader` and `tlsconfig` are
the proxy itself.
"""

ONLY_BEYOND_REVERSE = ("dnsresolver", "onboarding", "stripdnshttpsrecords")
"""They answer DNS and http://mitm.it; requests to an HTTP reverse proxy are meant for its upstream."""


class Launcher(dump.DumpMaster):
    """A DumpMaster that sheds idle addons and tells when it is up."""

    def __init__(
        self,
        opts: options.Options,
        all_addons: bool,
        ready: Callable[[Launcher], None],
        usual_config: bool = False,
    ) -> None:
        super().__init__(opts)
        if usual_config:
            read_usual_config(opts)
        self._all_addons = all_addons
        self._ready = ready
        self._shed: list[str] = []

    async def run(self) -> None:
        """Check that the port is free, which mitmproxy would tell in four lines, then serve."""
        try:
            for spec in self.options.mode:
                require_free(ProxyMode.parse(spec), self.options)
        except SettingsError:
            await self.done()  # Else the scripts would still load before the loop ends.
            raise
        await super().run()

    async def running(self) -> None:
        """Scripts have loaded by now and may have set options."""
        if not self._all_addons:
            self.shed()
        await super().running()
        errors = self.addons.get("errorcheck").logger.has_errored
        if not errors:
            self._ready(self)

    def shed(self) -> None:
        """Take the idle addons out. Their options can then no longer be changed: nobody would act on them."""
        for name in idle_addons(self.options):
            addon = self.addons.get(name)
            if addon is not None:
                self.addons.remove(addon)
                self._shed.append(name)
        watched = [option for name in self._shed for option in WAKING_OPTIONS.get(name, ())]
        self.options.subscribe(self._refuse, [option for option in watched if option in self.options])

    def _refuse(self, opts: options.Options, updated: set[str]) -> None:
        for name in self._shed:
            for option in updated.intersection(WAKING_OPTIONS.get(name, ())):
                if is_awake(option, opts):
                    raise exceptions.OptionsError(
                        f"{option} cannot be set now: its addon was left out as idle. "
                        f"Start with --all-addons, or set it from the start."
                    )


def read_usual_config(opts: options.Options) -> None:
    """The settings a user has given mitmproxy, from where mitmproxy would have read them."""
    folder = Path(opts.confdir).expanduser()
    try:
        optmanager.load_paths(opts, str(folder / "config.yaml"), str(folder / "config.yml"))
    except (exceptions.OptionsError, TypeError) as problem:  # The latter where a value is of another kind.
        raise SettingsError(f"{folder}: {problem}") from None


def idle_addons(opts: options.Options) -> list[str]:
    """The names of the built-in addons that would do nothing under these options."""
    idle = [name for name, waking in WAKING_OPTIONS.items() if not any(is_awake(option, opts) for option in waking)]
    if all(_is_http_reverse(ProxyMode.parse(spec)) for spec in opts.mode):
        idle += ONLY_BEYOND_REVERSE
    return idle


def is_awake(option: str, opts: options.Options) -> bool:
    """Does this option give its addon something to do?"""
    if option == "flow_detail":
        return bool(opts.flow_detail)
    return option in opts and opts.has_changed(option)


def _is_http_reverse(mode: ProxyMode) -> bool:
    return isinstance(mode, ReverseMode) and mode.scheme in ("http", "https")


def require_free(mode: ProxyMode, opts: options.Options) -> None:
    """SettingsError when this mode cannot listen where it wants to."""
    host, port = mode.listen_host(opts.listen_host), mode.listen_port(opts.listen_port)
    if port is None or mode.transport_protocol not in ("tcp", "both"):
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As asyncio's own servers do, so that connections of a proxy that has just ended are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(_cannot_listen(host, port, error)) from None


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    where = f"{host or '*'}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use. `codemie-proxy status` shows running proxies; --port {port + 1} takes another port"
    if error.errno == errno.EACCES:
        return f"no permission to listen on {where}; take a port above 1023, like --port 8080"
    return f"cannot listen on {where} ({error.strerror or error}); --listen-host and --port choose another address"


def run(
    arguments: Sequence[str], all_addons: bool, ready: Callable[[Launcher], None], usual_config: bool = False
) -> None:
    """mitmdump with these arguments, until it is told to end.

    `usual_config`: read mitmproxy's own config.yaml although the arguments name another `confdir`.
    """
    made = functools.partial(Launcher, all_addons=all_addons, ready=ready, usual_config=usual_config)
    # mitmproxy looks there for its name, and for former options to blame for an error: our --port would be one.
    sys.argv = ["mitmdump", *arguments]
    tools.run(cast(type[Launcher], made), cmdline.mitmdump, arguments, _filters)


def _filters(parsed: Any) -> dict[str, str]:
    # As mitmdump does it: a filter expression at the end of the line.
    if not parsed.filter_args:
        return {}
    expression = " ".join(parsed.filter_args)
    return {name: expression for name in ("save_stream_filter", "readfile_filter", "dumper_filter")}
