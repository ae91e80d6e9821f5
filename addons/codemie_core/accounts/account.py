"""An account: whose key or sign-in it is, where it may go, and for what. A value without any secret in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from codemie_core.egress import OutboundProxy
from codemie_core.target import Target, parse_target

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
"""Names go into logs, tables and command lines."""


class Kind(StrEnum):
    """How it proves itself."""

    API_KEY = "api_key"
    OAUTH = "oauth"


class Source(StrEnum):
    """Where its secret is had from."""

    VAULT = "vault"
    ENV = "env"
    COMMAND = "command"
    KEYRING = "keyring"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where the secret is. `place` is a variable's name, a command line, a keyring entry, or "" for the vault."""

    source: Source = Source.VAULT
    place: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """One of the operator's own accounts. `priority` counts lower first, `weight` shares among equals."""

    id: str
    """A uuid; the name may change."""
    name: str
    provider: str
    """A key of `providers.PROVIDERS`."""
    kind: Kind
    base_url: str
    """Its API, like https://api.anthropic.com; the only place its secret goes."""
    secret: SecretRef = SecretRef()
    priority: int = 0
    weight: int = 1
    paused: str | None = None
    """The reason; None when it is not paused."""
    needs_login: bool = False
    """Its OAuth sign-in is over: only its owner can mend that."""
    tags: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    """Patterns of models it serves; empty for all."""
    deny: tuple[str, ...] = ()
    """Patterns of models it does not serve; they count more than `allow`."""
    serves: tuple[str, ...] = ()
    """Other origins, like https://api.anthropic.com:443, whose requests may be sent to this account."""
    outbound_proxy: OutboundProxy | None = None
    fallback_model: str = ""
    """Asked for when no account that serves the asked model is usable."""
    created_at: int = 0
    """Milliseconds since the epoch."""

    @property
    def target(self) -> Target:
        """The base URL, taken apart."""
        return parse_target(self.base_url, f"account {self.name}")

    @property
    def origin(self) -> str:
        """The base URL's scheme, host and port, always with the port."""
        return self.target.origin

    def allows(self, model: str) -> bool:
        """May it be asked for this model? An unknown model ("") is never held against it."""
        if not model:
            return True
        if any(fnmatchcase(model, pattern) for pattern in self.deny):
            return False
        return not self.allow or any(fnmatchcase(model, pattern) for pattern in self.allow)
