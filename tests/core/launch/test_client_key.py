from pathlib import Path

import pytest

from codemie_core.access.client_keys import KeyStore
from codemie_core.launch.agents import AGENTS
from codemie_core.launch.client_key import VARIABLE, client_key
from codemie_core.places import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_where_nobody_asks_for_keys_none_is_shown(places: Places) -> None:
    assert client_key(AGENTS["claude"], places, {VARIABLE: "cmk_mine"}) == ("", "")


def test_it_is_the_one_that_is_given_or_that_the_agent_has_already(places: Places) -> None:
    KeyStore(places).add("docker")
    claude = AGENTS["claude"]
    assert client_key(claude, places, {VARIABLE: "cmk_mine", "ANTHROPIC_API_KEY": "cmk_other"}) == ("cmk_mine", "")
    assert client_key(claude, places, {"ANTHROPIC_API_KEY": "cmk_other"}) == ("cmk_other", "")


def test_without_one_it_is_said_how_to_come_by_it(places: Places) -> None:
    KeyStore(places).add("docker")
    key, note = client_key(AGENTS["claude"], places, {"ANTHROPIC_API_KEY": "planted"})
    assert key == ""
    assert "Claude Code has none: make one with `codemie-proxy keys add NAME` and set CODEMIE_CLIENT_KEY" in note


def test_a_file_that_cannot_be_read_is_the_proxys_business(places: Places) -> None:
    KeyStore(places).add("docker")
    KeyStore(places).path.write_text("{")
    assert client_key(AGENTS["claude"], places, {}) == ("", "")
