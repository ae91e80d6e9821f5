import json
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from codemie_core.daemon.order import Order
from codemie_core.daemon.state import DaemonState, write_state
from codemie_core.doctor import codemie
from codemie_core.places import Places
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from support.patient import levels, surroundings, told

URL = "https://codemie.example.com/code-assistant-api"
GATEWAY = "https://codemie.example.com:443/code-assistant-api"
HOUR = 3600.0


def write_profile(home: Path, **values: object) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "codemie-cli.config.json").write_text(json.dumps(values))


def sign_in(home: Path, ends_in: float) -> None:
    session = Session(URL, {"codemie_access_token": SecretStr("planted-cookie")}, expires_at=time.time() + ends_in)
    CredentialStore(Places(home)).write(URL, session)


def test_defaults_are_fine(codemie_home: Path) -> None:
    found = told(codemie.settings(surroundings(codemie_home)))
    assert found == [("ok", f"{codemie_home}/proxy/codemie.yaml does not exist: defaults")]


def test_each_setting_that_cannot_be_used_is_a_problem(codemie_home: Path) -> None:
    (codemie_home / "proxy").mkdir(parents=True)
    (codemie_home / "proxy" / "codemie.yaml").write_text("hosts: [api.example.com]\nenabeld: [x]\n")
    found = told(codemie.settings(surroundings(codemie_home, CODEMIE_KEPT_FLOWS="many")))
    assert {level for level, _ in found} == {"problem"}
    assert any("enabeld" in what and "did you mean 'enabled'" in what for _, what in found)
    assert any("CODEMIE_KEPT_FLOWS: this must be a whole number" in what for _, what in found)


def test_without_a_profile_there_is_nothing_to_sign_in_to(codemie_home: Path) -> None:
    around = surroundings(codemie_home)
    assert levels(codemie.profile(around)) == ["note"]
    assert levels(codemie.sign_in(around)) == ["ok"]


def test_a_profile_is_told_by_name_provider_and_url(codemie_home: Path) -> None:
    write_profile(codemie_home, provider="litellm", baseUrl="https://llm.example.com")
    (found,) = told(codemie.profile(surroundings(codemie_home)))
    assert found == ("ok", "profile 'default': provider litellm, https://llm.example.com")


def test_a_profile_that_cannot_be_read_is_a_problem(codemie_home: Path) -> None:
    codemie_home.mkdir(mode=0o700)
    (codemie_home / "codemie-cli.config.json").write_text("{")
    around = surroundings(codemie_home)
    # Once, by whose business it is.
    assert levels([*codemie.settings(around), *codemie.profile(around)]) == ["ok", "problem"]


def test_the_profile_is_the_one_that_a_start_would_take(codemie_home: Path) -> None:
    names = {"a": {"provider": "litellm"}, "b": {"provider": "openai"}}
    write_profile(codemie_home, version=2, activeProfile="a", profiles=names)
    (codemie_home / "proxy").mkdir(mode=0o700)
    (codemie_home / "proxy" / "codemie.yaml").write_text("profile: a\n")
    around = surroundings(codemie_home, CODEMIE_PROFILE="b")
    assert around.layers.profile.name == "b"
    assert told(codemie.profile(around))[0][1].startswith("profile 'b'")
    (found,) = codemie.profile(surroundings(codemie_home, CODEMIE_PROFILE="c"))
    assert (found.level, found.fix) == ("problem", "mend the profile, or choose another: export CODEMIE_PROFILE=NAME")


@pytest.mark.parametrize(
    "ends_in, level, words",
    [
        (8 * HOUR, "ok", "for another 8.0 h"),
        (300, "warning", "ends in 5 min"),
        (-60, "problem", "has expired"),
        (None, "problem", "nobody is signed in"),
    ],
)
def test_a_session_is_told_by_its_end_and_never_shown(
    ends_in: float | None, level: str, words: str, codemie_home: Path
) -> None:
    write_profile(codemie_home, provider="ai-run-sso", codeMieUrl="https://codemie.example.com")
    if ends_in is not None:
        sign_in(codemie_home, ends_in)
    (found,) = codemie.sign_in(surroundings(codemie_home))
    assert found.level == level
    assert words in found.what
    assert "planted" not in str(found)
    assert (found.fix == "codemie-proxy auth login") == (level != "ok")


@pytest.mark.parametrize("how", ["named", "daemon", "retarget"])
def test_a_gateway_that_only_a_command_has_named_wants_a_session_too(how: str, codemie_home: Path) -> None:
    if how != "named":
        rules = (f"api.anthropic.com={URL}",) if how == "retarget" else ()
        order = Order("" if rules else URL, regular=bool(rules), retarget=rules)
        write_state(Places(codemie_home), DaemonState(999999, "1", 1.0, order, "", 8080))
    around = surroundings(codemie_home, URL if how == "named" else "")
    (found,) = codemie.sign_in(around)
    assert (found.level, found.fix) == ("problem", f"codemie-proxy auth login --url {GATEWAY}")
    sign_in(codemie_home, 8 * HOUR)
    assert levels(codemie.sign_in(around)) == ["ok"]
    # Another vendor's host is no gateway.
    assert levels(codemie.sign_in(surroundings(codemie_home.parent / "new", "https://api.anthropic.com"))) == ["ok"]


def test_a_session_that_cannot_be_read_is_told(codemie_home: Path) -> None:
    write_profile(codemie_home, provider="ai-run-sso", codeMieUrl="https://codemie.example.com")
    sign_in(codemie_home, HOUR)
    for path in (codemie_home / "credentials").glob("*.enc"):
        path.write_text("nonsense")
    assert levels(codemie.sign_in(surroundings(codemie_home))) == ["warning", "problem"]


def test_a_token_that_is_none_is_a_problem_without_its_value(codemie_home: Path) -> None:
    write_profile(codemie_home, provider="bearer-auth", baseUrl="https://codemie.example.com")
    (found,) = codemie.sign_in(surroundings(codemie_home, CODEMIE_JWT_TOKEN="planted\ntoken"))
    assert found.level == "problem"
    assert "planted" not in str(found)
