"""Where people sign in, as data: what is built in, and what `proxy/providers.yaml` of the home says of it or adds.

No client id is built in: each belongs to a product, and we never pass for another one. The operator registers a client
with the provider and names it. Only the home's file counts: a folder somebody checked out must not send tokens away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from codemie_core.accounts.providers import PROVIDERS
from codemie_core.credential import is_loopback
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.settings import load_config_file, nearest
from codemie_core.sources import did_you_mean
from codemie_core.target import without_version

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_ORIGIN = re.compile(r"https?://[^/?#@\s]+")


class UnknownProvider(SettingsError):
    """Nobody can sign in there."""


class OAuthProvider(BaseModel):
    """One sign-in service with the client we are there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """By which commands and stored tokens know it."""
    label: str = ""
    provider: str
    """A key of `accounts.providers.PROVIDERS`: whose API the tokens are for."""
    base_url: str = ""
    """The API; "" for that provider's own."""
    authorize_url: str = ""
    token_url: str = ""
    device_url: str = ""
    """RFC 8628's device authorization endpoint; "" when it has none."""
    revoke_url: str = ""
    issuer: str = ""
    """Its RFC 8414 metadata fill in the URLs that are empty."""
    client_id: str = ""
    client_secret_variable: str = ""
    """The environment variable with the client's secret; "" for a public client."""
    scopes: tuple[str, ...] = ()
    redirect_uri: str = ""
    """"" for http://127.0.0.1:<free port>/callback, else what was registered with the client."""
    token_request: Literal["form", "json"] = "form"
    authorize_parameters: Mapping[str, str] = {}
    """Added to the authorization URL."""
    serves: tuple[str, ...] = ()
    """Other origins whose requests the accounts may serve."""

    @field_validator("provider")
    @classmethod
    def _known_provider(cls, value: str) -> str:
        if value not in PROVIDERS:
            raise ValueError(f"must be one of {', '.join(PROVIDERS)}")
        return value

    @field_validator("authorize_url", "token_url", "device_url", "revoke_url", "issuer", "base_url")
    @classmethod
    def _safe_url(cls, value: str) -> str:
        if value and not is_safe_url(value):
            raise ValueError("must be an https URL without a user in it (http only on this machine)")
        return value

    @field_validator("base_url")
    @classmethod
    def _without_version(cls, value: str) -> str:
        return without_version(value.rstrip("/"))

    @field_validator("redirect_uri")
    @classmethod
    def _safe_redirect(cls, value: str) -> str:
        if value and not is_safe_url(value):
            raise ValueError("must be an https URL, or http://127.0.0.1:PORT/path")
        return value

    @field_validator("serves")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError("must be origins, like https://api.anthropic.com:443")
        return value

    @property
    def api(self) -> str:
        """The base URL of its accounts; "" when neither it nor its provider has one."""
        return self.base_url or PROVIDERS[self.provider].base_url

    @property
    def variable(self) -> str:
        """The environment variable that names the client."""
        return f"CODEMIE_OAUTH_{self.name.upper().replace('-', '_')}_CLIENT_ID"

    def require_client(self, places: Places) -> None:
        """SettingsError, with what to write where, when no client is named."""
        if not self.client_id:
            raise SettingsError(
                f"{self.name}: no client id is set. Register a client of your own with {self.label or self.name} and "
                f"write it into {providers_file(places)}, as {self.name}: {{client_id: ...}}, or set {self.variable}"
            )


_BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "anthropic": {
        "label": "Anthropic",
        "provider": "anthropic",
        "authorize_url": "https://claude.ai/oauth/authorize",
        "token_url": "https://platform.claude.com/v1/oauth/token",
        "redirect_uri": "https://platform.claude.com/oauth/code/callback",
        "scopes": ["user:profile", "user:inference"],
        "token_request": "json",
        "authorize_parameters": {"code": "true"},
    },
    "openai": {
        "label": "OpenAI",
        "provider": "openai",
        "authorize_url": "https://auth.openai.com/oauth/authorize",
        "token_url": "https://auth.openai.com/oauth/token",
        "scopes": ["openid", "profile", "email", "offline_access"],
    },
}


def providers_file(places: Places) -> Path:
    """The operator's own providers, and changes to those built in."""
    return places.proxy / "providers.yaml"


def load_providers(places: Places, environ: Mapping[str, str]) -> Mapping[str, OAuthProvider]:
    """All of them by name. SettingsError names file, provider, key and the fix."""
    path = providers_file(places)
    fields = {name: dict(built_in) for name, built_in in _BUILT_IN.items()}
    for name, changes in load_config_file(path, required=False).items():
        if not _NAME.fullmatch(str(name)):
            raise SettingsError(f"{path}: {name!r} is no name for a provider: use small letters, digits, - and _")
        if not isinstance(changes, Mapping):
            raise SettingsError(f"{path}: {name} must hold keys and values, like {name}: {{client_id: ...}}")
        fields.setdefault(name, {}).update({str(key): value for key, value in changes.items()})
    return {name: _provider(path, name, found, environ) for name, found in fields.items()}


def provider_named(places: Places, environ: Mapping[str, str], name: str) -> OAuthProvider:
    """Where to sign in. UnknownProvider names the nearest and all."""
    known = load_providers(places, environ)
    if name in known:
        return known[name]
    names = ["codemie", *known]
    close = nearest(name, names)
    meant = f"did you mean {close!r}? " if close else ""
    raise UnknownProvider(f"there is no provider {name!r} to sign in to; {meant}there are: {', '.join(names)}")


def is_safe_url(url: str) -> bool:
    """https, or http on this machine, with a host and without user, fragment or space?"""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is the check
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc or parts.fragment or not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def _provider(path: Path, name: str, fields: Mapping[str, Any], environ: Mapping[str, str]) -> OAuthProvider:
    if "name" in fields:
        raise SettingsError(f"{path}: {name}.name: the name is the key above; leave this line out")
    try:
        found = OAuthProvider.model_validate({**fields, "name": name})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        # A misspelt key says more than the one that is missing for it.
        problem = min(problems, key=lambda one: one["type"] != "extra_forbidden")
        key = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden":
            hint = did_you_mean(key, OAuthProvider.model_fields)
            raise SettingsError(f"{path}: {name} has no key {key!r}{hint}") from None
        if problem["type"] == "missing":
            raise SettingsError(f"{path}: {name}.{key} is missing") from None
        raise SettingsError(f"{path}: {name}.{key}: {problem['msg'].removeprefix('Value error, ')}") from None
    if client_id := environ.get(found.variable, "").strip():
        found = found.model_copy(update={"client_id": client_id})
    return found
