import copy
import dataclasses
import pickle
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from codemie_core import credential as credentials
from codemie_core.credential import Credential, is_loopback

PLANTED = "planted-secret-0123456789"


def credential(**changes: Any) -> Credential:
    values: dict[str, Any] = {
        "scheme": "https",
        "host": "api.example.com",
        "port": 443,
        "path_prefix": "/v1",
        "headers": {"Authorization": SecretStr(f"Bearer {PLANTED}")},
        "drops": frozenset({"X-Api-Key"}),
    }
    return Credential(**(values | changes))


@pytest.mark.parametrize(
    "scheme, host, port, path, fits",
    [
        ("https", "api.example.com", 443, "/v1", True),
        ("https", "api.example.com", 443, "/v1/messages?x=/../..", True),
        ("HTTPS", "API.Example.COM.", 443, "/v1/", True),
        ("http", "api.example.com", 443, "/v1", False),
        ("https", "api.example.com", 8443, "/v1", False),
        ("https", "api.example.com", 80, "/v1", False),
        ("https", "example.com", 443, "/v1", False),
        ("https", "x.api.example.com", 443, "/v1", False),
        ("https", "api.example.com.evil.example", 443, "/v1", False),
        ("https", "api.example.com@evil.example", 443, "/v1", False),
        ("https", "evil.example#api.example.com", 443, "/v1", False),
        ("https", "api.example.com:443", 443, "/v1", False),
        ("https", "api.example.com..", 443, "/v1", False),
        ("https", "", 443, "/v1", False),
        ("https", "i", 443, "/v1", False),
        ("https", "ap\u0131.example.com", 443, "/v1", False),
    ],
)
def test_a_credential_fits_its_own_origin_alone(scheme: str, host: str, port: int, path: str, fits: bool) -> None:
    assert credential().fits(scheme, host, port, path) is fits


@pytest.mark.parametrize(
    "path, fits",
    [
        ("/a", True),
        ("/a/", True),
        ("/a/b", True),
        ("/a?x=1", True),
        ("/a#x", True),
        ("/a/./b", True),
        ("/a/b/../c", True),
        ("/x/../a/b", True),
        ("/a%20b", False),
        ("/a/%20b", True),
        ("/ab", False),
        ("/A", False),
        ("/", False),
        ("", False),
        ("*", False),
        ("a", False),
        ("https://evil.example/a", False),
        ("/a/../b", False),
        ("/a/..", False),
        ("/a/b/../../c", False),
        ("/a/%2e%2e/b", False),
        ("/a/%2E./b", False),
        ("/a/.%2e/b", False),
        ("/a/%252e%252e/b", False),
        ("/a/..%2fb", False),
        ("/a/%2e%2e%2fb", False),
        ("/a/..\\b", False),
        ("/a/..%5cb", False),
        ("/a/..;x=1/b", False),
        ("/a//../b", False),
        ("/a/b//../../c", False),
        ("/../../a", True),
        ("/%61", False),
        ("/a/%2525252525252e", False),
        ("/a/../a/b", True),
        ("/a/.. /b", False),
        ("/a/.\t./b", False),
        ("/a/b HTTP/1.1", False),
        ("/a/\x01", False),
        ("/a/\uff0e\uff0e/b", False),
        ("/a/b?q=\xe4 HTTP", True),
    ],
)
@pytest.mark.parametrize("prefix", ["/a", "/a/"])
def test_the_path_prefix_holds_on_segment_borders_however_dots_are_written(prefix: str, path: str, fits: bool) -> None:
    assert credential(path_prefix=prefix).fits("https", "api.example.com", 443, path) is fits


def test_the_root_prefix_covers_every_path() -> None:
    everywhere = credential(path_prefix="/")
    assert all(everywhere.fits("https", "api.example.com", 443, path) for path in ("", "/", "/a", "/a/../b", "/?q"))


