"""What `start` asks mitmdump for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codemie_core.credential import is_loopback
from codemie_core.errors import SettingsError
from codemie_core.interception.rules import parse_rules
from codemie_core.places import Places
from codemie_core.profile import GATEWAY_PATH
from codemie_core.scope import CODEMIE_HOSTS, address_of, host_matches
from codemie_core.sources import read_layers
from codemie_core.target import Target, parse_target

BUNDLE = Path(__file__).parents[2] / "codemie.py"
"""Beside codemie_core in a checkout, an editable install and a wheel alike."""
DEFAULT_TARGET = "https://api.anthropic.com"
VENDORS = {
    "anthropic": DEFAULT_TARGET,
    "anthropic-subscription": DEFAULT_TARGET,
    "openai": "https://api.openai.com",
}
"""Where a profile's provider is when the profile gives no base URL."""
SIGN_IN_URL = "codemie_sso_auth_url"
RULES = "codemie_retargeting_rules"
UNSIGNED = "Nobody is signed in to TARGET: it is not https, and the session would travel unencrypted."


@dataclass(frozen=True, slots=True)
class Plan:
    """A mode of mitmproxy, None when the user names modes of their own; and a line to say first."""

    mode: str | None
    target_path: str = ""
    note: str = ""
    profile: str = ""
    """Picked by name."""
    sign_in_url: str = ""
    """A CodeMie gateway that was named on the command line."""
    rules: tuple[str, ...] = ()
    """Where model calls go instead, in regular mode."""


def make(
    target: str | None,
    regular: bool,
    passed_on: Sequence[str],
    environ: Mapping[str, str],
    profile: str = "",
    rules: Sequence[str] = (),
) -> Plan:
    """Decide where to. SettingsError when the arguments contradict each other or the target is no URL."""
    if profile and "codemie_profile" in set_options(passed_on):
        raise SettingsError("give either --profile or --set codemie_profile=... after --, not both")
    found = dataclasses.replace(_where(target, regular, passed_on, environ, profile), profile=profile)
    return _retargeted(found, rules) if rules else found


def _retargeted(found: Plan, rules: Sequence[str]) -> Plan:
    """A rule that leads to a CodeMie gateway has its requests signed in to it."""
    if found.mode != "regular":
        raise SettingsError("--retarget needs --regular: in another mode the target is the one it was started for")
    try:
        targets = [rule.target for rule in parse_rules(rules)]
    except ValueError as problem:
        raise SettingsError(f"--retarget: {problem}") from None
    gateways = tuple(dict.fromkeys(filter(None, map(_gateway, targets))))
    if len(gateways) > 1:
        raise SettingsError("--retarget: requests can be signed in to one CodeMie gateway alone, and these are several")
    unsigned = any(_is_gateway(target) and not _is_private(target) for target in targets)
    return dataclasses.replace(
        found, rules=tuple(rules), sign_in_url="".join(gateways), note=UNSIGNED if unsigned else found.note
    )


def _where(
    target: str | None, regular: bool, passed_on: Sequence[str], environ: Mapping[str, str], profile: str
) -> Plan:
    if target and regular:
        raise SettingsError("--regular takes no TARGET: in that mode each request names its own host")
    if names_mode(passed_on):
        if target or regular:
            raise SettingsError("give either TARGET or --regular, or a --mode after --, not both")
        return Plan(None)
    if regular:
        return Plan("regular")
    if target:
        wanted = parse_target(target)
        note = "" if _is_private(wanted) or not _is_gateway(wanted) else UNSIGNED
        return Plan(f"reverse:{wanted.origin}", wanted.path, note, sign_in_url=_gateway(wanted))
    return _without_target({**set_options(passed_on), **({"codemie_profile": profile} if profile else {})}, environ)


def _gateway(wanted: Target) -> str:
    """The target's URL if it can only be CodeMie's gateway: requests are signed in to it, never over plain HTTP."""
    return f"{wanted.origin}{wanted.path}" if _is_gateway(wanted) and _is_private(wanted) else ""


