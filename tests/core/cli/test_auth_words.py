"""A session in words."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from codemie_core.cli.auth_context import AuthContext
from codemie_core.cli.auth_words import Standing, local, until
from codemie_core.sso.backend import Verdict
from codemie_core.sso.session import Session

URL = "https://codemie.test"
OPAQUE = Session(f"{URL}/code-assistant-api", {"session": SecretStr("planted")}, source="a file")


@pytest.fixture
def context(codemie_home: Path) -> AuthContext:
    return AuthContext.of("codemie", "", URL, {"CODEMIE_HOME": str(codemie_home)})


@pytest.mark.parametrize(
    "verdict, signed_in, words",
    [
        (None, True, ""),
        (Verdict.VALID, True, "CodeMie accepts it"),
        (Verdict.UNKNOWN, True, "CodeMie could not be asked, or did not say"),
        (Verdict.EXPIRED, False, ""),
    ],
)
def test_what_the_backend_said_counts(
    verdict: Verdict | None, signed_in: bool, words: str, context: AuthContext
) -> None:
    standing = Standing(context, OPAQUE, verdict)
    assert standing.signed_in is signed_in
    checked = [line for line in standing.lines() if line.startswith("Checked")]
    assert checked == ([f"Checked    {words}"] if words else [])
    assert standing.as_json()["checked"] == (verdict.value if verdict else None)


def test_what_is_not_known_is_said_to_be(context: AuthContext) -> None:
    standing = Standing(context, OPAQUE)
    assert standing.lines()[0] == "Signed in  a user whose name is not known, by SSO"
    assert standing.lines()[2] == "Until      not known"
    assert standing.as_json()["expires_at"] is None


def test_the_backend_knows_the_name_better(context: AuthContext) -> None:
    assert Standing(context, OPAQUE, Verdict.VALID, "ada@codemie.test").as_json()["who"] == "ada@codemie.test"


@pytest.mark.parametrize("offset, words", [(119.5, "(in 1 min)"), (5 * 3600 + 20 * 60 + 59.5, "(in 5 h 20 min)")])
def test_until_when_is_said_twice(offset: float, words: str) -> None:
    ends = time.time() + offset
    shown = until(replace(OPAQUE, expires_at=ends))
    assert shown == f"{local(ends)} {words}"


def test_local_time_names_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Vienna")
    time.tzset()
    try:
        assert local(1_787_324_700) == "2026-08-21 17:05 CEST"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("moment, shown", [(1e18, "None"), (1e300, "None"), (-5.0, "1970-01-01T00:00:00")])
def test_a_time_no_calendar_has_is_unknown_or_long_ago(moment: float, shown: str, context: AuthContext) -> None:
    assert str(Standing(context, replace(OPAQUE, expires_at=moment)).as_json()["expires_at"]).startswith(shown)


def test_a_profile_of_tokens_is_told_to_bring_one(codemie_home: Path) -> None:
    environ = {"CODEMIE_HOME": str(codemie_home), "CODEMIE_AUTH_METHOD": "jwt"}
    context = AuthContext.of("codemie", "", URL, environ)
    assert Standing(context, None).problem().endswith(f"Run: codemie-proxy auth login --jwt --url {URL}")
