"""Brings what each session has done to CodeMie: how much, never what. See docs/metrics.md for what that is.

Stands last, behind whoever counts, and fails open: no turn waits for it. What a turn adds is written to the session's
file in a thread; now and then, and at the end, what has been written is sent with the session of the browser sign-in.
Only for a profile of CodeMie (ai-run-sso), and only what went to its gateway.
"""

import asyncio
import re
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from mitmproxy import ctx
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, field_validator

from codemie_core.addon import Addon, AddonSettings
from codemie_core.core_addon import core_of
from codemie_core.durations import DURATION_PATTERN, Duration, TextOption, format_duration, parse_duration
from codemie_core.errors import SettingsError
from codemie_core.exchange import RUN_ID
from codemie_core.metrics.switches import ON, gateway_hosts, why_not
from codemie_core.options import FromEnv, FromProfile
from codemie_core.sso.backend import api_base
from codemie_core.usage.record import Record

if TYPE_CHECKING:
    from codemie_core.metrics.service import Service, Wanted

SSO_URL_OPTION = "codemie_sso_auth_url"
CA_FILE_OPTION = "codemie_upstream_attempts_ca_file"
CLI_OPTION = "codemie_header_injection_cli"
LONGEST_END = 4.0
"""Seconds; the proxy's end gives each addon five."""


