"""A target: one URL, taken apart."""

import pytest

from codemie_core.errors import SettingsError
from codemie_core.target import Target, parse_target, with_prefix, without_version


@pytest.mark.parametrize(
    "url, target, origin",
    [
        ("https://api.anthropic.com", Target("https", "api.anthropic.com", 443), "https://api.anthropic.com:443"),
        ("api.anthropic.com", Target("https", "api.anthropic.com", 443), "https://api.anthropic.com:443"),
        ("http://localhost:8080/", Target("http", "localhost", 8080), "http://localhost:8080"),
        ("http://localhost", Target("http", "localhost", 80), "http://localhost:80"),
        ("https://[::1]:9/v1/", Target("https", "::1", 9, "/v1"), "https://[::1]:9"),
        (
            "https://codemie.example.com/code-assistant-api",
            Target("https", "codemie.example.com", 443, "/code-assistant-api"),
            "https://codemie.example.com:443",
        ),
    ],
)
def test_a_url_becomes_a_target(url: str, target: Target, origin: str) -> None:
    assert parse_target(url) == target
    assert target.origin == origin


@pytest.mark.parametrize(
    "url, says",
    [
        ("ftp://example.com", "scheme 'ftp'"),
        ("https://", "no host"),
        ("https:///v1", "no host"),
        ("https://example.com:port", "write https://host"),
        ("https://example.com:99999", "write https://host"),
        ("https://[broken", "write https://host"),
        ("https://someone:planted-pass@example.com", "credentials do not belong"),
        ("https://someone@example.com", "credentials do not belong"),
        ("https://example.com/?key=planted-pass", "from the ? or # on"),
        ("https://example.com/#top", "from the ? or # on"),
    ],
)
def test_what_is_wrong_with_a_target_is_said_without_its_secrets(url: str, says: str) -> None:
    with pytest.raises(SettingsError) as problem:
        parse_target(url, "codemie_target")
    assert str(problem.value).startswith("codemie_target: ")
    assert says in str(problem.value)
    assert "planted" not in str(problem.value)


@pytest.mark.parametrize(
    "path, prefix, expected",
    [
        ("/v1/messages?beta=true", "", "/v1/messages?beta=true"),
        ("/v1/messages?beta=true", "/api", "/api/v1/messages?beta=true"),
        ("/api/v1/messages", "/api", "/api/v1/messages"),
        ("/api?x=1", "/api", "/api?x=1"),
        ("/api", "/api", "/api"),
        ("/apis/v1", "/api", "/api/apis/v1"),
        ("/", "/api", "/api/"),
    ],
)
def test_a_prefix_is_put_before_a_path_once(path: str, prefix: str, expected: str) -> None:
    assert with_prefix(path, prefix) == expected
    assert with_prefix(expected, prefix) == expected


@pytest.mark.parametrize(
    "path, kept",
    [
        ("", ""),
        ("/v1", ""),
        ("/api/v1", "/api"),
        ("/api/v1beta", "/api"),
        ("/v1alpha2", ""),
        ("/v1/x", "/v1/x"),
        ("/v2", "/v2"),
    ],
)
def test_the_version_that_calls_bring_is_left_out(path: str, kept: str) -> None:
    assert without_version(path) == kept
