import base64
import json
import sqlite3
from pathlib import Path

import pytest

from codemie_core.accounts.state import Cooldown
from codemie_core.cli.accounts_book import Book
from codemie_core.errors import SettingsError
from codemie_core.store.accounts import sealed_proxies
from codemie_core.store.secrets import sealed_secret
from support.accounts_cli import SECRET, add, call, happened, listed, shown

LATER = 4_000_000_000.0


def opened(account_id: str) -> str:
    """The secret, out of the vault."""
    book = Book()
    with book.writing() as connection:
        found = sealed_secret(connection, account_id)
        assert found is not None
        return book.vault(connection).open(found[0], f"account:{account_id}").get_secret_value()


def test_the_first_account_makes_database_and_vault_and_says_where(codemie_home: Path) -> None:
    outcome = add("main")
    proxy = codemie_home / "proxy"
    assert outcome.exit_code == 0
    assert outcome.stdout == "Added main: Anthropic at https://api.anthropic.com, priority 0. Its secret: the vault\n"
    where = f"Your accounts are in {proxy / 'proxy.db'}; the key that seals their secrets is in {proxy / 'vault.key'}\n"
    assert where in outcome.stderr
    assert "Running proxies notice within a second. To try it: codemie-proxy accounts test main" in outcome.stderr
    assert [path.stat().st_mode & 0o777 for path in (proxy, proxy / "proxy.db", proxy / "vault.key")] == [
        *(0o700, 0o600, 0o600)
    ]
    assert "Your accounts" not in add("spare", secret="planted-key-2").stderr


def test_the_secret_is_in_the_vault_and_nowhere_else(codemie_home: Path) -> None:
    outcome = add("main")
    assert opened(shown("main")["id"]) == SECRET
    assert SECRET not in outcome.output
    for path in codemie_home.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_add_for_programs_is_one_object_without_the_secret() -> None:
    outcome = add("main", "--tag", "eu", "--json")
    found = json.loads(outcome.stdout)
    assert found.keys() == shown("main").keys() - {"events"}
    assert (found["name"], found["state"], found["tags"]) == ("main", "ready", ["eu"])
    assert SECRET not in outcome.output


def test_a_name_that_is_taken_is_refused_before_anybody_types_a_secret() -> None:
    add("main")
    with pytest.raises(SettingsError, match="there is an account 'main' already: choose another name") as refused:
        call("add", "main", "--provider", "openai")
    assert "codemie-proxy accounts key main" in str(refused.value)


@pytest.mark.parametrize("typed", ["", "\n", "$ANTHROPIC_API_KEY\n"])
def test_without_a_secret_nothing_is_made(typed: str, codemie_home: Path) -> None:
    with pytest.raises(SettingsError, match="the key of main for Anthropic is"):
        call("add", "main", "--provider", "anthropic", typed=typed)
    assert not codemie_home.exists()


def test_a_secret_of_another_provider_is_kept_with_a_hint() -> None:
    outcome = add("main", provider="openai", secret="sk-ant-api03-planted")
    assert "This looks like a key of Anthropic, and the account is one of OpenAI" in outcome.stderr
    assert opened(shown("main")["id"]) == "sk-ant-api03-planted"


def test_the_same_key_twice_is_told() -> None:
    add("main")
    assert "It is the same key as main's" in add("spare").stderr
    assert "the same key" not in add("other", secret="planted-key-2").stderr
    assert "the same key" not in add("elsewhere", provider="openai").stderr


def test_a_variable_that_is_not_set_is_told_and_no_vault_is_made(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = call("add", "main", "--provider", "openai", "--env", "CI_KEY")
    assert "CI_KEY is not set here; the proxy needs it in its own environment" in outcome.stderr
    assert outcome.stdout.endswith("Its secret: the environment variable CI_KEY of the proxy\n")
    assert not (codemie_home / "proxy" / "vault.key").exists()
    monkeypatch.setenv("CI_KEY", "planted")
    assert "not set" not in call("add", "other", "--provider", "openai", "--env", "CI_KEY").stderr


def test_the_password_of_an_outbound_proxy_is_asked_for_and_sealed() -> None:
    url = "http://ann@proxy.example.com:3128"
    outcome = call(
        "add", "main", "--provider", "openai", "--outbound-proxy", url, typed=f"{SECRET}\nplanted-password\n"
    )
    account = shown("main")
    assert account["outbound_proxy"] == "http://proxy.example.com:3128"
    book = Book()
    with book.writing() as connection:
        sealed = sealed_proxies(connection)[account["id"]]
        value = book.vault(connection).open(sealed, f"proxy:{account['id']}").get_secret_value()
    assert value == "Basic " + base64.b64encode(b"ann:planted-password").decode()
    assert opened(account["id"]) == SECRET
    assert "planted" not in outcome.output


def test_another_key_takes_the_place_of_the_old_one_and_ends_its_rests() -> None:
    add("main")
    before = shown("main")
    happened([Cooldown(before["id"], model, LATER, "limited", True, 2, 1.0) for model in ("", "claude-a")])
    assert shown("main")["state"] == "limited"
    outcome = call("key", "main", typed="planted-key-2\n")
    after = shown("main")
    assert outcome.stdout == "main has another key. Its secret: the vault\n"
    assert opened(after["id"]) == "planted-key-2"
    assert (after["id"], after["state"], after["models_out"]) == (before["id"], "ready", [])
    assert after["events"][0]["event"] == "secret replaced"
    assert "planted" not in outcome.output


def test_a_key_that_moves_elsewhere_leaves_the_vault(codemie_home: Path) -> None:
    add("main")
    call("key", "main", "--command", "pass show main")
    assert shown("main")["secret"] == {"source": "command", "place": "pass show main"}
    with sqlite3.connect(codemie_home / "proxy" / "proxy.db") as database:
        assert database.execute("select count(*) from account_secrets").fetchone() == (0,)
    call("key", "main", typed="planted-key-2\n")
    assert opened(shown("main")["id"]) == "planted-key-2"


def test_a_vault_whose_key_is_gone_takes_no_further_secret(codemie_home: Path) -> None:
    add("main")
    (codemie_home / "proxy" / "vault.key").unlink()
    with pytest.raises(SettingsError, match="the database holds sealed secrets"):
        add("spare")
    assert [account["name"] for account in listed()] == ["main"]
