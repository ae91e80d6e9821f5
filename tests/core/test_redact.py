import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codemie_core.redact import (
    REDACTED,
    SECRET_HEADERS,
    RedactedHeaders,
    is_secret_name,
    redact_quoted,
    redact_text,
    redact_url,
)
from support.yardstick import microseconds

PLANTED = "pLanted0123456789"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwTGFudGVkIn0.pLanted0123456789-_x"

SECRET_NAMES = [
    *sorted(SECRET_HEADERS),
    "Authorization",
    "COOKIE",
    "x-auth-token",
    "X-Amz-Security-Token",
    "x-csrf-tokens",
    "client-secret",
    "x-password",
    "my-apikey",
    "x-portkey-api-key",
    "x-credential-id",
    "x-session-key",
    "x-forwarded-authorization",
    "x-private-key",
]
HARMLESS_NAMES = [
    "x-codemie-session-id",
    "x-codemie-request-id",
    "x-claude-code-session-id",
    "session-id",
    "anthropic-ratelimit-tokens-remaining",
    "x-ratelimit-limit-tokens",
    "content-type",
    "anthropic-version",
    "max_tokens",
]


@pytest.mark.parametrize("name", SECRET_NAMES)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_no_way_of_showing_headers_shows_a_secret(name: str, as_bytes: bool) -> None:
    value = f"{PLANTED}; with more"
    pair = (name.encode(), value.encode()) if as_bytes else (name, value)
    headers = RedactedHeaders([pair, ("accept", "*/*")])
    shown = [
        str(headers),
        repr(headers),
        f"{headers}",
        f"{headers!r}",
        f"{headers!s:>200}",
        "%s %r" % (headers, headers),  # noqa: UP031 - one of the ways
    ]
    shown += [str(headers.items()), str(dict(headers.items())), str([headers]), str(vars(type(headers)))]
    shown += [repr(pickle.dumps(headers)), repr(copy.deepcopy(headers)), ascii(headers)]
    assert not any(PLANTED in text for text in shown)
    assert headers.items() == ((name, REDACTED), ("accept", "*/*"))


def test_nothing_inside_redacted_headers_holds_the_secret() -> None:
    with pytest.raises(AttributeError) as caught:
        RedactedHeaders([("cookie", PLANTED)]).cookie  # type: ignore[attr-defined]  # noqa: B018 - the error is what is read
    assert PLANTED not in str(caught.value) + repr(caught.value.obj)
    assert PLANTED not in repr(RedactedHeaders([("cookie", PLANTED)])._pairs)


@pytest.mark.parametrize("name", HARMLESS_NAMES)
def test_harmless_headers_are_shown_as_they_came(name: str) -> None:
    assert not is_secret_name(name)
    assert repr(RedactedHeaders([(name, "abc-123")])) == f"<RedactedHeaders({name}: 'abc-123')>"


def test_secrets_under_harmless_header_names_are_found_by_their_shape() -> None:
    shown = str(
        RedactedHeaders([("referer", f"https://h/?key={PLANTED}"), ("x-note", f"Bearer {PLANTED}"), (b"x", b"\xff")])
    )
    assert PLANTED not in shown
    assert "https://h/?key=[redacted]" in shown


@pytest.mark.parametrize(
    "url, shown",
    [
        ("https://h/p?alt=sse&key=§", "https://h/p?alt=sse&key=[redacted]"),
        ("https://user:§@h/p", "https://[redacted]@h/p"),
        ("//§@h/p", "//[redacted]@h/p"),
        ("/cb?code=§&state=§&x=1", "/cb?code=[redacted]&state=[redacted]&x=1"),
        ("/p?KEY=§", "/p?KEY=[redacted]"),
        ("/p?api_key=§#access_token=§", "/p?api_key=[redacted]#access_token=[redacted]"),
        ("/p?%6bey=§", "/p?%6bey=[redacted]"),
        ("/p?key=§;§", "/p?key=[redacted]"),
        ("/p?a=1;key=§", "/p?a=1;key=[redacted]"),
        ("/p?key=a b §", "/p?key=[redacted]"),
        ("/p?key=§=§", "/p?key=[redacted]"),
        ("/p?to=https%3A%2F%2Fh%2F%3Ftoken%3D§", "/p?to=[redacted]"),
        ("/p?to=https%3A%2F%2Fh%2F%3Fx%3D1", "/p?to=https%3A%2F%2Fh%2F%3Fx%3D1"),
        ("/p?X-Amz-Signature=§&X-Amz-Credential=§", "/p?X-Amz-Signature=[redacted]&X-Amz-Credential=[redacted]"),
        ("/p?max_tokens=5&keyboard=us&monkey=1", "/p?max_tokens=5&keyboard=us&monkey=1"),
        ("https://h:8080/v1/messages?beta=true", "https://h:8080/v1/messages?beta=true"),
        ("/sk-ant-oat01-§/x", "/[redacted]/x"),
        ("", ""),
    ],
)
def test_urls_keep_their_form_and_lose_their_secrets(url: str, shown: str) -> None:
    assert redact_url(url.replace("§", PLANTED)) == shown


