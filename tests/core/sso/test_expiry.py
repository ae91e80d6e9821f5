import pytest

from codemie_core.sso.expiry import Sign, sign_of_expiry

URL = "https://codemie.test/code-assistant-api/v1/messages"
LOGIN = "https://id.test/realms/codemie/protocol/openid-connect/auth?client_id=codemie"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_is_a_login_page(status: int) -> None:
    assert sign_of_expiry(URL, status, LOGIN, None) is Sign.REDIRECT


@pytest.mark.parametrize(
    "location, sign",
    [
        # another origin
        ("https://elsewhere.test/", Sign.REDIRECT),
        ("//elsewhere.test/v1/messages", Sign.REDIRECT),
        ("https://codemie.test:8443/other", Sign.REDIRECT),
        ("http://codemie.test/other", Sign.REDIRECT),
        ("http://codemie.test/code-assistant-api/v1/messages", Sign.REDIRECT),
        ("https://codemie.test:8443/code-assistant-api/v1/messages", Sign.REDIRECT),
        ("https://CODEMIE.test.evil.test/code-assistant-api/v1/messages", Sign.REDIRECT),
        ("codemie:login", Sign.REDIRECT),
        ("https://[broken/", Sign.REDIRECT),
        ("https://codemie.test:99999/", Sign.REDIRECT),
        # the same, with a path that looks like a login
        ("/login", Sign.REDIRECT),
        ("/login?next=/v1/messages", Sign.REDIRECT),
        ("/Sign-In/", Sign.REDIRECT),
        ("/oauth2/start?rd=%2Fv1", Sign.REDIRECT),
        ("/auth/realms/codemie", Sign.REDIRECT),
        ("/realms/codemie/protocol/openid-connect/auth", Sign.REDIRECT),
        ("/code-assistant-api/v1/auth/login/1234", Sign.REDIRECT),
        ("/saml/sso", Sign.REDIRECT),
        ("../sso/begin", Sign.REDIRECT),
        (f" {LOGIN} ", Sign.REDIRECT),
        # the same, somewhere else
        ("/code-assistant-api/v1/messages/", None),
        ("https://codemie.test/code-assistant-api/v1/messages/", None),
        ("https://codemie.test:443/code-assistant-api/v2/messages", None),
        ("http://codemie.test/code-assistant-api/v1/messages/", None),
        ("http://codemie.test:8080/code-assistant-api/v1/messages/?beta=true", None),
        ("/code-assistant-api/v1/authors", None),
        ("/code-assistant-api/v1/logins", None),
        ("/code-assistant-api/v2/messages?next=/login", None),
        ("", None),
        ("https://codemie.test/code-assistant-api/v1/messages", None),
        ("?again=1", None),
        (None, None),
    ],
)
def test_where_a_redirect_leads_decides(location: str | None, sign: Sign | None) -> None:
    assert sign_of_expiry(URL, 302, location, "text/html") is sign


def test_a_slash_at_the_end_of_a_path_of_the_gateways_own_sign_in_is_no_sign() -> None:
    url = "https://codemie.test/code-assistant-api/v1/auth"
    assert sign_of_expiry(url, 307, "/code-assistant-api/v1/auth/", None) is None
    assert sign_of_expiry(f"{url}/", 307, "/code-assistant-api/v1/auth", None) is None
    assert sign_of_expiry(url, 307, "/code-assistant-api/v1/auth/login", None) is Sign.REDIRECT


@pytest.mark.parametrize(
    "content_type, sign",
    [
        ("text/html", Sign.PAGE),
        ("Text/HTML; charset=UTF-8", Sign.PAGE),
        (" text/html ;charset=utf-8", Sign.PAGE),
        ("application/xhtml+xml", Sign.PAGE),
        ("application/xhtml", Sign.PAGE),
        ("application/json", None),
        ("text/event-stream", None),
        ("text/htmlish", None),
        ("text/plain; note=text/html", None),
        ("", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("status", [200, 203, 299])
def test_a_page_where_data_should_be_is_a_login_page(status: int, content_type: str | None, sign: Sign | None) -> None:
    assert sign_of_expiry(URL, status, None, content_type) is sign


@pytest.mark.parametrize(
    "status, sign",
    [
        (401, Sign.UNAUTHORIZED),
        (403, Sign.FORBIDDEN),
        (101, None),
        (204, None),
        (300, None),
        (304, None),
        (400, None),
        (404, None),
        (407, None),
        (429, None),
        (500, None),
        (502, None),
        (503, None),
    ],
)
def test_of_the_other_statuses_two_speak_of_the_session(status: int, sign: Sign | None) -> None:
    assert sign_of_expiry(URL, status, LOGIN, "application/json") is sign
    if status >= 300:
        assert sign_of_expiry(URL, status, None, "text/html") is sign, "an error page is no login page"
