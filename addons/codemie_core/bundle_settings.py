"""The settings of the bundle as a whole: the top level of codemie.yaml."""

from __future__ import annotations

from pydantic import Field, field_validator

from codemie_core.addon import AddonSettings
from codemie_core.scope import CODEMIE_HOSTS, MODEL_API_HOSTS, validate_hosts


class BundleSettings(AddonSettings):
    """Settings of the bundle as a whole: at the top level of codemie.yaml."""

    config: str = Field("", description="Path of codemie.yaml, when it is not the one under the CodeMie home.")
    profile: str = Field("", description="Name of the CodeMie profile to use, when it is not the active one.")
    hosts: tuple[str, ...] = Field(
        (*MODEL_API_HOSTS, *CODEMIE_HOSTS),
        description="Hosts to act on in regular mode, beside the profile's own; *.example.com covers all below it.",
    )
    enabled: tuple[str, ...] = Field((), description="Run only these addons; empty means all.")
    disabled: tuple[str, ...] = Field((), description="Do not run these addons.")
    session_id: str = Field("", description="Session id for X-CodeMie-Session-ID instead of one per conversation.")
    allow_remote_peers: bool = Field(False, description="Serve clients that are not on this machine.")
    kept_flows: int = Field(500, ge=0, description="Finished flows that mitmweb and mitmproxy keep; 0 keeps all.")

    @field_validator("hosts")
    @classmethod
    def _hosts_are_patterns(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        validate_hosts(hosts)
        return hosts
