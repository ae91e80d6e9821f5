"""Where a client may be led that asks another host than it knows."""

import pytest

from codemie_core.interception.redirects import led_back

URL = "https://gateway.test/base/v1/messages?beta=true"


@pytest.mark.parametrize(
    "location, back",
    [
        ("https://gateway.test/base/v1/messages/", "/v1/messages/"),
        ("HTTPS://Gateway.test:443/base/v1/x?y=1#z", "/v1/x?y=1"),
        ("/base/v1/messages/", "/v1/messages/"),
        ("messages/", "/v1/messages/"),
        ("/elsewhere", "/elsewhere"),
        ("/based/x", "/based/x"),
        ("/base", "/"),
        ("", "/v1/messages?beta=true"),
        ("https://other.test/base/v1/messages", None),
        ("//other.test/x", None),
        ("http://gateway.test/base/v1/messages", None),
        ("https://gateway.test:8443/base/x", None),
        ("https://gateway.test@other.test/x", None),
        ("https://gateway.test\\@other.test/x", None),
        ("https://[x", None),
        ("mailto:a@b", None),
        # All that a lenient client takes for the name of a host.
        ("https://gateway.test//other.test/x", "/other.test/x"),
        ("/\\other.test/x", "/other.test/x"),
        ("/base//other.test/x", "/other.test/x"),
        ("/base/\t/other.test/x", "/other.test/x"),
        ("/\t/other.test/x", None),
    ],
)
def test_it_stays_with_its_vendor_whatever_a_redirect_says(location: str, back: str | None) -> None:
    assert led_back(location, URL, "/base") == back


def test_without_a_prefix_the_path_stays() -> None:
    assert led_back("/v1/x", "https://gateway.test/v1/y", "") == "/v1/x"
