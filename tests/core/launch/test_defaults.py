import dataclasses
import json
import os
from pathlib import Path

import pytest

from codemie_core.launch.agents import AGENTS, LaunchAgent
from codemie_core.launch.defaults import defaults_for
from codemie_core.launch.traps import Look, traps
from codemie_core.places import Places

VARIABLE = "GEMINI_CLI_SYSTEM_DEFAULTS_PATH"
CHOICE = {"security": {"auth": {"selectedType": "gemini-api-key"}}}


def gemini(*files: str) -> LaunchAgent:
    defaults = AGENTS["gemini"].defaults
    assert defaults is not None
    return dataclasses.replace(AGENTS["gemini"], defaults=dataclasses.replace(defaults, files=files))


def test_gemini_gets_a_way_to_sign_in_that_it_takes_behind_a_base_url(codemie_home: Path) -> None:
    places = Places(codemie_home)
    for _ in range(2):
        [(name, file)] = defaults_for(gemini(), "base-url", places, {}).items()
        assert (name, json.loads(Path(file).read_text())) == (VARIABLE, CHOICE)
        assert os.stat(file).st_mode & 0o777 == 0o600
    assert traps(Look(gemini(), "base-url", codemie_home, codemie_home, {name: file})) == ()


@pytest.mark.parametrize("choice", ["a file of the company", "a variable", "https-proxy", "another agent"])
def test_nobody_elses_choice_is_overruled(choice: str, codemie_home: Path, tmp_path: Path) -> None:
    (company := tmp_path / "system-defaults.json").write_text("{}")
    agent = AGENTS["claude"] if choice == "another agent" else gemini(*([str(company)] if "file" in choice else []))
    environ = {VARIABLE: str(company)} if choice == "a variable" else {}
    via = "https-proxy" if choice == "https-proxy" else "base-url"
    assert defaults_for(agent, via, Places(codemie_home), environ) == {}  # type: ignore[arg-type] # it is one of both
    assert not (codemie_home / "proxy" / "agents").exists()
