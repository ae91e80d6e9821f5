"""The settings at the top level of codemie.yaml."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from codemie_core.bundle_settings import BundleSettings
from codemie_core.scope import host_matches


def test_the_defaults_serve_this_machine_and_the_known_model_apis() -> None:
    settings = BundleSettings()
    assert not settings.allow_remote_peers
    for host in ("api.anthropic.com:443", "api.openai.com:443", "codemie.lab.epam.com:443"):
        assert host_matches(host, settings.hosts)
    assert not host_matches("github.com:443", settings.hosts)


@pytest.mark.parametrize("hosts", [("https://api.example.com",), ("a b",), ("*",), ("",)])
def test_hosts_that_are_no_patterns_are_refused(hosts: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        BundleSettings(hosts=hosts)


def test_flows_kept_cannot_be_negative() -> None:
    with pytest.raises(ValidationError):
        BundleSettings(kept_flows=-1)
