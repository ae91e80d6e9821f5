import base64
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from codemie_core.accounts import adding
from codemie_core.accounts.account import Account, Kind, SecretRef, Source
from codemie_core.accounts.state import Cooldown
from codemie_core.errors import SettingsError
from codemie_core.store.accounts import NameTaken, sealed_proxies
from codemie_core.store.pool import save_changes
from support.stored import StoredHome, new_account

URL, FAR = "https://api.anthropic.com", 4_000_000_000.0
KEY = SecretStr("planted-key")


@pytest.fixture
def home(codemie_home: Path) -> StoredHome:
    return StoredHome(codemie_home, {"CODEMIE_KEYRING": "0"})


def add(home: StoredHome, account: Account, secret: SecretStr = KEY, proxy: SecretStr | None = None) -> str:
    return home.write(lambda connection: adding.add(connection, account, home.vault(connection), secret, proxy, "ann"))


def test_the_secret_and_the_proxys_password_are_sealed_each_for_its_own_use(home: StoredHome) -> None:
    account = new_account("main", URL)
    password = adding.proxy_authorization("ann", SecretStr("planted:word"))
    assert add(home, account, KEY, password) == ""
    assert home.secret("main") == "planted-key"
    sealed = home.read(sealed_proxies)[account.id]
    opened = home.write(lambda connection: home.vault(connection).open(sealed, f"proxy:{account.id}"))
    assert opened.get_secret_value() == "Basic " + base64.b64encode(b"ann:planted:word").decode()
    for path in home.places.home.rglob("*"):
        assert not path.is_file() or b"planted" not in path.read_bytes()


def test_the_same_key_for_the_same_api_is_told(home: StoredHome) -> None:
    assert add(home, new_account("main", URL)) == ""
    assert add(home, new_account("spare", URL)) == "main"
    assert add(home, new_account("elsewhere", "https://llm.example.com")) == ""
    assert add(home, new_account("other", URL), SecretStr("planted-other")) == ""


def test_a_name_that_is_taken_adds_nothing(home: StoredHome) -> None:
    add(home, new_account("main", URL))
    with pytest.raises(NameTaken, match="codemie-proxy accounts key main"):
        add(home, new_account("main", "https://llm.example.com"))
    assert len(home.accounts()) == 1


def test_another_key_ends_what_the_old_one_had_run_into(home: StoredHome) -> None:
    account = new_account("main", URL)
    add(home, account)
    home.write(lambda connection: save_changes(connection, [Cooldown(account.id, "", FAR, "limited", True, 1, 1.0)]))
    new = SecretStr("planted-new")
    home.write(
        lambda connection: adding.replace_key(
            connection, account, home.vault(connection), new, SecretRef(), "ann", 2_000.0
        )
    )
    assert home.secret("main") == "planted-new"
    assert all(rest.over for rest in home.state(2_001.0).cooldowns)
    elsewhere = SecretRef(Source.ENV, "MAIN_KEY")
    home.write(lambda connection: adding.replace_key(connection, account, None, None, elsewhere, "ann", 3_000.0))
    assert home.secret("main") == ""
    assert home.accounts()[0].secret == elsewhere


def test_a_sign_in_takes_no_key(home: StoredHome) -> None:
    account = replace(new_account("me", URL), kind=Kind.OAUTH)
    with pytest.raises(SettingsError, match="sign in anew: codemie-proxy auth login anthropic --name me"):
        adding.require_key(account)
