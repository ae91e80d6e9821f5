"""What a daemon was asked for: the arguments of `codemie-proxy start`, by name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codemie_core.errors import SettingsError
from codemie_core.redact import redact_text

DEFAULT_PORT = 8080
_HOLD_A_PASSWORD = ("proxyauth", "upstream_auth", "web_password", "cert_passphrase")
"""Options of mitmproxy. Ours hold no secret, whatever their names look like."""
_HARMLESS = ("any", "@", "ldap")
"""Beginnings of a `proxyauth` that names no password."""
_LESS = ("--set", "termlog_verbosity=warn")
_OURS = re.compile(r"codemie_\w+=")
_SECRET = (
    "{what} holds a password, and arguments can be seen by others on this machine: write it into mitmproxy's "
    "config.yaml (chmod 600), or take it out"
)


@dataclass(frozen=True, slots=True)
class Order:
    """Two orders that are equal lead to the same proxy."""

    target: str = ""
    regular: bool = False
    profile: str = ""
    listen_host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 takes a free one."""
    watch: bool = True
    """Is it started again when it fails?"""
    retarget: tuple[str, ...] = ()
    """HOST=URL each, in regular mode."""
    passed_on: tuple[str, ...] = ()
    """For mitmdump, as it is."""

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> Order:
        """What `dataclasses.asdict` and JSON made of one; what a newer version says more is passed over."""
        known = {field.name for field in dataclasses.fields(cls)}
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
        }
        return cls(**{name: value for name, value in given.items() if name in known})

    def arguments(self, port: int | None = None) -> list[str]:
        """Those of `start`, for this port instead of the one that was asked for."""
        made = [self.target] if self.target else []
        made += ["--regular"] if self.regular else []
        made += [part for rule in self.retarget for part in ("--retarget", rule)]
        made += ["--profile", self.profile] if self.profile else []
        made += ["--listen-host", self.listen_host, "--port", str(self.port if port is None else port), "--quiet"]
        # Lines about each connection would fill the log, our own looks among them.
        noise = () if any("termlog_verbosity" in argument for argument in self.passed_on) else _LESS
        return [*made, "--", *noise, *self.passed_on]

    def differences(self, wanted: Order, port: int) -> list[str]:
        """What is otherwise in `wanted`, a line each; this order's proxy listens on `port`."""
        lines = []
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(wanted, field.name)
            if field.name == "port":
                mine, theirs = port, theirs or port
            if mine != theirs:
                lines.append(f"{_WORDS[field.name]} is {_shown(mine)}, not {_shown(theirs)}")
        return lines


_WORDS = {
    "target": "TARGET",
    "regular": "--regular",
    "profile": "--profile",
    "listen_host": "--listen-host",
    "port": "--port",
    "watch": "--watch",
    "retarget": "--retarget",
    "passed_on": "what follows --",
}


def require_no_secret(order: Order) -> None:
    """SettingsError when an argument holds a password: arguments are kept in a file, and are seen in `ps`."""
    if order.target and redact_text(order.target) != order.target:
        raise SettingsError(_SECRET.format(what="TARGET"))
    if any(redact_text(rule) != rule for rule in order.retarget):
        raise SettingsError(_SECRET.format(what="--retarget"))
    for before, argument in zip(("", *order.passed_on), order.passed_on, strict=False):
        named = _assigned(before, argument)
        name, _, value = named.partition("=")
        ours = _OURS.match(named)
        plain = redact_text(value) == value if ours else redact_text(named) == named
        if not plain or (name in _HOLD_A_PASSWORD and value and not value.startswith(_HARMLESS)):
            raise SettingsError(_SECRET.format(what=f"--set {name}=..." if value else "an argument after --"))


def _assigned(before: str, argument: str) -> str:
    """`name=value` for each of mitmdump's ways to write that; else the argument."""
    if before in ("--proxyauth", "--upstream-auth"):
        return f"{before.removeprefix('--').replace('-', '_')}={argument}"
    text = argument.removeprefix("--set=").removeprefix("--")
    name, separator, value = text.partition("=")
    return f"{name.replace('-', '_')}{separator}{value}" if argument.startswith("--") else text


def _shown(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value)) or "nothing"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) or "not given"
