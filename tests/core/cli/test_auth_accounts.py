"""What `auth providers|status|refresh|logout` do about accounts with a sign-in, against a real OAuth server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from codemie_core.accounts.account import Kind
from codemie_core.cli import auth_accounts
from codemie_core.errors import CodemieError, SettingsError
from codemie_core.oauth import pending
from codemie_core.oauth.tokens import Tokens
from codemie_core.vault import pending_folder
from support.oauth_server import OAuthServer
from support.stored import StoredHome, new_account


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


@pytest.fixture
def home(server: OAuthServer, codemie_home: Path) -> StoredHome:
    """Nobody is signed in yet; the provider is there."""
    stored = StoredHome(codemie_home)
    server.configure(stored.places)
    return stored


def sign_in(home: StoredHome, server: OAuthServer, name: str, left: float = 1800.0, provider: str = "lab") -> Tokens:
    tokens = server.sign_in(left, provider)
    home.add(new_account(name, server.url, "anthropic-compatible", kind=Kind.OAUTH), tokens.dump())
    return tokens


def test_providers_says_what_is_missing(home: StoredHome, capsys: pytest.CaptureFixture[str]) -> None:
    auth_accounts.providers(as_json=False)
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()[1:]] == ["codemie", "anthropic", "openai", "lab"]
    assert "missing: set CODEMIE_OAUTH_ANTHROPIC_CLIENT_ID" in shown
    auth_accounts.providers(as_json=True)
    [*_, lab] = json.loads(capsys.readouterr().out)
    assert (lab["name"], lab["client"], lab["ways"], lab["revokes"]) == (
        "lab",
        True,
        ["browser", "paste", "device"],
        True,
    )


def test_an_unknown_provider_is_answered_with_the_nearest(home: StoredHome) -> None:
    with pytest.raises(SettingsError, match=r"did you mean 'lab'.*there are: codemie, anthropic, openai, lab"):
        auth_accounts.status("lap", as_json=False)


def test_status_is_about_the_accounts_of_this_provider(
    home: StoredHome, server: OAuthServer, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = sign_in(home, server, "mine")
    sign_in(home, server, "elsewhere", provider="another")
    home.add(new_account("by-key", server.url), "planted-key")
    auth_accounts.status("lab", as_json=True)
    [shown] = json.loads(capsys.readouterr().out)
    assert (shown["account"], shown["needs_login"], shown["renewed"], shown["scope"]) == ("mine", False, True, "one")
    assert 1790 < shown["expires_in_seconds"] <= 1800
    auth_accounts.status("lab", as_json=False)
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split()[:2] == ["mine", "ready"]
    assert tokens.access.get_secret_value() not in shown


def test_status_of_a_sign_in_that_is_over_ends_with_1_and_names_the_command(
    home: StoredHome, server: OAuthServer, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(home, server, "mine")
    home.change("mine", needs_login=True)
    with pytest.raises(typer.Exit) as ended:
        auth_accounts.status("lab", as_json=False)
    assert ended.value.exit_code == 1
    assert "Run: codemie-proxy auth login lab --name mine" in capsys.readouterr().err


def test_status_without_a_sign_in_makes_no_database(
    home: StoredHome, codemie_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        auth_accounts.status("lab", as_json=True)
    shown = capsys.readouterr()
    assert json.loads(shown.out) == []
    assert "nobody is signed in to lab" in shown.err
    assert not (codemie_home / "proxy" / "proxy.db").exists()


def test_refresh_renews_what_is_still_good_and_stores_it(
    home: StoredHome, server: OAuthServer, capsys: pytest.CaptureFixture[str]
) -> None:
    former = sign_in(home, server, "mine")
    auth_accounts.refresh("lab", "", as_json=False)
    stored = Tokens.parse(home.secret("mine"))
    assert server.calls("/token") == 1
    assert stored.access != former.access
    assert server.good(stored.access.get_secret_value())
    shown = capsys.readouterr()
    assert shown.out.startswith("mine: good until ")
    assert stored.access.get_secret_value() not in shown.out + shown.err


def test_refresh_of_a_sign_in_that_is_over_says_what_to_run(home: StoredHome, server: OAuthServer) -> None:
    sign_in(home, server, "mine")
    server.sign_ins[-1].over = True
    with pytest.raises(CodemieError, match="sign in again: codemie-proxy auth login lab --name mine"):
        auth_accounts.refresh("lab", "mine", as_json=False)
    [mine] = home.accounts()
    assert mine.needs_login


def test_logout_revokes_and_leaves_nothing(
    home: StoredHome, server: OAuthServer, capsys: pytest.CaptureFixture[str]
) -> None:
    former = sign_in(home, server, "mine")
    auth_accounts.logout("lab", "", as_json=True)
    assert json.loads(capsys.readouterr().out) == {"removed": "mine", "revoked": True}
    assert server.sign_ins[-1].over
    assert not server.good(former.access.get_secret_value())
    assert home.accounts() == []


def test_logout_revokes_what_was_renewed_and_not_stored_yet(home: StoredHome, server: OAuthServer) -> None:
    former = sign_in(home, server, "mine", left=-1.0)
    newer = server.sign_in()
    [mine] = home.accounts()
    with home.database() as database, database.reading() as connection:
        pending.keep(home.places, home.vault(connection), mine.id, newer)
    auth_accounts.logout("lab", "mine", as_json=False)
    assert [one.over for one in server.sign_ins] == [False, True]
    assert list(pending_folder(home.places).iterdir()) == []
    assert former.refresh != newer.refresh


def test_a_provider_that_cannot_be_told_costs_the_exit_code_and_not_the_logout(
    home: StoredHome, server: OAuthServer
) -> None:
    sign_in(home, server, "mine")
    server.failing.append((503, {}, {}))
    with pytest.raises(auth_accounts.RevocationFailed, match=r"mine is removed here.*could not be told .*503"):
        auth_accounts.logout("lab", "mine", as_json=False)
    assert home.accounts() == []


def test_the_revoke_url_may_come_from_the_issuer(home: StoredHome, server: OAuthServer) -> None:
    sign_in(home, server, "mine")
    server.configure(home.places, revoke_url="", device_url="", issuer=server.url)
    auth_accounts.logout("lab", "mine", as_json=False)
    assert server.sign_ins[-1].over


@pytest.mark.parametrize("issuer", [False, True])
def test_without_a_revoke_url_logout_says_where_to_end_it(
    issuer: bool, home: StoredHome, server: OAuthServer, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(home, server, "mine")
    server.configure(home.places, revoke_url="", issuer=server.url if issuer else "")
    auth_accounts.logout("lab", "mine", as_json=False)
    assert "has no revoke_url" in capsys.readouterr().err
    assert home.accounts() == []


@pytest.mark.parametrize(
    "name, problem",
    [("", "choose one with --name: one, two"), ("three", "no account 'three' is signed in to lab")],
)
def test_logout_never_guesses(name: str, problem: str, home: StoredHome, server: OAuthServer) -> None:
    for account in ("one", "two"):
        sign_in(home, server, account)
    with pytest.raises(SettingsError, match=problem):
        auth_accounts.logout("lab", name, as_json=False)
    assert len(home.accounts()) == 2
    assert server.calls("/revoke") == 0
