import pytest
from pydantic import SecretStr

from codemie_core.admin.authority import Authority, set_cookie, unset_cookie

TOKEN = "planted-token-" + "x" * 43


@pytest.fixture
def authority() -> Authority:
    return Authority(SecretStr(TOKEN))


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_the_token_opens(authority: Authority, header: str) -> None:
    assert authority.opens(header)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer \udcff"],
)
def test_nothing_else_does(authority: Authority, header: str) -> None:
    assert not authority.opens(header)


def session_of(authority: Authority) -> str:
    session = authority.sessions.redeem(authority.sessions.make_code())
    assert session is not None
    return session


def test_a_session_is_found_among_other_cookies(authority: Authority) -> None:
    session = session_of(authority)
    assert authority.session_in(f"a=b; codemie_admin={session};c") == session


def test_a_cookie_of_an_earlier_proxy_does_not_hide_the_good_one(authority: Authority) -> None:
    session = session_of(authority)
    assert authority.session_in(f"codemie_admin=old; codemie_admin={session}") == session


@pytest.mark.parametrize("cookies", ["", "codemie_admin=", "codemie_admin=forged", "codemie_admin", "{session}"])
def test_other_cookies_hold_no_session(authority: Authority, cookies: str) -> None:
    assert authority.session_in(cookies.format(session=session_of(authority))) == ""


def test_the_cookie_is_kept_from_scripts_and_other_sites() -> None:
    for cookie in (set_cookie("s"), unset_cookie()):
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Max-Age=43200" in set_cookie("s")
    assert "Max-Age=0" in unset_cookie()


def test_what_opens_is_in_no_representation(authority: Authority) -> None:
    session = session_of(authority)
    assert TOKEN not in repr(authority)
    assert session not in repr(authority)
