"""Which session signs: variable, profile or store; and that a folder's file never says where a token goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.profile import Profile
from codemie_core.sso.cipher import Machine
from codemie_core.sso.session import Session
from codemie_core.sso.sources import gateway_session
from codemie_core.sso.store import CredentialStore

URL = "https://codemie.example.com/code-assistant-api"
PLANTED = "planted-value-0123456789"
IN_STORE = {"sso": "session=stored", "jwt": "Bearer stored"}


@pytest.fixture
def store(codemie_home: Path) -> CredentialStore:
    made = CredentialStore(Places(codemie_home), Machine("devbox", "linux", "x64"))
    made.write(URL, Session(URL, {"session": SecretStr("stored")}))
    made.write(URL, Session(URL, token=SecretStr("stored")))
    return made


def profile(**changes: Any) -> Profile:
    values: dict[str, Any] = {"provider": "bearer-auth", "base_url": URL, "auth_method": "jwt"}
    return Profile(**(values | changes))


def signs(session: Session | None) -> str | None:
    return None if session is None else next(iter(session.headers().values())).get_secret_value()


@pytest.mark.parametrize(
    "changes, environ, expected",
    [
        ({}, {"CODEMIE_JWT_TOKEN": "of-variable"}, "Bearer of-variable"),
        ({"jwt_token": SecretStr("of-profile")}, {"CODEMIE_JWT_TOKEN": "of-variable"}, "Bearer of-variable"),
        ({"jwt_token": SecretStr("of-profile")}, {"CODEMIE_JWT_TOKEN": " "}, "Bearer of-profile"),
        ({"jwt_variable": "MINE"}, {"CODEMIE_JWT_TOKEN": "no", "MINE": " Bearer yes\n"}, "Bearer yes"),
        ({}, {}, IN_STORE["jwt"]),
        ({"auth_method": "sso"}, {"CODEMIE_JWT_TOKEN": "no"}, IN_STORE["sso"]),
        ({"auth_method": "", "jwt_token": SecretStr("no")}, {}, IN_STORE["sso"]),
    ],
)
def test_variable_then_profile_then_store(
    store: CredentialStore, changes: dict[str, Any], environ: dict[str, str], expected: str
) -> None:
    assert signs(gateway_session(profile(**changes), URL, environ, store)) == expected


def test_a_token_that_was_given_belongs_to_the_gateway_and_says_where_it_is_from(store: CredentialStore) -> None:
    session = gateway_session(profile(), URL, {"CODEMIE_JWT_TOKEN": PLANTED}, store)
    assert session is not None
    assert (session.api_url, session.source) == (URL, "CODEMIE_JWT_TOKEN")


def test_without_a_gateway_or_a_sign_in_there_is_no_session(store: CredentialStore) -> None:
    assert gateway_session(profile(), "", {"CODEMIE_JWT_TOKEN": PLANTED}, store) is None
    assert gateway_session(profile(), "https://other.example", {}, store) is None


@pytest.mark.parametrize("token", [f"{PLANTED} x", f"{PLANTED}\r\nX: y", f"{PLANTED}é"])
def test_a_token_that_is_none_is_told_without_repeating_it(store: CredentialStore, token: str) -> None:
    for changes, environ, name in (
        ({}, {"CODEMIE_JWT_TOKEN": token}, "CODEMIE_JWT_TOKEN: "),
        ({"jwt_token": SecretStr(token)}, {}, "profile 'default', jwtConfig.token: "),
    ):
        with pytest.raises(SettingsError, match="as one line") as caught:
            gateway_session(profile(**changes), URL, environ, store)
        assert str(caught.value).startswith(name)
        assert PLANTED not in str(caught.value)


MOVED = {"url_from_project": True, "project_file": "/repo/.codemie/codemie-cli.config.json"}


@pytest.mark.parametrize(
    "changes, environ", [({}, {"CODEMIE_JWT_TOKEN": PLANTED}), ({"jwt_token": SecretStr(PLANTED)}, {})]
)
def test_a_folders_file_does_not_decide_where_a_token_goes(
    store: CredentialStore, changes: dict[str, Any], environ: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match=r"/repo/\.codemie/.* CODEMIE_BASE_URL") as caught:
        gateway_session(profile(**changes, **MOVED), URL, environ, store)
    assert PLANTED not in str(caught.value)
    assert signs(gateway_session(profile(**changes), URL, environ, store)) == f"Bearer {PLANTED}"


def test_a_gateway_of_a_folders_file_gets_what_was_signed_in_to_there(store: CredentialStore) -> None:
    assert signs(gateway_session(profile(**MOVED), URL, {}, store)) == IN_STORE["jwt"]
    assert signs(gateway_session(profile(**MOVED, auth_method="sso"), URL, {}, store)) == IN_STORE["sso"]


def test_a_gateway_named_by_hand_gets_the_token_whatever_a_folders_file_says(store: CredentialStore) -> None:
    session = gateway_session(profile(**MOVED), "https://mine.example", {"CODEMIE_JWT_TOKEN": PLANTED}, store)
    assert signs(session) == f"Bearer {PLANTED}"
