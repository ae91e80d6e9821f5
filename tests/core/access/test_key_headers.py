"""Client keys in headers: where they are found, and what is left."""

import base64

import pytest

from codemie_core.access.key_headers import take_keys

KEY = b"cmk_abcd1234_" + b"A-_z" * 10 + b"xyz"
OTHER = b"cmk_zzzz9999_" + b"b" * 43
PROVIDER = (b"Authorization", b"Bearer sk-ant-planted")


def basic(text: bytes) -> bytes:
    return b"Basic " + base64.b64encode(text)


@pytest.mark.parametrize(
    "field",
    [
        (b"Authorization", b"Bearer " + KEY),
        (b"authorization", b"bearer   " + KEY),
        (b"AUTHORIZATION", KEY),
        (b"x-api-key", KEY),
        (b"X-Api-Key", b" " + KEY + b" "),
        (b"api-key", KEY),
        (b"x-goog-api-key", KEY),
        (b"Proxy-Authorization", b"Bearer " + KEY),
        (b"Proxy-Authorization", basic(b"ann:" + KEY)),
        (b"Proxy-Authorization", basic(KEY + b":")),
        (b"Proxy-Authorization", b"basic " + base64.b64encode(b"ann:" + KEY).rstrip(b"=")),
        (b"Proxy-Authorization", basic("änn".encode() + b":" + KEY)),
        (b"Authorization", basic(b"ann:" + KEY)),
    ],
)
def test_a_key_is_found_and_its_header_taken_off(field: tuple[bytes, bytes]) -> None:
    before, after = (b"Accept", b"*/*"), (b"X-Other", b"1")
    assert take_keys((before, field, after)) == ([KEY], (before, after))


def test_the_clients_own_credential_in_another_header_stays() -> None:
    assert take_keys((PROVIDER, (b"x-api-key", KEY))) == ([KEY], (PROVIDER,))
    own = (b"x-api-key", b"sk-ant-planted")
    assert take_keys((own, (b"Authorization", b"Bearer " + KEY))) == ([KEY], (own,))


def test_every_header_with_a_key_goes_however_often_it_comes() -> None:
    fields = ((b"x-api-key", KEY), PROVIDER, (b"Authorization", b"Bearer " + OTHER), (b"x-api-key", KEY))
    assert take_keys(fields) == ([KEY, OTHER, KEY], (PROVIDER,))


@pytest.mark.parametrize(
    "field",
    [
        PROVIDER,
        (b"x-api-key", b""),
        (b"x-api-key", b"sk-ant-xcmk_abcd1234_abc"),
        (b"Authorization", b"Basic"),
        (b"Authorization", b"Basic !"),
        (b"Authorization", b"Basic \xff\xfe"),
        (b"Authorization", basic(b"user:password")),
        (b"X-Note", KEY),
    ],
)
def test_headers_without_a_key_are_left_alone(field: tuple[bytes, bytes]) -> None:
    fields = (field, (b"Accept", b"*/*"))
    keys, left = take_keys(fields)
    assert keys == []
    assert left is fields


@pytest.mark.parametrize("part", [b"cmk_", b"cmk_abc", KEY[:-5]])
def test_part_of_a_key_is_taken_off_like_a_whole_one(part: bytes) -> None:
    assert take_keys(((b"x-api-key", part),)) == ([part], ())
