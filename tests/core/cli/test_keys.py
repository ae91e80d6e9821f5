import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from codemie_core.access.client_keys import KeyStore
from codemie_core.cli import keys
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(keys.app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def key_in(text: str) -> str:
    [key] = {word for word in text.replace("=", " ").split() if word.startswith("cmk_")}
    return key


def running(home: Path, address: str) -> None:
    pid, started = this_process()
    write_entry(Places(home), RunningProxy("run", pid, started, 0.0, (address,), ("regular",), "1"))


def test_add_prints_the_key_and_what_its_holder_sets(codemie_home: Path) -> None:
    outcome = call("add", "ann")
    key = key_in(outcome.stdout)
    assert outcome.exit_code == 0
    assert f"  ANTHROPIC_AUTH_TOKEN={key}\n" in outcome.stdout
    assert f"  OPENAI_API_KEY={key}\n" in outcome.stdout
    assert f"  HTTPS_PROXY=http://ann:{key}@127.0.0.1:8080\n" in outcome.stdout
    holder = KeyStore(Places(codemie_home)).ring().holder([key.encode()])
    assert holder is not None
    assert holder.name == "ann"


def test_the_first_key_comes_with_a_warning_and_the_second_without() -> None:
    assert "This is the first key" in call("add", "ann").stderr
    assert call("add", "bob").stderr == ""


def test_add_for_programs_is_one_object(codemie_home: Path) -> None:
    found = json.loads(call("add", "ann", "--json").stdout)
    assert found.keys() == {"id", "name", "created_at", "revoked_at", "key", "environment"}
    assert found["name"] == "ann"
    assert found["environment"]["OPENAI_API_KEY"] == found["key"]
    assert found["key"].startswith(f"cmk_{found['id']}_")


@pytest.mark.parametrize(
    "address, shown",
    [("127.0.0.1:9090", "@127.0.0.1:9090"), ("::1:9090", "@[::1]:9090"), ("192.168.7.4:9090", "@192.168.7.4:9090")],
)
def test_the_address_is_that_of_a_running_proxy(codemie_home: Path, address: str, shown: str) -> None:
    running(codemie_home, address)
    assert f"{shown}\n" in call("add", "ann").stdout


@pytest.mark.parametrize("address", ["0.0.0.0:9090", ":::9090"])
def test_a_proxy_on_every_address_is_named_by_its_machine(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "build-box")
    running(codemie_home, address)
    assert "@build-box:9090\n" in call("add", "ann").stdout


def test_a_name_with_odd_characters_makes_a_proxy_url_that_works() -> None:
    proxy = json.loads(call("add", "Ann B/C@d", "--json").stdout)["environment"]["HTTPS_PROXY"]
    assert proxy.startswith("http://Ann%20B%2FC%40d:cmk_")


def test_list_shows_everything_but_the_keys(codemie_home: Path) -> None:
    made = [key_in(call("add", name).stdout) for name in ("ann", "bob")]
    call("revoke", "bob")
    text, found = call("list").stdout, json.loads(call("list", "--json").stdout)
    assert [entry["name"] for entry in found] == ["ann", "bob"]
    assert [entry["revoked_at"] is None for entry in found] == [True, False]
    assert all(entry["id"] in text and entry["name"] in text for entry in found)
    file = json.loads((codemie_home / "proxy" / "keys.json").read_text())
    for secret in [key[-43:] for key in made] + [entry["sha256"] for entry in file["keys"]]:
        assert secret not in text
        assert secret not in json.dumps(found)


def test_list_without_keys_says_who_may_use_the_proxy() -> None:
    assert "every program on this machine" in call("list").stdout
    assert json.loads(call("list", "--json").stdout) == []


def test_revoke_takes_a_name_or_an_id() -> None:
    for name in ("ann", "bob", "eve"):
        call("add", name)
    bob = json.loads(call("list", "--json").stdout)[1]["id"]
    assert call("revoke", "ann").stdout.startswith("Revoked the key of ann (")
    assert call("revoke", bob).stdout == f"Revoked the key of bob ({bob})\n"
    assert call("revoke", "eve").exit_code == 0


def test_revoking_the_last_key_says_that_nobody_gets_in_and_how_to_open_again(codemie_home: Path) -> None:
    call("add", "ann")
    call("add", "bob")
    assert call("revoke", "ann").stderr == ""
    warning = call("revoke", "bob").stderr
    assert "nobody is let in" in warning
    assert f"remove {codemie_home / 'proxy' / 'keys.json'} and restart" in warning


def test_what_cannot_be_done_is_said_in_one_line() -> None:
    with pytest.raises(SettingsError, match="no active key is named 'ann'"):
        call("revoke", "ann")
