"""The CodeMie profile, read only: what CodeMie's own tools were told about gateway, model, project and sign-in.

A variable of the environment wins over the file of the working folder, that one over the global file; except that a
profile picked by name keeps its own gateway, provider, model, integration and way to sign in. How the files are read
and a profile chosen is in profile_files.py.

Unlike CodeMie's own tools we do not load the `.env` of the working folder: a folder is often a repository that
somebody else wrote, and would get to say where tokens go.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.profile_files import LEGACY_NAME, Chosen, Layer, Layered, choose
from codemie_core.scope import address_of

GATEWAY_PATH = "/code-assistant-api"
"""Where CodeMie's gateway answers; its root says 405."""
GATEWAY_PROVIDERS = frozenset({"ai-run-sso", "bearer-auth"})
SSO_PROVIDER = "ai-run-sso"
JWT_VARIABLE = "CODEMIE_JWT_TOKEN"
PROFILE_VARIABLE = "CODEMIE_PROFILE_NAME"
"""The profile that the agent's own start chose, when we run inside one."""

AuthMethod = Literal["sso", "jwt", ""]

# What a provider's profile means when it does not say.
_USUAL_METHOD: Mapping[str, AuthMethod] = {SSO_PROVIDER: "sso", "bearer-auth": "jwt"}
_METHODS: Mapping[str, AuthMethod] = {"sso": "sso", "jwt": "jwt"}
_VARIABLES = {
    "provider": "CODEMIE_PROVIDER",
    "baseUrl": "CODEMIE_BASE_URL",
    "codeMieUrl": "CODEMIE_URL",
    "model": "CODEMIE_MODEL",
    "timeout": "CODEMIE_TIMEOUT",
    "codeMieProject": "CODEMIE_PROJECT",
    "codeMieIntegration": "CODEMIE_INTEGRATION_ID",
    "authMethod": "CODEMIE_AUTH_METHOD",
}
# These reach into a profile picked by name, too; the others belong to another gateway.
_REACH_EVERYWHERE = frozenset({"timeout", "codeMieProject"})
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Profile:
    """What we take from a profile; empty text and None mean unset. API keys and cookies stay out."""

    name: str = LEGACY_NAME
    provider: str = ""
    base_url: str = ""
    """With the gateway's path for CodeMie's providers, without a slash at the end."""
    codemie_url: str = ""
    model: str = ""
    timeout_ms: int | None = None
    project: str = ""
    integration_id: str = ""
    auth_method: AuthMethod = ""
    """How to sign in to the gateway: what authMethod says, else what is usual for the provider."""
    jwt_variable: str = JWT_VARIABLE
    """The variable that holds the JWT, when there is one."""
    jwt_token: SecretStr | None = field(default=None, repr=False)
    project_file: str = ""
    """The file of the working folder that had a part in this; "" when there is none."""
    url_from_project: bool = False
    """Does that file alone decide where the gateway is? Then no secret that is not bound to a host goes there."""
    metrics_enabled: bool | None = None
    """Are metrics to be collected?"""
    sync_enabled: bool | None = None
    """Does CodeMie's CLI send what it has collected of a session?"""
    sync_dry_run: bool | None = None
    sync_interval_ms: int | None = None
    sync_max_retries: int | None = None

    @property
    def requires_integration(self) -> bool:
        """Does the provider want the integration named in each request?"""
        return self.provider == SSO_PROVIDER

    @property
    def gateway_url(self) -> str:
        """Where CodeMie's gateway is; "" when the profile's provider is another's."""
        if self.provider not in GATEWAY_PROVIDERS and not self.auth_method:
            return ""
        return _gateway(self.provider, self.base_url, self.codemie_url)

    @property
    def base_path(self) -> str:
        """The path part of the base URL, "" when there is none."""
        return urlsplit(self.base_url).path

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where CodeMie is, as "host:port"; the base URL of another provider is not CodeMie's."""
        found = (urlsplit(url) for url in (self.gateway_url, self.codemie_url) if url)
        return tuple(
            address_of(parts.hostname, parts.port or (80 if parts.scheme == "http" else 443))
            for parts in found
            if parts.hostname
        )


