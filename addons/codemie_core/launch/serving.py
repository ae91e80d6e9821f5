"""Proxies that run already, and whether one of them leads to where an agent wants to go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from codemie_core.cli.plan import Plan, make
from codemie_core.daemon.order import Order
from codemie_core.daemon.probe import asked_at, probe
from codemie_core.daemon.state import read_state
from codemie_core.errors import SettingsError
from codemie_core.launch import destination
from codemie_core.launch.agents import LaunchAgent
from codemie_core.launch.destination import Destination
from codemie_core.launch.environment import VENDOR_HOSTS, Via
from codemie_core.places import Places
from codemie_core.running import RunningProxy, running_proxies
from codemie_core.scope import CODEMIE_HOSTS, address_of, host_matches
from codemie_core.target import Target, parse_target


def daemon_for(going: Destination, passed_on: Sequence[str], places: Places) -> str | None:
    """The daemon's URL, if it answers and is what would be started otherwise."""
    state = read_state(places)
    entry = state.entry(places) if state is not None else None
    if state is None or entry is None or not _same(going, passed_on, state.order, entry):
        return None
    return state.url if probe(f"{state.listen_host}:{state.port}", run_id=entry.run_id).state == "ok" else None


def _same(going: Destination, passed_on: Sequence[str], order: Order, entry: RunningProxy) -> bool:
    if (order.profile, order.retarget, order.passed_on) != (going.profile, going.retarget, tuple(passed_on)):
        return False
    if going.regular or "regular" in entry.mode:
        return going.regular and entry.mode == ("regular",)
    path = parse_target(order.target).path if order.target else ""
    return leads_to(entry) == leads_to_mode(going.plan.mode or "") and path == going.plan.target_path


def fitting(agent: LaunchAgent, via: Via, host: str, places: Places) -> Iterator[RunningProxy]:
    """Those that this agent may use, the daemon's first, then the newest; none that ends with somebody else's agent.

    `host` is asked for; "" takes any but another vendor's.
    """
    state = read_state(places)
    found = sorted(
        (one for one in running_proxies(places) if not one.lent), key=lambda one: one.started_at, reverse=True
    )
    daemons = state.proxy_pid if state is not None else 0
    for entry in sorted(found, key=lambda one: one.pid != daemons):
        if any(_may_use(agent, via, host, entry, mode) for mode in entry.mode) and entry.addresses:
            yield entry


def _may_use(agent: LaunchAgent, via: Via, host: str, entry: RunningProxy, mode: str) -> bool:
    if via == "https-proxy":
        return mode.partition("@")[0] == "regular"
    target = leads_to_mode(mode)
    if target is None:
        return False
    if host:
        return target.host == host
    return target.host not in VENDOR_HOSTS or target.host in {one.vendor for one in agent.pointers}


def leads_to(entry: RunningProxy) -> Target | None:
    """Where its reverse mode leads to; None in other modes."""
    return next(filter(None, map(leads_to_mode, entry.mode)), None)


def leads_to_mode(mode: str) -> Target | None:
    """As `reverse:https://host:port` names it."""
    kind, _, rest = mode.partition(":")
    if kind != "reverse" or urlsplit(rest).scheme not in ("http", "https"):
        return None
    try:
        return parse_target(rest.rpartition("@")[0] or rest)
    except SettingsError:
        return None


def url_of(entry: RunningProxy) -> str:
    """Where a client on this machine finds it."""
    host, _, port = entry.addresses[0].rpartition(":")
    found = asked_at(host)
    return f"http://[{found}]:{port}" if ":" in found else f"http://{found}:{port}"


def destination_of(entry: RunningProxy, places: Places, environ: Mapping[str, str]) -> Destination:
    """Where a running proxy leads to, as far as the register and the daemon's order tell."""
    found, state = destination.profile_of("", environ), read_state(places)
    secrets = frozenset({found.jwt_variable})
    mode = next((one for one in entry.mode if leads_to_mode(one)), "")
    target = leads_to_mode(mode)
    if target is None:
        rules = state.order.retarget if state is not None and state.proxy_pid == entry.pid else ()
        planned = make(None, True, (), environ, rules=rules)
        return Destination("", True, plan=planned, gateway=planned.sign_in_url, secrets=secrets, retarget=rules)
    ours = host_matches(address_of(target.host, target.port), CODEMIE_HOSTS)
    signed = ours or parse_target(found.gateway_url or "-").host == target.host
    return Destination(plan=Plan(mode), gateway=target.origin if signed else "", secrets=secrets)