@pytest.mark.parametrize(
    "parameter",
    [
        "key",
        "api_key",
        "token",
        "access_token",
        "refresh_token",
        "code",
        "state",
        "auth",
        "password",
        "secret",
        "sig",
        "signature",
        "id_token",
        "client_secret",
    ],
)
def test_every_secret_parameter_is_redacted_in_urls_and_in_urls_in_text(parameter: str) -> None:
    url = f"https://h.example/p?x=1&{parameter}={PLANTED}"
    assert redact_url(url) == f"https://h.example/p?x=1&{parameter}={REDACTED}"
    assert redact_text(f"GET '{url}' failed") == f"GET 'https://h.example/p?x=1&{parameter}={REDACTED} failed"


@pytest.mark.parametrize(
    "text",
    [
        "sk-§",
        "key sk-ant-api03-§ is wrong",
        "sk-proj-§.",
        "Bearer §",
        "bearer  §",
        "authorization: Basic dXNlcjpwTGFudGVkMDEyMzQ1Njc4OQ==",
        "Basic dXNlcjpwTGFudGVkMDEyMzQ1Njc4OQ==",
        JWT,
        f"x{JWT}",
        f"token={JWT}",
        "ya29.§",
        "AIza§",
        "1//0§",
        "GOCSPX-§",
        "ghp_§",
        "github_pat_§",
        "xoxb-§",
        "AKIAPLANTED012345678",
        "gsk_§",
        "hf_§",
        "xai-§",
        "Cookie: a=§; b=§",
        "Set-Cookie: sid=§; Path=/\r\nDate: now",
        "cookie=a=§; b=§",
        "headers: {'cookie': 'a=§; b=§', 'accept': '*/*'}",
        "[(b'cookie', b'a=§; b=§'), (b'accept', b'*/*')]",
        '{"access_token": "§", "n": 1}',
        '{"access_token":"with \\" quote §"}',
        '{\\"access_token\\": \\"§\\"}',
        '{"apiKey": "§',
        '{"password": "two words §',
        "password = §",
        "api_key='§'",
        "SECRET=>§",
        "ANTHROPIC_API_KEY=§",
        "x-api-key: §",
        "Proxy-Authorization: Digest username=§, response=§",
        "error: token: §",
        "connect to https://user:§@h:1/ failed",
        "redirected to /cb?code=§",
        "grant_type=refresh_token&refresh_token=§",
        "session-key: §",
    ],
)
def test_secrets_in_free_text_are_found(text: str) -> None:
    shown = redact_text(text.replace("§", PLANTED))
    assert REDACTED in shown
    for trace in (PLANTED, "PLANTED", "wTGFudGVk", "pwTGF"):
        assert trace not in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Cannot connect to api.anthropic.com:443: connection refused. Try again in a minute.",
        "max_tokens: 4096 is too large",
        "used 12 tokens: 5 in, 7 out",
        "This risk-free task-oriented disk-space message stays.",
        "Basic authentication is not supported",
        "Bearer of bad news",
        "see https://example.com/docs?page=2#top",
        "line one\r\n  line two\ttabbed",
        "a == b, c => d, 'e', 'f'",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


def test_what_stands_around_a_secret_is_kept() -> None:
    text = f"{{'cookie': 'a={PLANTED}', 'accept': '*/*'}} Bearer {PLANTED}, refused"
    assert redact_text(text) == "{'cookie': '[redacted]', 'accept': '*/*'} Bearer [redacted], refused"


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_can_be_redacted(text: str) -> None:
    redact_text(text)
    redact_url(text)
    redact_quoted(text)


@settings(deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_a_bearer_token_is_found_in_any_surroundings(before: str, after: str) -> None:
    assert PLANTED not in redact_text(f"{before} Bearer sk-{PLANTED} {after}")


@pytest.mark.parametrize(
    "quoted, shown",
    [
        ("'https://ann:§@h/x' is no host", "'https://[redacted]@h/x' is no host"),
        ("'https://h/x?api_key=§' is no host", "'https://h/x?api_key=[redacted] is no host"),
        ("'sk-ant-§' is no name", "'[redacted]' is no name"),
        ("openai.token_request: Input should be 'form'", "openai.token_request: Input should be 'form'"),
        ("make it 'gemini-api-key', or use --via", "make it 'gemini-api-key', or use --via"),
        ("write http://<user>@host:port", "write http://<user>@host:port"),
    ],
)
def test_a_sentence_of_ours_keeps_its_own_words(quoted: str, shown: str) -> None:
    assert redact_quoted(quoted.replace("§", PLANTED)) == shown


LONG = [
    "a" * 100_000,
    "token" * 20_000,
    "eyJ" * 30_000,
    "//" * 50_000,
    "sk-" * 30_000,
    "a=" * 50_000,
    "cookie:" * 15_000,
]
LONG += [
    "'" * 100_000,
    'token: "' * 12_000,
    "Basic " * 15_000,
    "Bearer " * 15_000,
    "Basic a" + "b" * 100_000,
    "\\" * 100_000,
]
LONG += [" " * 100_000, "a " * 50_000, "a" + " " * 100_000 + "b", "?" * 100_000, "%25" * 30_000, "?a=%25" * 15_000]


@pytest.mark.parametrize("text", LONG, ids=lambda text: text[:8].strip() or "spaces")
def test_hostile_text_takes_no_more_than_linear_time(text: str) -> None:
    def redact() -> None:
        redact_text(text)
        redact_url(text)
        redact_quoted(text)

    assert microseconds(redact, 1, rounds=1) < 3e6