def load_profile(
    places: Places, environ: Mapping[str, str], name: str | None = None, folder: Path | None = None
) -> Profile:
    """The profile called `name`, else of CODEMIE_PROFILE_NAME, else the active one; without a file the environment's.

    `folder` is the working folder, whose `.codemie/codemie-cli.config.json` lies over the global file.

    SettingsError names the file or variable, the place and the fix.
    """
    inherited = "" if name else environ.get(PROFILE_VARIABLE, "")
    asked = f"{PROFILE_VARIABLE}: " if inherited else ""
    chosen = choose(places.profile, folder, name or inherited or None, asked)
    for layer in (*chosen.project, *chosen.own):
        _require_safe_token(layer, of_folder=layer in chosen.project)
    variables = _environment(environ, pinned=bool(name))
    profile = _profile(Layered((variables, *chosen.project, *chosen.own)), chosen)
    own = _profile(Layered((variables, *chosen.own)), chosen) if chosen.project else profile
    moved = (profile.base_url, profile.gateway_url) != (own.base_url, own.gateway_url)
    return dataclasses.replace(profile, url_from_project=moved)


def _environment(environ: Mapping[str, str], pinned: bool) -> Layer:
    keys = _REACH_EVERYWHERE if pinned else _VARIABLES.keys()
    found: dict[str, object] = {key: environ[_VARIABLES[key]] for key in keys if environ.get(_VARIABLES[key])}
    if integration := found.get("codeMieIntegration"):
        found["codeMieIntegration"] = {"id": integration}
    return Layer(found, "", _VARIABLES)


def _profile(values: Layered, chosen: Chosen) -> Profile:
    provider = values.text("provider")
    codemie_url = values.url("codeMieUrl")
    jwt = values.inside("jwtConfig")
    token = jwt.text("token")
    return Profile(
        name=chosen.name,
        provider=provider,
        base_url=_gateway(provider, values.url("baseUrl"), codemie_url),
        codemie_url=codemie_url,
        model=values.text("model"),
        timeout_ms=values.milliseconds("timeout"),
        project=values.text("codeMieProject"),
        integration_id=values.inside("codeMieIntegration").text("id"),
        auth_method=_auth_method(values.text("authMethod"), provider),
        jwt_variable=jwt.text("tokenEnvVar") or JWT_VARIABLE,
        jwt_token=SecretStr(token) if token else None,
        project_file=chosen.project_file,
        metrics_enabled=_flag(values, "metrics", "enabled"),
        # The older name of today's `session.sync`.
        sync_enabled=_flag(values, "session", "sync", "enabled", older="metrics"),
        sync_dry_run=_flag(values, "session", "sync", "dryRun", older="metrics"),
        sync_interval_ms=_number(values, "session", "sync", "interval", older="metrics"),
        sync_max_retries=_number(values, "session", "sync", "maxRetries", older="metrics", least=0),
    )


def _flag(values: Layered, *keys: str, older: str = "") -> bool | None:
    found = _deep(values, keys, older)
    return found if isinstance(found, bool) else None


def _number(values: Layered, *keys: str, older: str = "", least: int = 1) -> int | None:
    found = _deep(values, keys, older)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= least else None


def _deep(values: Layered, keys: tuple[str, ...], older: str) -> object:
    """What the strongest layer says there; a switch of CodeMie's tools that is no switch keeps nobody from starting."""
    for first in (keys[0], older) if older else keys[:1]:
        for layer in values.layers:
            found: object = layer.values
            for key in (first, *keys[1:]):
                found = found.get(key) if isinstance(found, Mapping) else None
            if found is not None:
                return found
    return None


def _auth_method(text: str, provider: str) -> AuthMethod:
    # "manual" and "api-key" are words of CodeMie's tools too: no session is wanted.
    return _METHODS.get(text.lower(), "") if text else _USUAL_METHOD.get(provider, "")


def _require_safe_token(layer: Layer, of_folder: bool) -> None:
    """A folder's file may come from anyone: it must not choose any variable as the token, or whose account we use."""
    jwt = layer.inside("jwtConfig")
    variable = jwt.text("tokenEnvVar")
    if variable and not _VARIABLE_NAME.fullmatch(variable):
        raise SettingsError(f"{jwt.where}tokenEnvVar must be a variable's name, like {JWT_VARIABLE}")
    if of_folder and variable and not variable.startswith("CODEMIE_"):
        raise SettingsError(
            f"{jwt.where}tokenEnvVar must begin with CODEMIE_ in a folder's file; name others in your own profile"
        )
    if of_folder and jwt.text("token"):
        raise SettingsError(f"{jwt.where}token does not belong into a folder's file; remove it and set {JWT_VARIABLE}")


def _gateway(provider: str, base_url: str, codemie_url: str) -> str:
    """The base URL with the gateway's path where the provider is CodeMie's; from the portal's URL for SSO."""
    if provider not in GATEWAY_PROVIDERS:
        return base_url
    found = base_url or (codemie_url if provider == SSO_PROVIDER else "")
    return found if not found or GATEWAY_PATH in found else found + GATEWAY_PATH
