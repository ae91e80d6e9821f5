"""What `start` asks mitmdump for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.sources import read_layers
from codemie_core.target import parse_target

BUNDLE = Path(__file__).parents[2] / "codemie.py"
"""Beside codemie_core in a checkout, an editable install and a wheel alike."""
DEFAULT_TARGET = "https://api.anthropic.com"


@dataclass(frozen=True, slots=True)
class Plan:
    """A mode of mitmproxy, None when the user names modes of their own; and a line to say first."""

    mode: str | None
    target_path: str = ""
    note: str = ""


def make(target: str | None, regular: bool, passed_on: Sequence[str], environ: Mapping[str, str]) -> Plan:
    """Decide where to. SettingsError when the arguments contradict each other or the target is no URL."""
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
        return Plan(f"reverse:{wanted.origin}", wanted.path)
    return _without_target(passed_on, environ)


def _without_target(passed_on: Sequence[str], environ: Mapping[str, str]) -> Plan:
    # Problems in the files are not reported here: the bundle does it, together with all others.
    profile = read_layers(Places.from_env(environ), environ, set_options(passed_on)).profile
    if profile.base_url:
        wanted = parse_target(profile.base_url, "CodeMie profile: baseUrl")
        # The path stays the bundle's business, so that its option and codemie.yaml stand above the profile.
        note = f"TARGET is the base URL of the CodeMie profile {profile.name!r}: {profile.base_url}"
        return Plan(f"reverse:{wanted.origin}", note=note)
    return Plan(
        f"reverse:{DEFAULT_TARGET}",
        note=f"No TARGET given and no CodeMie profile found: {DEFAULT_TARGET} it is.",
    )


def arguments(plan: Plan, port: int | None, listen_host: str, quiet: bool, passed_on: Sequence[str]) -> list[str]:
    """The command line for mitmdump's own parser; what the user passes on comes last and wins."""
    made = ["-s", str(BUNDLE)]
    if "listen_host" not in set_options(passed_on):  # Given as --set it would lose against our flag.
        made += ["--listen-host", listen_host]
    if plan.mode:
        made += ["--mode", plan.mode]
    if port is not None:
        made += ["--listen-port", str(port)]
    if plan.target_path:
        made += ["--set", f"codemie_upstream_attempts_target_path={plan.target_path}"]
    if quiet:
        made += ["--set", "flow_detail=0"]
    return [*made, *passed_on]


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
