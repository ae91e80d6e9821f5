from pathlib import Path

from pydantic import SecretStr

from codemie_core.accounts.account import Account, Kind
from codemie_core.oauth.held import Held, is_with, sign_ins, ways
from codemie_core.oauth.providers import OAuthProvider
from codemie_core.oauth.tokens import Tokens
from codemie_core.store.accounts import load_accounts
from support.stored import StoredHome, new_account

LAB = OAuthProvider(name="lab", provider="anthropic-compatible", authorize_url="https://login.lab.test/authorize")
TOKENS = Tokens(SecretStr("planted-access"), SecretStr("planted-refresh"), 2000.0, 1000.0, "one", "lab")


def signed_in(name: str) -> Account:
    return new_account(name, "https://api.lab.test", "anthropic-compatible", kind=Kind.OAUTH)


def test_only_sign_ins_are_opened_and_one_that_is_damaged_harms_no_other(codemie_home: Path) -> None:
    home = StoredHome(codemie_home, {"CODEMIE_KEYRING": "0"})
    home.key("key", "https://api.lab.test", "planted-key", provider="anthropic-compatible")
    home.add(signed_in("good"), TOKENS.dump())
    home.add(signed_in("damaged"), "no tokens")
    home.add(signed_in("empty"))
    found = home.write(lambda connection: sign_ins(connection, load_accounts(connection), home.vault))
    assert {held.account.name: held.tokens for held in found} == {"damaged": None, "empty": None, "good": TOKENS}
    assert {held.account.name for held in found if held.renewed} == {"good"}
    assert all(is_with(held, LAB) for held in found)


def test_without_a_sign_in_the_vault_is_left_alone(codemie_home: Path) -> None:
    home = StoredHome(codemie_home, {"CODEMIE_KEYRING": "0"})
    key = home.key("key", "https://api.lab.test", "planted-key")

    def opened(_: object) -> None:
        raise AssertionError

    assert home.read(lambda connection: sign_ins(connection, [key], opened)) == []  # type: ignore[arg-type] # never called


def test_a_sign_in_belongs_to_the_provider_that_its_tokens_name() -> None:
    other = LAB.model_copy(update={"name": "other"})
    assert not is_with(Held(signed_in("a"), TOKENS), other)
    assert is_with(Held(signed_in("a"), None), other)


def test_ways_are_those_whose_urls_are_known() -> None:
    assert ways(LAB) == ["browser", "paste"]
    assert ways(LAB.model_copy(update={"authorize_url": "", "device_url": "https://login.lab.test/d"})) == ["device"]
