"""Whether metrics are collected, and whose sessions are sent."""

from collections.abc import Mapping
from typing import Any

import pytest

from codemie_core.metrics.switches import cli_sends, gateway_hosts, why_not
from codemie_core.profile import Profile

URL = "https://codemie.example.com/code-assistant-api"
SSO = Profile(provider="ai-run-sso", auth_method="sso", base_url=URL)


@pytest.mark.parametrize(
    "fields, url, environ, why",
    [
        ({}, URL, {}, ""),
        ({"metrics_enabled": True}, URL, {"CODEMIE_METRICS_DISABLED": "0"}, ""),
        ({"provider": "litellm"}, URL, {}, "the profile's provider is litellm, not ai-run-sso"),
        ({"provider": ""}, URL, {}, "the profile's provider is not set, not ai-run-sso"),
        ({"provider": "bearer-auth"}, URL, {}, "the profile's provider is bearer-auth, not ai-run-sso"),
        ({"auth_method": "jwt"}, URL, {}, "signs in with a token"),
        ({"metrics_enabled": False}, URL, {}, "metrics.enabled: false"),
        ({}, "", {}, "codemie_sso_auth_url"),
        ({}, URL, {"CODEMIE_METRICS_DISABLED": "1"}, "CODEMIE_METRICS_DISABLED is set"),
    ],
)
def test_only_codemies_own_sign_in_has_metrics(
    fields: dict[str, Any], url: str, environ: Mapping[str, str], why: str
) -> None:
    profile = Profile(**{"provider": "ai-run-sso", "auth_method": "sso", **fields})
    found = why_not(profile, url, environ)
    assert bool(found) == bool(why)
    assert why in found


@pytest.mark.parametrize(
    "said, enabled, sends",
    [
        (None, None, True),
        (None, True, True),
        (None, False, False),
        ("true", False, True),
        ("1", False, True),
        ("false", True, False),
        ("yes", None, False),
    ],
)
def test_codemies_cli_sends_its_own_unless_it_is_told_not_to(
    said: str | None, enabled: bool | None, sends: bool
) -> None:
    environ = {} if said is None else {"CODEMIE_SESSION_SYNC_ENABLED": said}
    assert cli_sends(Profile(sync_enabled=enabled), environ) is sends


def test_the_gateways_host_is_that_of_the_sign_in_and_those_of_the_profile() -> None:
    profile = Profile(provider="ai-run-sso", base_url=URL, codemie_url="https://portal.example.com:8443")
    hosts = gateway_hosts(profile, "http://127.0.0.1:8080/code-assistant-api")
    assert hosts == {"127.0.0.1", "codemie.example.com", "portal.example.com"}
