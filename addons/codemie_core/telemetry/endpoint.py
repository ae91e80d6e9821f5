"""Where spans and metrics go: the option, else the variables every OpenTelemetry program knows. OTLP over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from codemie_core.errors import SettingsError
from codemie_core.urls import is_plain_url

DEFAULT = "http://localhost:4318"
EXPORTER = "opentelemetry.exporter.otlp.proto.http"

type Signal = Literal["traces", "metrics"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One signal's address, and the headers that let us in there."""

    url: str
    headers: Mapping[str, SecretStr] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """For messages."""
        return urlsplit(self.url).netloc


def endpoint_for(signal: Signal, option: str, option_name: str, environ: Mapping[str, str]) -> Endpoint:
    """SettingsError names what is wrong, and never a header's value."""
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_"
    url, where = option, option_name
    if not option:
        protocol = environ.get(f"{own}PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
        if protocol != "http/protobuf":
            raise SettingsError(
                f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}, but only http/protobuf is spoken here: "
                f"set {option_name} to a collector that takes it, like {DEFAULT}"
            )
        url, where = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT, "OTEL_EXPORTER_OTLP_ENDPOINT"
    whole = "" if option else environ.get(f"{own}ENDPOINT", "")
    if whole:
        url, where = whole, f"{own}ENDPOINT"
    if not is_plain_url(url):
        raise SettingsError(f"{where} must be like {DEFAULT}, without user, password, ? and #")
    variable = f"{own}HEADERS" if environ.get(f"{own}HEADERS") else "OTEL_EXPORTER_OTLP_HEADERS"
    headers = _headers(environ.get(variable, ""), variable)
    return Endpoint(whole or f"{url.rstrip('/')}/v1/{signal}", headers)


def require_exporter(option: str) -> None:
    """SettingsError when what sends is not installed. Looks only, imports nothing."""
    try:
        found = find_spec(EXPORTER) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise SettingsError(
            f"{option} is set, but what sends to a collector is missing: pip install 'codemie-proxy[otlp]'"
        )


def _headers(text: str, variable: str) -> dict[str, SecretStr]:
    found = {}
    for number, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        name, equals, value = entry.partition("=")
        name, value = name.strip().lower(), unquote(value.strip())
        if not equals or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise SettingsError(f"{variable}: its entry {number} is not like name=value; separate entries by commas")
        if not value.isascii() or not value.isprintable():
            raise SettingsError(f"{variable}: the value of its entry {number} holds characters no header may have")
        found[name] = SecretStr(value)
    return found
