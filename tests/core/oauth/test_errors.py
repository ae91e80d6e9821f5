"""Which failures are for ever, and what is repeated of an answer."""

import pytest

from codemie_core.oauth.errors import OAuthFailed, error_code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": "invalid_grant"}, "invalid_grant"),
        ({"error": {"code": "refresh_token_reused", "type": "invalid_request_error"}}, "refresh_token_reused"),
        ({"error": {"type": "rate_limit_error"}}, "rate_limit_error"),
        ({"error": {"code": None, "type": "invalid_grant"}}, "invalid_grant"),
        ({"error": "the grant is invalid_grant"}, ""),
        ({"error": "Invalid_Grant"}, ""),
        ({"error": "at0123planted"}, ""),
        ({"error": "a" * 60}, ""),
        ({"error_description": "invalid_grant"}, ""),
        ({"error": ["invalid_grant"]}, ""),
        ({}, ""),
        ("invalid_grant", ""),
        (None, ""),
    ],
)
def test_the_code_is_the_error_field_alone(body: object, code: str) -> None:
    assert error_code(body) == code


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_refresh_token", "refresh_token_reused"])
def test_a_sign_in_is_over_by_exactly_these_codes(code: str) -> None:
    assert OAuthFailed("refused", code).lasting


@pytest.mark.parametrize("code", ["", "invalid_client", "invalid_request", "invalid_grants", "server_error"])
def test_no_other_code_ends_a_sign_in(code: str) -> None:
    assert not OAuthFailed("invalid_grant: the grant is over", code).lasting
