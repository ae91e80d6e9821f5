"""URLs that people write: which are plain, and whose they are."""

import pytest

from codemie_core.urls import is_plain_url, origin_of, same_origin


@pytest.mark.parametrize(
    "text, plain",
    [
        ("https://h", True),
        ("http://h:8080/a/b", True),
        ("https://[::1]:8443/x", True),
        ("https://приклад.example", True),
        ("h", False),
        ("ftp://h", False),
        ("https://", False),
        ("https://h:port", False),
        ("https://h:0", False),
        ("https://h:99999", False),
        ("https://u@h", False),
        ("https://:p@h", False),
        ("https://h?q", False),
        ("https://h#f", False),
        ("https://h/a b", False),
        ("https://h/\n", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_a_plain_url_is_scheme_host_port_and_path(text: str, plain: bool) -> None:
    assert is_plain_url(text) is plain


@pytest.mark.parametrize(
    "url, origin",
    [
        ("https://codemie.example.com", "https://codemie.example.com"),
        ("HTTPS://CodeMie.Example.COM/", "https://codemie.example.com"),
        ("https://codemie.example.com:443/code-assistant-api?q#f", "https://codemie.example.com"),
        ("http://h:80", "http://h"),
        ("http://h:443", "http://h:443"),
        ("https://h:8443/x", "https://h:8443"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
        (" https://h ", "https://h"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://user:pass@h/x", "https://h"),
    ],
)
def test_the_origin_is_spelled_as_javascript_does(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["", "h", "ftp://h", "https://", "https://h:x", "https://[::1", "https://\udcff"])
def test_what_has_no_origin_is_refused_and_is_never_the_same(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        origin_of(url)
    assert not same_origin(url, url)


def test_origins_differ_by_scheme_host_and_port() -> None:
    assert same_origin("https://h/a", "https://H:443/b")
    for other in ("http://h", "https://h:8443", "https://x.h", "https://h.", "https://h@evil.example"):
        assert not same_origin("https://h", other)
