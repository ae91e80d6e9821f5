"""The environment and the arguments with which an agent reaches the proxy. Pure: nothing is read but what is given."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import quote

from codemie_core.egress import bypasses
from codemie_core.errors import SettingsError
from codemie_core.interception.trust import Trust, trust_variables
from codemie_core.launch.agents import AGENTS, GENERIC, PROXY_HANDLED, LaunchAgent, Pointer

type Via = Literal["base-url", "https-proxy"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy")
_ANY_PROXY = ("https_proxy", "http_proxy", "all_proxy")
_SECRET = re.compile(
    r"CODEMIE_(VAULT_\w+|DATABASE_URL|\w*(TOKEN|SECRET|PASSWORD|CREDENTIAL|COOKIE|API_KEY|PRIVATE_KEY)\w*)"
)
_LOGIN_IN_URL = re.compile(r"://[^/@\s]+@")
VENDOR_HOSTS = frozenset(pointer.vendor for agent in (*AGENTS.values(), GENERIC) for pointer in agent.pointers)
"""Of those a target may be: all others are gateways, and may serve any API."""
NO_BASE_URL = "{title} has no setting for a base URL that could be given for one run: use --via https-proxy"


@dataclass(frozen=True, slots=True)
class Prepared:
    """How the agent's environment differs from ours, and what comes before the user's arguments."""

    set: Mapping[str, str]
    removed: tuple[str, ...] = ()
    """Variables that are there and must not be."""
    arguments: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    """Variables with a secret of ours; they are removed, or hold something else now."""
    notes: tuple[str, ...] = ()
    """What the user should know about it."""

    def applied(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The agent's environment."""
        return {name: value for name, value in environ.items() if name not in self.removed} | dict(self.set)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known about this proxy and this user beside the environment."""

    target_host: str = ""
    """Where the proxy leads to, in base-url mode."""
    signed_in: Collection[str] = ()
    """Vendors, by host, on whose requests the proxy puts a credential of its own."""
    logged_in: bool = False
    """Has the agent a login of its own?"""
    defaults: Mapping[str, str] = MappingProxyType({})
    """See defaults.py."""
    client_key: str = ""
    """What the agent has to show to the proxy."""
    secrets: Collection[str] = ()
    """Further variables that only the proxy needs."""


def prepare(
    agent: LaunchAgent,
    via: Via,
    url: str,
    trust: Trust | None,
    environ: Mapping[str, str],
    known: Circumstances = Circumstances(),
) -> Prepared:
    """What to change for `agent` to go through the proxy at `url` (http://127.0.0.1:8080, no slash at the end).

    `trust` is needed for https-proxy mode. SettingsError when the agent cannot be led this way.
    """
    visible = without_secrets(environ, known.secrets)
    secrets = tuple(name for name in environ if name not in visible)
    if via == "base-url":
        prepared = _base_url(agent, url, visible, known)
    else:
        assert trust is not None
        prepared = _https_proxy(agent, url, trust, visible, known)
    gone = tuple(name for name in (*secrets, *prepared.removed) if name not in prepared.set)
    return Prepared(MappingProxyType(dict(prepared.set)), gone, prepared.arguments, secrets, prepared.notes)


def _base_url(agent: LaunchAgent, url: str, environ: Mapping[str, str], known: Circumstances) -> Prepared:
    pointers = pointers_to(agent, known.target_host)
    if not pointers:
        raise SettingsError(NO_BASE_URL.format(title=agent.title))
    changed = {name: value for name, value in agent.fixed.items() if not environ.get(name)} | dict(known.defaults)
    for pointer in pointers:
        changed |= _pointed(pointer, url, {**environ, **changed})
    changed |= _client_keys(agent, pointers, environ, known) or _keys(agent, environ, known)
    if any(environ.get(name) or environ.get(name.upper()) for name in _ANY_PROXY):
        changed |= direct(environ, ())
    key = next((name for name in agent.key_variables if {**environ, **changed}.get(name)), "")
    arguments = agent.arguments if key or not agent.keyless else agent.keyless
    removed, notes = _removed((*agent.removed, *agent.no_base_url), environ)
    filled = tuple(one.replace("{url}", url).replace("{key}", key) for one in arguments)
    return Prepared(changed, removed, filled, notes=notes)


def _https_proxy(
    agent: LaunchAgent, url: str, trust: Trust, environ: Mapping[str, str], known: Circumstances
) -> Prepared:
    if known.client_key:
        url = url.replace("://", f"://codemie-proxy:{quote(known.client_key, safe='')}@")
    changed = dict.fromkeys(PROXY_VARIABLES, url) | dict(trust_variables(trust, environ)) | direct(environ, agent.hosts)
    if not known.logged_in:
        changed |= _keys(agent, environ, known)
    # A base URL of the user's would lead to somewhere that is not decrypted.
    removed, notes = _removed((*agent.base_url, *agent.removed), environ)
    return Prepared(changed, removed, notes=notes)


def pointers_to(agent: LaunchAgent, target_host: str) -> Sequence[Pointer]:
    """Those that may lead to this target: a key for one vendor must not be sent to another."""
    vendor = target_host in VENDOR_HOSTS and any(one.vendor == target_host for one in agent.pointers)
    return [one for one in agent.pointers if not vendor or one.vendor == target_host]


def _pointed(pointer: Pointer, url: str, environ: Mapping[str, str]) -> dict[str, str]:
    value = pointer.value.replace("{url}", url)
    if not pointer.path:
        return {pointer.variable: value}
    document = _document(pointer.variable, environ.get(pointer.variable, ""))
    inner: dict[str, Any] = document
    for key in pointer.path[:-1]:
        if not isinstance(inner.get(key), dict):
            inner[key] = {}
        inner = inner[key]
    inner[pointer.path[-1]] = value
    return {pointer.variable: json.dumps(document)}


def _document(variable: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SettingsError(f"{variable} is set and holds no JSON object; correct it or unset it")
    return copy.deepcopy(found)


def _client_keys(
    agent: LaunchAgent, pointers: Sequence[Pointer], environ: Mapping[str, str], known: Circumstances
) -> dict[str, str]:
    if not known.client_key:
        return {}
    led = {pointer.vendor for pointer in pointers}
    wanted = (key.variables for key in agent.keys if key.vendor in led)
    return {names[0]: known.client_key for names in wanted if known.client_key not in map(environ.get, names)}


def _keys(agent: LaunchAgent, environ: Mapping[str, str], known: Circumstances) -> dict[str, str]:
    wanted = (key.variables for key in agent.keys if key.vendor in known.signed_in)
    return {names[0]: PROXY_HANDLED for names in wanted if not any(environ.get(name) for name in names)}


def direct(environ: Mapping[str, str], hosts: Sequence[str]) -> dict[str, str]:
    """NO_PROXY with loopback, and without what would keep `hosts` from the proxy."""
    changed = {}
    for name, other in (("NO_PROXY", "no_proxy"), ("no_proxy", "NO_PROXY")):
        rules = [rule.strip() for rule in (environ.get(name) or environ.get(other) or "").replace(" ", ",").split(",")]
        kept = [rule for rule in rules if rule and not any(bypasses(rule, host, 443) for host in hosts)]
        changed[name] = ",".join([*kept, *(one for one in LOOPBACK if one not in kept)])
    return changed


def _removed(names: Sequence[str], environ: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    there = tuple(name for name in names if environ.get(name))
    return there, tuple(f"{name} is left out for this run: it would lead past the proxy" for name in there)


def without_secrets(environ: Mapping[str, str], further: Collection[str] = ()) -> dict[str, str]:
    """The environment without what only the proxy needs: what looks like a secret of ours, and `further`."""
    return {name: value for name, value in environ.items() if name not in further and not _is_secret(name, value)}


def _is_secret(name: str, value: str) -> bool:
    return bool(_SECRET.fullmatch(name)) or (name.startswith("CODEMIE_") and bool(_LOGIN_IN_URL.search(value)))
