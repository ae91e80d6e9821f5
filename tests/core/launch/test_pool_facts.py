from pathlib import Path

from codemie_core.launch.pool_facts import pool_facts
from codemie_core.oauth.providers import providers_file
from codemie_core.places import Places
from support.cli import call
from support.stored import StoredHome


def test_without_a_store_nothing_is_known_and_nothing_made(codemie_home: Path) -> None:
    found = pool_facts({"CODEMIE_HOME": str(codemie_home)})
    assert (found.hosts, found.variables) == (frozenset(), frozenset())
    assert not codemie_home.exists()


def test_accounts_tell_whose_requests_they_sign_and_which_variables_are_theirs(codemie_home: Path) -> None:
    home = StoredHome(codemie_home)
    home.key("main", "https://gateway.example/v1", "planted")
    added = call("accounts", "add", "work", "--provider", "anthropic", "--env", "WORK_KEY")
    assert added.code == 0, added.err
    found = pool_facts({"CODEMIE_HOME": str(codemie_home)})
    assert found.hosts == {"gateway.example", "api.anthropic.com"}
    assert found.variables == {"WORK_KEY"}
    assert found.serves(("api.openai.com", "*.example"))
    assert not found.serves(("api.openai.com",))
    assert call("accounts", "pause", "work").code == 0
    found = pool_facts({"CODEMIE_HOME": str(codemie_home)})
    assert found.hosts == {"gateway.example"}
    assert found.variables == {"WORK_KEY"}


def test_the_secret_of_an_oauth_client_is_the_proxys(codemie_home: Path) -> None:
    places = Places(codemie_home)
    text = (
        "mine: {client_id: c, client_secret_variable: MY_CLIENT_SECRET, authorize_url: 'https://a.example/a', "
        "token_url: 'https://a.example/t', scopes: [s], provider: anthropic}"
    )
    places.write_private(providers_file(places), text.encode())
    assert "MY_CLIENT_SECRET" in pool_facts({"CODEMIE_HOME": str(codemie_home)}).variables


def test_a_store_that_cannot_be_read_counts_as_none(codemie_home: Path) -> None:
    StoredHome(codemie_home).key("main", "https://gateway.example", "planted")
    (codemie_home / "proxy" / "proxy.db").write_bytes(b"no database")
    assert pool_facts({"CODEMIE_HOME": str(codemie_home)}).hosts == frozenset()
