import sys

import pytest
from starlette.datastructures import MutableHeaders

from codemie_core.admin.headers import API_POLICY, PAGE_POLICY, protect


def protected(**headers: str) -> MutableHeaders:
    found = MutableHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    protect(found)
    return found


@pytest.mark.parametrize(
    "kind, policy",
    [
        ("text/html; charset=utf-8", PAGE_POLICY),
        ("application/json", API_POLICY),
        ("application/problem+json", API_POLICY),
        ("text/event-stream", API_POLICY),
        ("", API_POLICY),
    ],
)
def test_only_pages_may_run_and_load_anything(kind: str, policy: str) -> None:
    assert protected(content_type=kind)["content-security-policy"] == policy


def test_what_a_page_may_load_is_its_own_alone() -> None:
    sources = {word for rule in PAGE_POLICY.split("; ") for word in rule.split()[1:]}
    own = {"blob:"} if sys.version_info < (3, 13) else set()  # What the page itself has made.
    assert sources == {"'none'", "'self'", "'unsafe-inline'", "'unsafe-eval'", "data:", *own}


def test_every_answer_is_kept_out_of_frames_caches_and_guesses() -> None:
    headers = protected(content_type="application/json")
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control")]


def test_what_a_route_says_of_caching_counts() -> None:
    assert protected(cache_control="public, max-age=60")["cache-control"] == "public, max-age=60"
