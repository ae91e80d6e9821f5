"""A session: what a header may carry, until when it lasts, whose it is, and that nothing shows its secrets."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import pickle
import traceback
from typing import Any

import pytest
from pydantic import SecretStr

from codemie_core.sso.session import ACCESS_COOKIE, Session

PLANTED = "planted-value-0123456789"
URL = "https://codemie.example.com/code-assistant-api"


def jwt(**claims: Any) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".x"


def sso(expires_at: float | None = None, **cookies: str) -> Session:
    values = {name: SecretStr(value) for name, value in (cookies or {"session": PLANTED}).items()}
    return Session(URL, values, expires_at=expires_at, source="somewhere")


def bearer(token: str, expires_at: float | None = None) -> Session:
    return Session(URL, token=SecretStr(token), expires_at=expires_at)


def stored(**changes: Any) -> str:
    return json.dumps({"cookies": {"session": PLANTED}, "apiUrl": URL, "expiresAt": 1893456000000} | changes)


def test_cookies_are_one_header_in_their_order() -> None:
    session = sso(b="2", a="1=x|y")
    assert session.kind == "sso"
    assert {name: value.get_secret_value() for name, value in session.headers().items()} == {"cookie": "b=2; a=1=x|y"}


def test_a_token_is_a_bearer() -> None:
    session = bearer("tok.en")
    assert session.kind == "jwt"
    assert [value.get_secret_value() for value in session.headers().values()] == ["Bearer tok.en"]
    assert list(session.headers()) == ["authorization"]


@pytest.mark.parametrize("bad", ["\r\nX-Evil: 1", "\0", "a;b", "a,b", "a b", "\t", "é", "\x7f", "\u2028", "x" * 70_000])
def test_what_no_header_can_carry_is_refused_and_not_repeated(bad: str) -> None:
    for make in (
        lambda: sso(session=PLANTED + bad),
        lambda: bearer(PLANTED + bad),
        lambda: Session(URL, {f"name{bad}": SecretStr("x")}) if len(bad) < 100 else bearer(PLANTED + bad),
        lambda: Session.from_json(stored(cookies={"session": PLANTED + bad}), "x"),
    ):
        with pytest.raises(ValueError, match=r"characters that no header|longer than") as caught:
            make()
        assert PLANTED not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["", "a=b", "a;b", "a b", "ключ"])
def test_a_cookie_needs_a_name_that_is_a_token(name: str) -> None:
    with pytest.raises(ValueError, match="cookie's name"):
        Session(URL, {name: SecretStr("x")})


def test_empty_cookie_values_are_right_and_empty_tokens_are_not() -> None:
    assert sso(session="").headers()["cookie"].get_secret_value() == "session="
    with pytest.raises(ValueError, match="or nothing"):
        bearer("")


def test_cookies_or_a_token_but_not_both_and_not_neither() -> None:
    for cookies, token in (({}, None), ({"a": SecretStr("b")}, SecretStr("c"))):
        with pytest.raises(ValueError, match="cookies or a token"):
            Session(URL, cookies, token)


def test_a_plain_text_is_no_secret() -> None:
    with pytest.raises(TypeError, match="SecretStr") as caught:
        Session(URL, {"session": PLANTED})  # type: ignore[dict-item]  # refusing it is what is tested
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "codemie.example.com", "ftp://h", f"https://u:{PLANTED}@h", f"https://h/?k={PLANTED}"]
)
def test_the_api_url_is_a_plain_one(url: str) -> None:
    with pytest.raises(ValueError, match="apiUrl must be like https") as caught:
        Session.from_json(stored(apiUrl=url), "x")
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize(
    "written, exp, expected",
    [
        (None, None, None),
        (2000.0, None, 2000.0),
        (None, 1000, 1000.0),
        (None, 1000.75, 1000.75),
        (2000.0, 1000, 1000.0),
        (1000.0, 2000, 1000.0),
        (1000.0, "2", 1000.0),
        (1000.0, True, 1000.0),
        (None, 10**400, None),
        (None, 1893456000000, 1893456000.0),
        (None, 1e300, None),
        (1e308, 1e308, None),
        (1000.0, 1e300, 1000.0),
        (None, -5, -5.0),
    ],
)
def test_a_session_ends_at_the_earlier_of_the_written_time_and_the_tokens(
    written: float | None, exp: Any, expected: float | None
) -> None:
    token = jwt(exp=exp) if exp is not None else jwt()
    assert bearer(token, written).expires_at == expected
    assert sso(written, **{ACCESS_COOKIE: token, "other": "x"}).expires_at == expected
    assert sso(written, other=token).expires_at == (written if written != 1e308 else None)
    assert bearer(token, written).to_json()


def test_a_session_is_over_from_its_end_on_and_never_when_that_is_unknown() -> None:
    assert [sso(1000.0).expired(now) for now in (999.9, 1000.0, 1001.0)] == [False, True, True]
    assert not sso(None).expired(1e12)


@pytest.mark.parametrize(
    "token", ["", "a.b", "a.b.c", "..", "a.W10.c", "a." + "W" * 200_00 + ".c", jwt(), "a.%%.c", "opaque"]
)
def test_a_token_that_says_nothing_is_of_unknown_end_and_owner(token: str) -> None:
    session = sso(None, **{ACCESS_COOKIE: token})
    assert (session.expires_at, session.who) == (None, None)


def test_brackets_nested_thousands_deep_are_no_claims() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 30_000).decode().rstrip("=")
    assert bearer(f"a.{deep}.c").expires_at is None


@pytest.mark.parametrize(
    "claims, who",
    [
        ({"email": "a@x", "name": "A", "sub": "1"}, "a@x"),
        ({"preferred_username": "anna", "name": "A"}, "anna"),
        ({"name": "Ännä Ö", "sub": "1"}, "Ännä Ö"),
        ({"sub": "1"}, "1"),
        ({"email": 5, "sub": ""}, None),
        ({"email": "evil\x1b[2J", "sub": "1"}, "1"),
        ({"email": "x" * 500}, "x" * 200),
    ],
)
def test_who_it_is_is_read_from_the_token(claims: dict[str, Any], who: str | None) -> None:
    assert bearer(jwt(**claims)).who == who
    assert sso(None, **{ACCESS_COOKIE: jwt(**claims)}).who == who


def test_codemies_json_is_read_with_milliseconds() -> None:
    session = Session.from_json(stored(), "a file")
    assert (session.kind, session.api_url, session.expires_at, session.source) == ("sso", URL, 1893456000.0, "a file")
    token = Session.from_json(json.dumps({"token": "tok", "apiUrl": URL}), "x")
    assert (token.kind, token.expires_at) == ("jwt", None)


@pytest.mark.parametrize(
    "written, expected",
    [(1893456000000, 1893456000.0), (1893456000, 1893456000.0), (1.5e12, 1.5e9), (None, None), (0, 0.0)],
)
def test_a_time_in_seconds_is_known_by_its_size(written: Any, expected: float | None) -> None:
    assert Session.from_json(stored(expiresAt=written), "x").expires_at == expected


@pytest.mark.parametrize(
    "text, words",
    [
        (PLANTED, "not JSON"),
        ('{"cookies": "' + PLANTED, "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"expiresAt": ' + "9" * 5000 + "}", "not JSON"),
        (f'["{PLANTED}"]', "not a JSON object"),
        (stored(apiUrl=5), "apiUrl must be text"),
        (stored(cookies={}), "neither cookies nor a token"),
        (stored(cookies=None), "neither cookies nor a token"),
        (stored(cookies=[PLANTED]), "object of names and texts"),
        (stored(cookies={"session": {"v": PLANTED}}), "object of names and texts"),
        (stored(cookies={}, token=[PLANTED]), "neither cookies nor a token"),
        (stored(expiresAt="soon"), "number of milliseconds"),
        (stored(expiresAt=[1]), "number of milliseconds"),
        (stored(expiresAt=True), "number of milliseconds"),
        (stored()[:-1] + ', "expiresAt": Infinity}', "number of milliseconds"),
    ],
)
def test_bad_json_is_a_reason_without_the_content(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Session.from_json(text, "x")
    assert PLANTED not in "".join(traceback.format_exception(caught.value))


def test_what_was_read_is_written_back() -> None:
    for text in (
        stored(),
        json.dumps({"token": "tok", "apiUrl": URL, "expiresAt": 1893456000000}),
        stored(expiresAt=None),
    ):
        session = Session.from_json(text, "x")
        assert Session.from_json(session.to_json(), "y") == session
    assert Session.from_json(stored(), "x").to_json() == stored().replace(" ", "")


def test_cookies_cannot_be_changed_afterwards() -> None:
    mine = {"a": SecretStr("1")}
    session = Session(URL, mine)
    mine["b"] = SecretStr("2")
    assert list(session.cookies) == ["a"]
    with pytest.raises(TypeError):
        session.cookies["b"] = SecretStr("2")  # type: ignore[index]  # read-only is what is tested


def test_a_session_changed_by_one_field_is_another() -> None:
    session = sso(1000.0)
    assert dataclasses.replace(session, expires_at=2000.0) != session
    assert len({session, sso(1000.0), dataclasses.replace(session, source="elsewhere")}) == 1


def test_no_way_of_showing_a_session_shows_its_secrets() -> None:
    for session in (sso(), bearer(PLANTED)):
        shown = [
            repr(session),
            str(session),
            f"{session}",
            repr(session.headers()),
            repr([session]),
            repr(session.cookies),
        ]
        for fail in (pickle.dumps, copy.deepcopy, dataclasses.asdict):
            with pytest.raises(TypeError) as caught:
                fail(session)
            shown.append(str(caught.value))
        assert not any(PLANTED in text for text in shown)
    assert repr(sso()) == f"<Session(sso, {URL}, cookies ['session'], expires_at None, from 'somewhere')>"