def test_a_prefix_of_several_segments_and_escapes_holds() -> None:
    spaced = credential(path_prefix="/a%20b/c")
    assert spaced.fits("https", "api.example.com", 443, "/a%20b/c/d")
    assert not spaced.fits("https", "api.example.com", 443, "/a%20b")


@pytest.mark.parametrize("host", ["[::1]", "::1", "0:0:0:0:0:0:0:1", "localhost", "LOCALHOST", "127.0.0.9"])
def test_plain_http_is_allowed_to_this_machine(host: str) -> None:
    local = credential(scheme="http", host=("::1", "localhost", "127.0.0.9"), port=8080)
    assert local.fits("http", host, 8080, "/v1")
    assert not local.fits("https", host, 8080, "/v1")


def test_one_credential_may_name_several_hosts() -> None:
    several = credential(host=("a.example", "B.example"))
    assert several.fits("https", "b.example", 443, "/v1")
    assert not several.fits("https", "c.example", 443, "/v1")


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"scheme": "http"}, "needs https"),
        ({"scheme": "http", "host": ("localhost", "api.example.com")}, "needs https"),
        ({"scheme": "http", "host": "localhost.evil.example"}, "needs https"),
        ({"scheme": "ftp", "host": "localhost"}, "needs https"),
        ({"scheme": "HTTPS"}, "needs https"),
        ({"host": ""}, "at least one host"),
        ({"host": ()}, "at least one host"),
        ({"path_prefix": "v1"}, "start with a slash"),
        ({"path_prefix": ""}, "start with a slash"),
    ],
)
def test_an_unsafe_scope_is_refused_when_the_credential_is_made(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        credential(**changes)
    assert PLANTED not in str(caught.value)


def test_a_plain_string_is_no_secret_and_is_not_shown() -> None:
    with pytest.raises(TypeError, match="SecretStr") as caught:
        credential(headers={"authorization": PLANTED})
    assert PLANTED not in str(caught.value)


def test_header_names_are_lower_case_and_cannot_be_changed_afterwards() -> None:
    mine = {"Authorization": SecretStr(PLANTED)}
    made = credential(headers=mine)
    mine["Other"] = SecretStr("x")
    assert (list(made.headers), made.drops) == (["authorization"], frozenset({"x-api-key"}))
    with pytest.raises(TypeError):
        made.headers["x"] = SecretStr("x")  # type: ignore[index]  # read-only is what is tested


def test_credentials_compare_by_value_and_can_be_kept_in_sets() -> None:
    assert credential() == credential()
    assert credential() != credential(headers={"authorization": SecretStr("other")})
    assert len({credential(), credential()}) == 1


def test_no_way_of_showing_a_credential_shows_its_value() -> None:
    made = credential()
    shown = [repr(made), str(made), f"{made}", f"{made!r}", f"{made.headers}", repr([made]), "%r" % (made,)]  # noqa: UP031 - one of the ways
    for fail in (pickle.dumps, copy.deepcopy, dataclasses.asdict):
        with pytest.raises(TypeError) as caught:
            fail(made)
        shown.append(str(caught.value))
    assert not any(PLANTED in text for text in shown)
    assert repr(made) == "<Credential(https://api.example.com:443/v1, headers ['authorization'])>"


@pytest.mark.parametrize(
    "host, loopback",
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("localhost.x", False),
        ("", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


PIECES = ["a", "b", "code", "/", "..", ".", "%2e", "%2f", ";", "\\", "//", "?", "#", "a.b"]
PREFIXES = ["a", "b", "code", "/", ".", "a/", ".."]


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.lists(st.sampled_from(PREFIXES), max_size=4))
@settings(max_examples=2000, deadline=None)
def test_paths_that_all_servers_read_alike_are_judged_as_all_others(pieces: list[str], below: list[str]) -> None:
    path, prefix = "".join(pieces), "/" + "".join(below)
    with pytest.MonkeyPatch.context() as patch:
        quick = credentials._below(path, prefix)
        patch.setattr(credentials, "_READ_DIFFERENTLY", re.compile(""))
        assert credentials._below(path, prefix) is quick
