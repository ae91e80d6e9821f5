"""Whether metrics are collected, and whose sessions are sent: what the profile and CodeMie's own variables say."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from codemie_core.profile import SSO_PROVIDER, Profile

DISABLED = "CODEMIE_METRICS_DISABLED"
CLI_SENDS = "CODEMIE_SESSION_SYNC_ENABLED"
ON = frozenset({"1", "true"})
"""What CodeMie's tools take for yes."""


def why_not(profile: Profile, url: str, environ: Mapping[str, str]) -> str:
    """Why nothing is collected, in a few words; "" when it is. `url` is the gateway that requests are signed in to."""
    if environ.get(DISABLED, "").strip().lower() in ON:
        return f"{DISABLED} is set"
    if profile.provider != SSO_PROVIDER:
        return f"the profile's provider is {profile.provider or 'not set'}, not {SSO_PROVIDER}"
    if profile.auth_method == "jwt":
        return "CodeMie takes metrics with a browser sign-in only, and this profile signs in with a token"
    if profile.metrics_enabled is False:
        return "the profile says metrics.enabled: false"
    return "" if url else "no CodeMie gateway is known: set codemie_sso_auth_url"


def cli_sends(profile: Profile, environ: Mapping[str, str]) -> bool:
    """Does CodeMie's CLI send the metrics of its own sessions? Then nobody else does."""
    said = environ.get(CLI_SENDS)
    if said is not None:
        return said.strip().lower() in ON
    return profile.sync_enabled is not False


def gateway_hosts(profile: Profile, url: str) -> frozenset[str]:
    """Names of the hosts whose model turns count as CodeMie's."""
    named = (urlsplit(url).hostname, *(urlsplit(f"//{host}").hostname for host in profile.hosts))
    return frozenset(name for name in named if name)