def parse_interval(text: str | int | float) -> float:
    """Seconds. A bare whole number is milliseconds, as in CodeMie's variables and profile."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text / 1000
    if isinstance(text, str) and re.fullmatch(r"\d+", text.strip(), re.ASCII):
        return int(text) / 1000
    return parse_duration(text)


Interval = Annotated[
    float,
    BeforeValidator(parse_interval),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
    TextOption(format_duration),
]


class MetricsSync(Addon, priority=100):
    """The work is done by the service; here is when, and with what settings."""

    class Settings(AddonSettings):
        """CodeMie's own names for these settings count as well."""

        enabled: Annotated[bool, FromEnv("CODEMIE_SESSION_SYNC_ENABLED", ON), FromProfile("sync_enabled")] = Field(
            True, description="Send session metrics to CodeMie; otherwise they are only written to the session files."
        )
        interval: Annotated[Interval, FromEnv("CODEMIE_SESSION_SYNC_INTERVAL"), FromProfile("sync_interval_ms")] = (
            Field(300.0, ge=1, description="Time between two rounds; a bare number is in milliseconds.")
        )
        max_retries: Annotated[int, FromEnv("CODEMIE_METRICS_MAX_RETRIES"), FromProfile("sync_max_retries")] = Field(
            3, ge=0, le=10, description="Further attempts in a round when the API does not answer or is busy."
        )
        dry_run: Annotated[
            bool,
            FromEnv("CODEMIE_SESSION_DRY_RUN", ON),
            FromEnv("CODEMIE_METRICS_DRY_RUN", ON),
            FromProfile("sync_dry_run"),
        ] = Field(False, description="Send nothing; say in the log how much would be sent.")
        layout: Literal["current", "seed"] = Field(
            "current",
            description="Session files in sessions/, or in metrics/sessions/ as CodeMie's tools once had them.",
        )
        schema_version: Literal["v1", "v2"] = Field(
            "v2", description="What CodeMie is told: v2 as its tools today, v1 as once, with tokens."
        )
        path: str = Field("/v1/metrics", description="Where the API takes metrics.")
        api_url: Annotated[str, FromEnv("CODEMIE_SYNC_API_URL")] = Field(
            "", description="Base URL of the API that takes metrics; empty means the gateway that requests go to."
        )
        final_timeout: Duration = Field(
            LONGEST_END, le=LONGEST_END, description="How long the end of the proxy may wait for the last round."
        )

        @field_validator("api_url")
        @classmethod
        def _may_get_a_session(cls, url: str) -> str:
            return api_base_of(url) if url else ""

        @field_validator("path")
        @classmethod
        def _is_a_path(cls, path: str) -> str:
            if not re.fullmatch(r"(?:/[\w.~-]+)+", path, re.ASCII) or "/.." in path:
                raise ValueError("must be like /v1/metrics")
            return path

    settings: Settings

    def __init__(self) -> None:
        self._service: Service | None = None
        self._early: list[Record] = []
        self._ready = asyncio.Event()
        self._hosts: frozenset[str] = frozenset()
        self._why_not = ""

    def settled(self) -> None:
        """Take new settings while at work too."""
        if self._service is None:
            return
        wanted, before = self._wanted(), self._service.wanted
        if wanted.layout != before.layout:
            raise SettingsError("codemie_metrics_sync_layout cannot be changed while the proxy runs; restart it")
        self._service.wanted = wanted

    def start(self) -> Coroutine[Any, Any, None] | None:
        """Send what earlier proxies have left, and begin to write."""
        core = core_of(self)
        profile, environ, url = core.layers.profile, core.layers.environ, self._gateway()
        self._why_not = why_not(profile, url, environ)
        vars(self).pop("usage_recorded", None)
        if self._why_not:
            vars(self)["usage_recorded"] = None
        core.rewire()
        if self._why_not:
            return None
        self._hosts = gateway_hosts(profile, url)
        return self._go()

    async def _go(self) -> None:
        # It brings the library of the database along, which takes long enough to be felt.
        try:
            service = await asyncio.to_thread(self._make)
        except BaseException:
            # Nobody will ever ask for what came early, and nobody need wait for more.
            self._early.clear()
            self._ready.set()
            raise
        if not self.status.started or self._service is not None:
            return  # Switched off meanwhile, or off and on again.
        self._service = service
        early, self._early = self._early, []
        for record in early:
            service.recorder.put(record)
        service.begin()
        self._ready.set()

    async def drain(self) -> None:
        """Write what has been counted."""
        if not self._why_not:
            await self._ready.wait()
        if self._service is not None:
            await self._service.recorder.drain()

    async def stop(self) -> None:
        """Send what is left."""
        self._ready.clear()
        service, self._service = self._service, None
        if service is not None:
            await service.end(self.settings.final_timeout)

    def health(self) -> Mapping[str, object]:
        """What is written, sent and waiting; or why there is nothing."""
        if self._service is not None:
            return self._service.shown()
        return {"off": self._why_not} if self._why_not else {}

    def usage_recorded(self, record: Record) -> None:
        """A turn has ended and is counted."""
        if urlsplit(f"//{record.host}").hostname not in self._hosts:
            return
        if self._service is not None:
            self._service.recorder.put(record)
        elif not self._ready.is_set():
            self._early.append(record)

    async def sync_now(self) -> str:
        """Send what waits instead of waiting for the next round; what came of it, in words."""
        service = self._service
        if service is None:
            return f"nothing is sent: {self._why_not or 'it is not up yet'}"
        if not service.wanted.enabled or service.wanted.dry_run:
            return "nothing is sent: that is switched off"
        await service.recorder.drain()
        report = await service.round()
        if report.busy:
            return "another proxy is sending"
        return f"{report.sent} sent, {report.waiting} waiting{f': {report.problem}' if report.problem else ''}"

    def _gateway(self) -> str:
        if SSO_URL_OPTION in ctx.options:
            return str(getattr(ctx.options, SSO_URL_OPTION))
        return core_of(self).layers.profile.gateway_url

    def _make(self) -> "Service":
        from codemie_core.metrics.service import Service

        core = core_of(self)
        return Service(core.places, core.layers.environ, core.layers.profile, self._wanted(), RUN_ID)

    def _wanted(self) -> "Wanted":
        from codemie_core.metrics.service import Wanted

        found = {name: str(getattr(ctx.options, name)) for name in (CA_FILE_OPTION, CLI_OPTION) if name in ctx.options}
        return Wanted.of(self.settings, self._gateway(), found.get(CA_FILE_OPTION, ""), found.get(CLI_OPTION, ""))


def api_base_of(url: str) -> str:
    """The same with the gateway's path. ValueError where a session must not go."""
    try:
        return api_base(url)
    except SettingsError as problem:
        raise ValueError(str(problem)) from None


addons = [MetricsSync()]
