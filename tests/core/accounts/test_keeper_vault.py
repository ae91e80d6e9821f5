"""The keeper and the vault: keys that are not good, and a key that is rotated while the proxy runs."""

import asyncio
from pathlib import Path

import pytest

from codemie_core.egress import parse_proxy
from codemie_core.vault import Vault, VaultError
from codemie_core.vault_rotation import rotate
from support.keeping import URL, Home, quickly, until, warnings


@pytest.fixture
def home(codemie_home: Path) -> Home:
    return Home(codemie_home)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)


@pytest.mark.parametrize("wrong", ["missing", "other", "readable", "nonsense"])
async def test_a_vault_key_that_is_not_good_refuses_the_start(home: Home, wrong: str) -> None:
    home.stored.key("main", URL, "planted-main")
    file = home.stored.places.proxy / "vault.key"
    if wrong == "missing":
        file.unlink()
    elif wrong == "readable":
        file.chmod(0o644)
    else:
        file.write_text(Vault.fresh().dump() if wrong == "other" else "nonsense")
    with pytest.raises(VaultError, match=r"vault\.key"):
        home.keeper.open()
    assert home.names == []
    await home.keeper.end()


async def test_while_the_key_is_rotated_the_proxy_goes_on(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("main", "later"):
        home.stored.key(name, URL, f"planted-{name}")
    home.begin()
    assert await home.secret("main") == "planted-main"
    before = home.keeper.vault
    assert before is not None
    for _ in range(3):
        home.rotate()
    assert home.keeper.secret_at_hand(home.account("main")) is not None, "what is in memory stays good"
    assert await home.secret("later") == "planted-later"
    home.stored.key("new", URL, "planted-new")
    await until(lambda: "new" in home.names)
    assert await home.secret("new") == "planted-new"
    after = home.keeper.vault
    assert after is not None
    assert after.key_id != before.key_id
    assert home.keeper.secret_at_hand(home.account("main")) is not None
    assert warnings(caplog) == []
    await home.keeper.end()


async def test_a_secret_asked_for_before_the_news_of_a_rotation_opens(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.stored.key("main", URL, "planted-main")
    monkeypatch.setattr("codemie_core.store.worker.POLL", 3600.0)
    home.begin()
    await asyncio.sleep(0.1)
    home.rotate()
    home.rotate()
    assert await home.secret("main") == "planted-main"
    await home.keeper.end()


async def test_without_the_new_key_what_is_in_memory_serves_on_and_the_key_is_found_when_it_comes(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    def password() -> str:
        proxy = home.account("abroad").outbound_proxy
        return proxy.authorization.get_secret_value() if proxy and proxy.authorization else ""

    proxy = parse_proxy("http://proxy.example:3128", "test")
    abroad = home.stored.key("abroad", URL, "planted-abroad", outbound_proxy=proxy)
    sealed = home.stored.write(home.stored.vault).seal("Basic planted-password", f"proxy:{abroad.id}")
    home.stored.change("abroad", outbound_proxy_sealed=sealed)
    home.begin()
    assert (await home.secret("abroad"), password()) == ("planted-abroad", "Basic planted-password")
    file = home.stored.places.proxy / "vault.key"
    before = file.read_bytes()
    with home.stored.database() as database, database.writing() as connection:
        # As where the key was rotated on another machine: no moment at which this one could see the new one.
        rotate(connection, home.stored.places, home.environ, "a test", 1)
        after = file.read_bytes()
        file.write_bytes(before)
    home.stored.change("abroad", "paused", paused="holidays")
    await until(lambda: home.account("abroad").paused == "holidays")
    await until(lambda: any("Secrets of accounts cannot be read" in line for line in warnings(caplog)))
    assert password() == "Basic planted-password"
    assert home.keeper.secret_at_hand(home.account("abroad")) is not None
    home.stored.change("abroad", "proxy", outbound_proxy=parse_proxy("http://other.example:3128", "test"))
    await until(lambda: password() == "")
    file.write_bytes(after)
    await until(lambda: password() == "Basic planted-password")
    assert len([line for line in warnings(caplog) if "cannot be read" in line]) == 1
    await home.keeper.end()


async def test_a_secret_that_was_found_bad_is_read_anew(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    main = home.stored.key("main", URL, "planted-main")
    monkeypatch.setattr("codemie_core.store.worker.POLL", 3600.0)
    home.begin()
    assert await home.secret("main") == "planted-main"
    await asyncio.sleep(0.1)
    home.replace_secret(main, "planted-newer")
    found = await home.keeper.secret(home.account("main"), refresh=True)
    assert found.get_secret_value() == "planted-newer"
    await home.keeper.end()
