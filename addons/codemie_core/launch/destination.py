"""Where the proxy of a run leads to: decided before it starts, since a key for one place must not go to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from codemie_core.cli import plan
from codemie_core.errors import SettingsError
from codemie_core.launch.agents import GENERIC, LaunchAgent
from codemie_core.launch.environment import Via
from codemie_core.places import Places
from codemie_core.profile import Profile
from codemie_core.sources import read_layers
from codemie_core.target import parse_target

NO_TARGET = (
    "where {command} calls to is not known: give --target URL, like --target https://api.openai.com, "
    "or use --via https-proxy"
)
SEVERAL = "{variables} lead to different places, and a run has one: give --target URL"
MISFIT = "{variable} does not end in {suffix}, so that nothing can be put before it: give --target URL"
MEANT = (
    "{variable} leads elsewhere, and {key} may be meant for that place alone: --target says where it may go with "
    "{command}, or unset {variable}"
)


@dataclass(frozen=True, slots=True)
class Destination:
    """What a proxy is started with, and what is known about it."""

    target: str = ""
    """TARGET of `start`; "" when the profile decides, or in https-proxy mode."""
    regular: bool = False
    profile: str = ""
    plan: plan.Plan = plan.Plan(None)  # noqa: RUF009 - it is frozen
    gateway: str = ""
    """CodeMie's gateway, when requests are signed in to it."""
    secrets: frozenset[str] = frozenset()
    """Variables with a token of the profile's."""
    retarget: tuple[str, ...] = ()
    """In https-proxy mode: HOST=URL, where its vendor's model calls go instead."""
    notes: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """Those of `codemie-proxy start`."""
        made = [self.target] if self.target else []
        made += ["--regular"] if self.regular else []
        made += ["--profile", self.profile] if self.profile else []
        return (*made, *(part for rule in self.retarget for part in ("--retarget", rule)))

    @property
    def host(self) -> str:
        """Where it leads; "" in https-proxy mode, where each request names its own."""
        return urlsplit((self.plan.mode or "").removeprefix("reverse:")).hostname or ""


def decide(
    agent: LaunchAgent, command: str, via: Via, target: str | None, profile: str, environ: Mapping[str, str]
) -> Destination:
    """The target that is asked for; else the profile's; else where the agent is led already; else its vendor.

    SettingsError when there is none of these, or they contradict each other.
    """
    found = profile_of(profile, environ)
    secrets = frozenset({found.jwt_variable})
    notes = []
    if target is None and not found.base_url:
        target, note = (_usual if via == "base-url" else _vendor)(agent, command, environ)
        notes += [note] if note else []
    led = plan.make(target, False, (), environ, profile) if target or found.base_url else plan.make(None, True, (), {})
    if led.note and ((found.url_from_project and target is None) or led.note == plan.UNSIGNED):
        notes.append(led.note)
    gateway = led.sign_in_url or (found.gateway_url if target is None else "")
    if via == "base-url":
        return Destination(target or "", False, profile, led, gateway, secrets, notes=tuple(notes))
    rules = _rules(agent, target or found.base_url) if target or found.base_url else ()
    regular = plan.make(None, True, (), environ, profile, rules)
    return Destination("", True, profile, regular, gateway if rules else "", secrets, rules, tuple(notes))


def _rules(agent: LaunchAgent, url: str) -> tuple[str, ...]:
    """What sends the agent's model calls there instead of to its vendor; nothing when that is where they go."""
    vendors = dict.fromkeys(pointer.vendor for pointer in (agent.pointers or GENERIC.pointers))
    return () if parse_target(url).host in vendors else tuple(f"{vendor}={url}" for vendor in vendors)


def _usual(agent: LaunchAgent, command: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """(target, what to say about it)."""
    led = {one.variable: one.value.removeprefix("{url}") for one in agent.pointers if environ.get(one.variable)}
    led = {name: suffix for name, suffix in led.items() if name in agent.base_url}
    targets = {}
    for variable, suffix in led.items():
        url = environ[variable].rstrip("/")
        if not url.endswith(suffix):
            raise SettingsError(MISFIT.format(variable=variable, suffix=suffix))
        targets[variable] = url.removesuffix(suffix)
        parse_target(targets[variable], variable)
    if len(set(targets.values())) > 1:
        raise SettingsError(SEVERAL.format(variables=" and ".join(targets)))
    if targets:
        variable, url = next(iter(targets.items()))
        return url, f"TARGET is what {variable} says: {url}"
    if agent is GENERIC:
        raise SettingsError(NO_TARGET.format(command=command))
    return agent.default_target, ""


def _vendor(agent: LaunchAgent, command: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """As `_usual`. In https-proxy mode the agent's base URL is taken from it; so its key must not be that host's."""
    vendors = {pointer.vendor for pointer in agent.pointers}
    key = next(filter(environ.get, agent.key_variables), "")
    for variable in agent.base_url:
        url = environ.get(variable)
        if key and url and parse_target(url, variable).host not in vendors:
            raise SettingsError(MEANT.format(variable=variable, key=key, command=command))
    return agent.default_target, ""


def profile_of(name: str, environ: Mapping[str, str]) -> Profile:
    """The CodeMie profile of this name, else the one in force."""
    layers = read_layers(Places.from_env(environ), environ, {"codemie_profile": name} if name else {})
    return layers.profile
