"""Which session a profile signs its gateway's requests with."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from codemie_core.errors import SettingsError
from codemie_core.profile import Profile
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from codemie_core.urls import same_origin


def gateway_session(profile: Profile, url: str, environ: Mapping[str, str], store: CredentialStore) -> Session | None:
    """The session for the gateway at `url`, expired or not; None when there is none.

    A profile with authMethod jwt takes the variable it names, then the token it holds, then the store.

    SettingsError when the token is no token, or when a file of the working folder says where it would go: the store
    is bound to hosts that a person signed in to, a variable is not, and a folder may come from anyone.
    """
    if not url:
        return None
    if profile.auth_method != "jwt":
        return store.read(url, "sso")
    return given_session(profile, url, environ) or store.read(url, "jwt")


def given_session(profile: Profile, url: str, environ: Mapping[str, str]) -> Session | None:
    """The token that a JWT profile's variable or the profile itself gives, for the gateway at `url`. Asks no store.

    A profile's own token is for the profile's own gateway, whatever other one somebody names.
    """
    if not url or profile.auth_method != "jwt":
        return None
    own = profile.jwt_token if same_origin(url, profile.gateway_url) else None
    for source, secret in (
        (profile.jwt_variable, environ.get(profile.jwt_variable, "")),
        (f"profile {profile.name!r}, jwtConfig.token", own.get_secret_value() if own else ""),
    ):
        if token := secret.strip().removeprefix("Bearer ").strip():
            _require_own_url(profile, url, source)
            return _session(url, token, source)
    return None


def _require_own_url(profile: Profile, url: str, source: str) -> None:
    if profile.url_from_project and same_origin(url, profile.gateway_url):
        raise SettingsError(
            f"{profile.project_file} says where requests go, and a folder's file may come from anyone: the token of "
            f"{source} does not go there. If it may, give the same URL in your own profile or in CODEMIE_BASE_URL"
        )


def _session(url: str, token: str, source: str) -> Session:
    try:
        return Session(url, token=SecretStr(token), source=source)
    except ValueError as error:
        raise SettingsError(f"{source}: {error}; give it the token alone, as one line") from None
