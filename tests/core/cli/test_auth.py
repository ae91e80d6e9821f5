"""The options and the help of `codemie-proxy auth`; what it does is in tests/process/test_sign_in.py."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from codemie_core.places import Places
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from support.cli import call, environ
from support.codemie_backend import EMAIL, make_jwt

URL = "https://codemie.test"


def keep(home: Path, lifetime: float, url: str = URL) -> str:
    token = make_jwt(EMAIL, time.time() + lifetime)
    cookies = {"codemie_access_token": SecretStr(token)}
    CredentialStore(Places(home)).write(url, Session(f"{url}/code-assistant-api", cookies))
    return token


@pytest.mark.parametrize(
    "command, taught",
    [
        ("login", ["--url", "--profile", "--no-browser", "--paste", "--jwt", "--timeout", "--port", "--json"]),
        ("status", ["--check", "--json", "auth status --check && codemie-proxy start"]),
        ("refresh", ["--force", "--browser", "auth refresh --force"]),
        ("logout", ["--url", "--profile", "Example: codemie-proxy auth logout"]),
    ],
)
def test_help_teaches(command: str, taught: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = call("auth", command, "--help").out
    assert [words for words in taught if words not in shown] == []
    assert "codemie-proxy auth" in shown


def test_the_command_line_starts_without_what_a_sign_in_needs() -> None:
    heavy = ("asyncio", "httpx", "pydantic", "cryptography", "mitmproxy", "keyring")
    program = f"import sys, codemie_core.cli.auth; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], env=environ(), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_status_says_who_where_and_until_when(codemie_home: Path) -> None:
    token = keep(codemie_home, 5 * 3600 + 20 * 60 + 59)
    outcome = call("auth", "status", "--url", URL)
    assert outcome.code == 0
    rows = dict(line.split("  ", 1) for line in outcome.out.splitlines())
    assert rows["Signed in"].strip() == f"{EMAIL}, by SSO"
    assert rows["CodeMie"].strip() == f"{URL}/code-assistant-api"
    assert rows["Until"].strip().endswith("(in 5 h 20 min)")
    assert rows["Stored in"].strip().startswith(str(codemie_home))
    assert token not in outcome.out


def test_status_for_programs_holds_no_secret(codemie_home: Path) -> None:
    token = keep(codemie_home, 3600)
    outcome = call("auth", "status", "--url", URL, "--json")
    shown = json.loads(outcome.out)
    assert (shown["signed_in"], shown["who"], shown["profile"], shown["checked"]) == (True, EMAIL, "default", None)
    assert 3000 < shown["expires_in_seconds"] <= 3600
    assert shown["expires_at"].endswith("+00:00")
    assert token not in outcome.out


def test_status_of_a_session_that_is_over_names_the_command(codemie_home: Path) -> None:
    years = {time.localtime(time.time() - 60).tm_year}
    keep(codemie_home, -60)
    years.add(time.localtime(time.time() - 60).tm_year)
    outcome = call("auth", "status", "--url", URL)
    assert (outcome.code, outcome.out) == (1, "")
    assert any(f"is over since {year}" in outcome.err for year in years)
    assert outcome.err.endswith(f"Run: codemie-proxy auth login --url {URL}\n")


@pytest.mark.parametrize("lifetime, done", [(2 * 3600, True), (3500, False), (-60, False)])
def test_refresh_leaves_a_session_that_lasts(lifetime: float, done: bool, codemie_home: Path) -> None:
    keep(codemie_home, lifetime)
    outcome = call("auth", "refresh", "--url", URL)
    assert outcome.code == (0 if done else 1)
    assert ("Nothing to do" if done else "nobody is here to sign in") in outcome.err


def test_logout_removes_every_entry_and_says_which(codemie_home: Path) -> None:
    keep(codemie_home, 3600)
    token = SecretStr(make_jwt(EMAIL, time.time() + 60))
    CredentialStore(Places(codemie_home)).write(URL, Session(f"{URL}/code-assistant-api", token=token))
    outcome = call("auth", "logout", "--url", f"{URL}/code-assistant-api")
    removed = outcome.out.splitlines()
    assert len(removed) == 2
    assert all(line.startswith("Removed ") for line in removed)
    assert list((codemie_home / "credentials").iterdir()) == []
    assert call("auth", "logout", "--url", URL).out == "Nobody was signed in to codemie.test.\n"


def test_logout_tells_of_a_token_it_cannot_remove(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEMIE_AUTH_METHOD", "jwt")
    monkeypatch.setenv("CODEMIE_JWT_TOKEN", make_jwt(EMAIL, 9e9))
    outcome = call("auth", "logout", "--url", URL)
    assert "CODEMIE_JWT_TOKEN still signs requests in; unset it." in outcome.err
