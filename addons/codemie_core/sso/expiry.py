"""What a response head says about the session its request was signed with.

CodeMie's identity provider answers an expired session in four ways, and only one of them is a 401: a redirect to its
login page, a 403, or that page itself with status 200.
"""

from __future__ import annotations

import re
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
# Whole segments: an API may have /v1/authors.
_LOGIN_PATH = re.compile(
    r"/(?:log-?in|sign-?in|log-?out|auth|oauth2?|realms|openid-connect|oidc|saml2?|sso|adfs)(?=/|$)", re.IGNORECASE
)


class Sign(StrEnum):
    """How a session shows that it is over."""

    REDIRECT = "redirect"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    """Or the session is good, and only this model or path is not for its owner."""
    PAGE = "page"


def sign_of_expiry(url: str, status: int, location: str | None, content_type: str | None) -> Sign | None:
    """None for a head that says nothing about the session.

    `url` is the absolute one that was asked, `location` and `content_type` are header values, None when absent.
    """
    if 200 <= status < 300:
        return Sign.PAGE if _is_page(content_type or "") else None
    if status == 401:
        return Sign.UNAUTHORIZED
    if status == 403:
        return Sign.FORBIDDEN
    if status in _REDIRECTS and location is not None and _leads_to_login(url, location):
        return Sign.REDIRECT
    return None


def _is_page(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml", "application/xhtml")


def _leads_to_login(url: str, location: str) -> bool:
    try:
        asked, target = urlsplit(url), urlsplit(urljoin(url, location.strip()))
        same_origin = _origin(asked.scheme, asked.hostname, asked.port) == _origin(
            target.scheme, target.hostname, target.port
        )
    except ValueError:
        return True  # Nobody can follow it.
    if asked.hostname == target.hostname and asked.path.rstrip("/") == target.path.rstrip("/"):
        # Behind a TLS terminator frameworks name http, or their own port, when all they want is a slash at the end.
        return not same_origin and asked.path == target.path
    return not same_origin or bool(_LOGIN_PATH.search(target.path))


def _origin(scheme: str, host: str | None, port: int | None) -> tuple[str, str | None, int | None]:
    return scheme, host, port or _PORTS.get(scheme)
