"""Where telemetry goes: the option, OpenTelemetry's variables, and what is said when they cannot be used."""

import sys

import pytest

from codemie_core.errors import SettingsError
from codemie_core.telemetry.endpoint import Signal, endpoint_for, require_exporter

OPTION = "codemie_telemetry_endpoint"
BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    "signal, option, environ, url",
    [
        ("traces", "", {}, "http://localhost:4318/v1/traces"),
        ("metrics", "", {}, "http://localhost:4318/v1/metrics"),
        ("traces", "https://otel.example.com/", {}, "https://otel.example.com/v1/traces"),
        ("traces", "https://otel.example.com/team", {BASE: "http://other"}, "https://otel.example.com/team/v1/traces"),
        ("traces", "", {BASE: "http://other:4318"}, "http://other:4318/v1/traces"),
        ("traces", "", {BASE: "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/t"}, "http://b/t"),
        ("metrics", "", {BASE: "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/t"}, "http://a/v1/metrics"),
        ("traces", "http://a", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://a/v1/traces"),
    ],
)
def test_the_option_stands_before_the_variables(signal: Signal, option: str, environ: dict[str, str], url: str) -> None:
    assert endpoint_for(signal, option, OPTION, environ).url == url


@pytest.mark.parametrize(
    "option, environ, told",
    [
        ("localhost:4318", {}, f"{OPTION} must be like http://localhost:4318"),
        ("http://user:planted-secret@host", {}, f"{OPTION} must be like"),
        ("", {BASE: "unix:/socket"}, f"{BASE} must be like"),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "x"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be like"),
        ("", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, f"only http/protobuf is spoken here: set {OPTION}"),
        ("", {"OTEL_EXPORTER_OTLP_HEADERS": "a=1,planted-secret"}, "OTEL_EXPORTER_OTLP_HEADERS: its entry 2 is not"),
        ("", {"OTEL_EXPORTER_OTLP_HEADERS": "a b=planted-secret"}, "its entry 1 is not like name=value"),
        ("", {"OTEL_EXPORTER_OTLP_HEADERS": "a=planted-secret%0Ab"}, "its entry 1 holds characters no header may have"),
    ],
)
def test_what_cannot_be_used_is_named_and_no_secret_is(option: str, environ: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        endpoint_for("traces", option, OPTION, environ)
    assert told in str(caught.value)
    assert "planted-secret" not in str(caught.value)


def test_headers_are_read_and_never_shown() -> None:
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20planted-secret, x-team = a "}
    found = endpoint_for("traces", "", OPTION, environ)
    values = {name: secret.get_secret_value() for name, secret in found.headers.items()}
    assert values == {"authorization": "Bearer planted-secret", "x-team": "a"}
    assert "planted-secret" not in repr(found)


def test_a_signals_own_headers_replace_those_for_all() -> None:
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "a=1", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "b=2"}
    assert list(endpoint_for("metrics", "", OPTION, environ).headers) == ["b"]
    assert list(endpoint_for("traces", "", OPTION, environ).headers) == ["a"]


def test_the_host_is_what_messages_call_it() -> None:
    assert endpoint_for("traces", "http://localhost:4318/x", OPTION, {}).host == "localhost:4318"


def test_an_exporter_that_is_installed_is_found_without_importing_it() -> None:
    require_exporter("codemie_telemetry_otlp")


def test_without_the_exporter_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.exporter")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    with pytest.raises(SettingsError, match=r"codemie_telemetry_otlp is set.*pip install 'codemie-proxy\[otlp\]'"):
        require_exporter("codemie_telemetry_otlp")
