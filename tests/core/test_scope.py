import pytest

from codemie_core.scope import (
    CODEMIE_HOSTS,
    MODEL_API_HOSTS,
    host_matches,
    is_local,
    normal_host,
    split_port,
    validate_hosts,
)


@pytest.mark.parametrize(
    "host, pattern, matches",
    [
        ("api.openai.com", "api.openai.com", True),
        ("API.OpenAI.com", "api.openai.com", True),
        ("api.openai.com", "API.OPENAI.COM", True),
        ("api.openai.com.", "api.openai.com", True),
        ("api.openai.com", "openai.com", False),
        ("api.openai.com.evil.example", "api.openai.com", False),
        ("evil-api.openai.com", "api.openai.com", False),
        ("a.example.com", "*.example.com", True),
        ("a.b.example.com", "*.example.com", True),
        ("example.com", "*.example.com", False),
        ("notexample.com", "*.example.com", False),
        ("api.openai.com:443", "api.openai.com", True),
        ("api.openai.com:443", "api.openai.com:443", True),
        ("api.openai.com:444", "api.openai.com:443", False),
        ("api.openai.com", "api.openai.com:443", False),
        ("a.example.com:8443", "*.example.com:8443", True),
        ("::1", "[::1]", True),
        ("[::1]:8080", "::1", True),
        ("[0:0:0:0:0:0:0:1]:8080", "[::1]:8080", True),
        ("[::2]", "[::1]", False),
        ("127.0.0.1:9", "127.0.0.1", True),
        ("", "api.openai.com", False),
        # The Kelvin sign becomes "k" in lower case.
        ("to\u212aen.example", "token.example", False),
    ],
)
def test_a_host_matches_exactly_or_below_a_wildcard(host: str, pattern: str, matches: bool) -> None:
    assert host_matches(host, [pattern]) is matches


def test_one_of_several_patterns_is_enough_and_none_matches_nothing() -> None:
    assert host_matches("b.example", ["a.example", "b.example"])
    assert not host_matches("b.example", [])


@pytest.mark.parametrize("host", ["api.anthropic.com", "api.openai.com", "chatgpt.com", "openrouter.ai"])
def test_the_known_model_apis_are_in_scope_by_default(host: str) -> None:
    assert host_matches(host, MODEL_API_HOSTS)


def test_the_default_patterns_and_the_usual_forms_are_valid() -> None:
    validate_hosts(MODEL_API_HOSTS + CODEMIE_HOSTS)
    validate_hosts(["localhost", "127.0.0.1:8080", "[::1]", "[::1]:8080", "::1", "*.example.com:65535", "a_b.example."])


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "*.",
        "*.*.example.com",
        "a.*.example.com",
        "*example.com",
        "https://api.openai.com",
        "api.openai.com/v1",
        "user@api.openai.com",
        "api.openai.com:",
        "api.openai.com:0",
        "api.openai.com:65536",
        "api.openai.com:https",
        "api.openai.com:\u0663",
        "a..example",
        "-a.example",
        ".example.com",
        "two words",
        "b\u00fccher.example",
        "[::1",
        "[::g]",
        "[::1]x",
        "*.::1",
        "1:2:3",
        "a." * 130 + "example",
    ],
)
def test_what_is_no_host_pattern_is_named_with_what_to_write(pattern: str) -> None:
    with pytest.raises(ValueError, match="not a host pattern: write") as caught:
        validate_hosts(["api.openai.com", pattern])
    assert repr(pattern) in str(caught.value)


@pytest.mark.parametrize(
    "address, parts",
    [
        ("a:1", ("a", "1")),
        ("a", ("a", "")),
        ("[::1]:1", ("[::1]", "1")),
        ("[::1]", ("[::1]", "")),
        ("::1", ("::1", "")),
    ],
)
def test_ports_are_split_off_without_hurting_ipv6(address: str, parts: tuple[str, str]) -> None:
    assert split_port(address) == parts


@pytest.mark.parametrize("host, normal", [("[::0:1]", "::1"), ("A.b.", "a.b"), ("1:G", "1:g"), ("\u212a", "\u212a")])
def test_hosts_are_compared_in_one_form(host: str, normal: str) -> None:
    assert normal_host(host) == normal


@pytest.mark.parametrize(
    "peer, local",
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("", True),
        ("10.0.0.1", False),
        ("x.example", False),
    ],
)
def test_a_peer_is_local_or_it_is_not(peer: str, local: bool) -> None:
    assert is_local(peer) is local
