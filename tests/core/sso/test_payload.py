"""Reading what the login page hands over."""

import base64
import json
from urllib.parse import quote

import pytest

from codemie_core.sso.payload import LONGEST, session_in_query, session_of, session_pasted

API = "https://codemie.test/code-assistant-api"
# Their base64 holds "+" and "/".
COOKIES = {"codemie_access_token": "planted?>~?>~?>~", "second": "planted~~~???"}


def encoded(content: object = None, raw: bytes | None = None) -> str:
    text = json.dumps({"cookies": COOKIES} if content is None else content).encode() if raw is None else raw
    return base64.b64encode(text).decode()


STANDARD = encoded()
URL_SAFE = STANDARD.replace("+", "-").replace("/", "_")


def values(query: str) -> dict[str, str] | None:
    session = session_in_query(query, API)
    if session is None:
        return None
    assert session.api_url == API
    return {name: value.get_secret_value() for name, value in session.cookies.items()}


@pytest.mark.parametrize("key", ["token", "auth", "data"])
@pytest.mark.parametrize(
    "value",
    [STANDARD, URL_SAFE, STANDARD.rstrip("="), URL_SAFE.rstrip("="), quote(STANDARD, safe="")],
    ids=["standard", "url-safe", "unpadded", "url-safe unpadded", "percent-encoded"],
)
def test_every_spelling_of_base64_under_every_key_is_read(key: str, value: str) -> None:
    assert set("+/") <= set(STANDARD)
    assert values(f"{key}={value}") == COOKIES
    assert values(f"x=1&{key}={value}&y=") == COOKIES


@pytest.mark.parametrize("query", ["", "x=1", "tokens=a", "TOKEN=a", "&&"])
def test_a_query_without_a_key_is_none(query: str) -> None:
    assert values(query) is None


def test_two_keys_are_one_too_many() -> None:
    for query in (f"token={STANDARD}&token={STANDARD}", f"token={STANDARD}&data=", f"auth={STANDARD}&%64ata=x"):
        with pytest.raises(ValueError, match="more than one of token, auth, data"):
            session_in_query(query, API)


@pytest.mark.parametrize(
    "value, problem",
    [
        ("", "no JSON"),
        ("planted!", "no base64"),
        (STANDARD[:-5], "no base64|no JSON"),
        (encoded(raw=b"planted"), "no JSON"),
        (encoded(raw=b"\xff\xfe"), "no base64"),
        (encoded(raw=b"[" * 50_000), "no JSON"),
        (encoded([]), "no cookies"),
        (encoded({"planted": 1}), "no cookies"),
        (encoded({"cookies": {}}), "no cookies"),
        (encoded({"cookies": ["planted"]}), "no cookies"),
        (encoded({"cookies": {"planted": 1}}), "is no text"),
        (encoded({"cookies": {"planted": None}}), "is no text"),
        (encoded({"cookies": {"a": "planted\r\nx-evil: 1"}}), "no header can carry"),
        (encoded({"cookies": {"a": "planted; b=c"}}), "no header can carry"),
        (encoded({"cookies": {"a b": "planted"}}), "no header can carry"),
        ("A" * (LONGEST + 1), "longer than 128 KiB"),
    ],
)
def test_what_is_no_session_is_refused_in_words_that_repeat_nothing(value: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as error:
        session_of(value, API)
    assert "planted" not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None


@pytest.mark.parametrize(
    "text",
    [
        f"http://localhost:1234/?token={quote(STANDARD)}",
        f"  http://127.0.0.1:1234/some/path?state=1&data={STANDARD}#end ",
        f"?token={URL_SAFE}",
        f"token={STANDARD}",
        STANDARD,
        URL_SAFE.rstrip("="),
        quote(STANDARD, safe=""),
        f"http://localhost:1234/?token=\n{STANDARD[:50]}\n {STANDARD[50:]}",
    ],
)
def test_a_person_may_paste_the_address_or_what_is_in_it(text: str) -> None:
    session = session_pasted(text, API)
    assert {name: value.get_secret_value() for name, value in session.cookies.items()} == COOKIES


@pytest.mark.parametrize(
    "text, problem",
    [
        (" ", "nothing was pasted"),
        ("http://localhost:1234/", "has none of token="),
        ("?x=1", "has none of token="),
        (f"https://codemie.test/?token={STANDARD}", "begins with http://localhost:"),
        (f"http://codemie.test/?token={STANDARD}", "begins with http://localhost:"),
        (f"http://[x/?token={STANDARD}", "no address"),
        ("planted", "no base64|no JSON"),
    ],
)
def test_anything_else_that_is_pasted_is_explained(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as error:
        session_pasted(text, API)
    assert "planted" not in str(error.value)
