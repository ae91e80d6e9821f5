"""Which requests a web page could have sent."""

import pytest

from codemie_core.access.browser_guard import BrowserGuard, normal_origin

GUARD = BrowserGuard(names=("host.docker.internal", "*.lan", "build:8080"), origins=("https://tool.example.com",))
LOCAL, LAN, LAN6 = "127.0.0.1", "192.168.7.4", "fd00::7"


@pytest.mark.parametrize(
    "asked_host, entrance",
    [
        ("", LOCAL),  # unknown: a client of HTTP/1.0, no browser
        ("127.0.0.1:8080", LOCAL),
        ("127.0.0.1", LAN),
        ("127.9.9.9:1", LOCAL),
        ("localhost", LOCAL),
        ("LocalHost.:8080", LOCAL),
        ("claude.localhost:8080", LOCAL),
        ("[::1]:8080", "::1"),
        ("[0:0:0:0:0:0:0:1]:8080", "::1"),
        ("[::ffff:127.0.0.1]:8080", LOCAL),
        ("192.168.7.4:8080", LAN),
        ("[fd00::7]:8080", LAN6),
        ("host.docker.internal:8080", LOCAL),
        ("box.lan:8080", LAN),
        ("build:8080", LAN),
    ],
)
def test_a_client_that_names_this_machine_passes(asked_host: str, entrance: str) -> None:
    assert GUARD.judge(asked_host, entrance, None, None) is None


@pytest.mark.parametrize(
    "asked_host",
    [
        "evil.example:8080",
        "evil.example",
        "127.0.0.1.evil.example:8080",
        "localhost.evil.example",
        "evillocalhost",
        "192.168.7.4:8080",  # some other machine
        "0.0.0.0:8080",
        "[fd00::7]:8080",
        "localhost:8080, evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1:80a",
        "localhost:\uff18\uff10",
        "build:9090",
        "lan:8080",
        "127.1:8080",
        "2130706433:8080",
        ":8080",
        " ",
        "\u212aube",
    ],
)
def test_a_client_that_names_somebody_else_is_misdirected(asked_host: str) -> None:
    problem = GUARD.judge(asked_host, LOCAL, None, None)
    assert problem is not None
    assert (problem.status, problem.code) == (421, "misdirected_request")
    assert "codemie_proxy_access_names" in problem.message


@pytest.mark.parametrize("fetch_site", [None, "same-origin", "same-site", "cross-site"])
@pytest.mark.parametrize(
    "origin",
    [
        "http://127.0.0.1:3000",
        "http://localhost:3000",
        "https://localhost",
        "http://[::1]:3000",
        "http://app.localhost:5173",
        "http://host.docker.internal:3000",
        "https://tool.example.com",
        "HTTPS://Tool.example.com",
        "vscode-file://vscode-app",
        "vscode-webview://0abc123",
        "app://obsidian.md",
        "file://",
        "tauri://localhost",
    ],
)
def test_pages_of_this_machine_and_desktop_shells_may_ask(origin: str, fetch_site: str | None) -> None:
    assert GUARD.judge("127.0.0.1:8080", LOCAL, origin, fetch_site) is None


@pytest.mark.parametrize("fetch_site", [None, "same-origin", "none", "cross-site"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://evil.example:8080",
        "null",
        "",
        "https://",
        "https://localhost.evil.example",
        "https://evil.example#localhost",
        "https://localhost@evil.example",
        "http://127.0.0.1, https://evil.example",
        "https://tool.example.com:8443",
        "https://sub.tool.example.com",
        "http://tool.example.com",
        "chrome-extension://abcdefghijklmnop",
        "moz-extension://0f0f",
        "safari-web-extension://0f0f",
        "127.0.0.1",
    ],
)
def test_pages_of_elsewhere_and_extensions_may_not(origin: str, fetch_site: str | None) -> None:
    problem = GUARD.judge("127.0.0.1:8080", LOCAL, origin, fetch_site)
    assert problem is not None
    # 403 makes Claude Code open its login.
    assert (problem.status, problem.code) == (400, "cross_site_request")
    assert "codemie_proxy_access_origins" in problem.message


@pytest.mark.parametrize(
    "fetch_site, passes",
    [
        (None, True),
        ("none", True),  # somebody typed the address
        ("same-origin", True),
        ("same-site", False),
        ("cross-site", False),
        (" Cross-Site ", False),
    ],
)
def test_a_browser_that_names_no_origin_is_believed_about_the_site(fetch_site: str | None, passes: bool) -> None:
    assert (GUARD.judge("127.0.0.1:8080", LOCAL, None, fetch_site) is None) is passes


def test_an_extension_passes_once_it_is_named() -> None:
    guard = BrowserGuard(origins=("chrome-extension://abc",))
    assert guard.judge("127.0.0.1:8080", LOCAL, "chrome-extension://abc", "none") is None
    assert guard.judge("127.0.0.1:8080", LOCAL, "chrome-extension://abd", "none") is not None


def test_words_of_a_client_are_shown_in_part_only() -> None:
    problem = GUARD.judge("evil" * 1000, LOCAL, None, None)
    assert problem is not None
    assert len(problem.message) < 400


@pytest.mark.parametrize("origin", ["https://Tool.example.com", "https://tool.example.com/"])
def test_an_origin_is_kept_as_browsers_write_it(origin: str) -> None:
    assert normal_origin(origin) == "https://tool.example.com"


@pytest.mark.parametrize("origin", ["", "*", "null", "tool.example.com", "https://", "https://a/b", "https://a?b"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="is not an origin"):
        normal_origin(origin)