def _is_gateway(wanted: Target) -> bool:
    return GATEWAY_PATH in wanted.path or host_matches(address_of(wanted.host, wanted.port), CODEMIE_HOSTS)


def _is_private(wanted: Target) -> bool:
    return wanted.scheme == "https" or is_loopback(wanted.host)


def _without_target(options: Mapping[str, str], environ: Mapping[str, str]) -> Plan:
    layers = read_layers(Places.from_env(environ), environ, options)
    profile = layers.profile
    if profile.base_url:
        wanted = parse_target(profile.base_url, "CodeMie profile: baseUrl")
        # The path stays the bundle's business, so that its option and codemie.yaml stand above the profile.
        note = f"TARGET is the base URL of the CodeMie profile {profile.name!r}: {profile.base_url}"
        if profile.url_from_project:
            note += f"\n{profile.project_file} says so: what your agent sends goes there, its own key too"
        return Plan(f"reverse:{wanted.origin}", note=note)
    if vendor := VENDORS.get(profile.provider):
        note = f"TARGET is the provider of the CodeMie profile {profile.name!r}, {profile.provider}: {vendor}"
        return Plan(f"reverse:{vendor}", note=note)
    if profile.provider:
        raise SettingsError(
            f"the CodeMie profile {profile.name!r} has no baseUrl, and its provider {profile.provider!r} no address "
            "known here: give TARGET, or add baseUrl to the profile"
        )
    # Problems in the files are not reported here: the bundle does it, together with all others, and does not start.
    note = "" if layers.problems else f"No TARGET given and no CodeMie profile found: {DEFAULT_TARGET} it is."
    return Plan(f"reverse:{DEFAULT_TARGET}", note=note)


def arguments(
    plan: Plan,
    port: int | None,
    listen_host: str,
    quiet: bool,
    passed_on: Sequence[str],
    confdir: Path | None = None,
) -> list[str]:
    """The command line for mitmdump's own parser; what the user passes on comes last and wins."""
    made = ["-s", str(BUNDLE)]
    if confdir is not None:
        made += ["--set", f"confdir={confdir}"]
    if "listen_host" not in set_options(passed_on):  # Given as --set it would lose against our flag.
        made += ["--listen-host", listen_host]
    if plan.mode:
        made += ["--mode", plan.mode]
    if port is not None:
        made += ["--listen-port", str(port)]
    if plan.target_path:
        made += ["--set", f"codemie_upstream_attempts_target_path={plan.target_path}"]
    if plan.profile:
        made += ["--set", f"codemie_profile={plan.profile}"]
    if plan.sign_in_url and SIGN_IN_URL not in set_options(passed_on):
        made += ["--set", f"{SIGN_IN_URL}={plan.sign_in_url}"]
    for rule in plan.rules:
        made += ["--set", f"{RULES}={rule}"]
    if quiet:
        made += ["--set", "flow_detail=0"]
    return [*made, *passed_on]


def wants_own_authority(plan: Plan, passed_on: Sequence[str]) -> bool:
    """Does this proxy answer TLS in other hosts' names, and has the user not said with which authority?"""
    return plan.mode == "regular" and "confdir" not in set_options(passed_on)


def set_options(passed_on: Sequence[str]) -> dict[str, str]:
    """The options that mitmdump's arguments set by `--set name=value`."""
    found = {}
    for before, argument in zip(["", *passed_on], passed_on, strict=False):
        text = argument if before == "--set" else argument.removeprefix("--set=")
        if before == "--set" or text != argument:
            name, _, value = text.partition("=")
            found[name] = value
    return found


def names_mode(passed_on: Sequence[str]) -> bool:
    """Do mitmdump's arguments choose a mode?"""
    return "mode" in set_options(passed_on) or any(
        argument in ("-m", "--mode") or argument.startswith("--mode=") or (argument[:2] == "-m" and argument[2:3] != "")
        for argument in passed_on
    )
