import json
from pathlib import Path

import pytest

from codemie_core.doctor import agents
from support.patient import levels, program, surroundings, told


def test_agents_on_path_are_named(codemie_home: Path, tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "claude", "codex")
    assert told(agents.installed(surroundings(codemie_home, PATH=path))) == [
        ("ok", f"Claude Code: {path}/claude"),
        ("ok", f"Codex: {path}/codex"),
    ]
    assert levels(agents.installed(surroundings(codemie_home))) == ["note"]


def test_a_settings_file_that_overrules_the_proxy_is_named_with_its_key_and_never_its_value(
    codemie_home: Path, tmp_path: Path
) -> None:
    path = program(tmp_path / "bin", "claude")
    around = surroundings(codemie_home, PATH=path)
    assert levels(agents.overriding(around)) == ["ok"]
    settings = codemie_home.parent / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "https://ann:hunter2-planted@elsewhere.example"}}))
    found = list(agents.overriding(around))
    assert {one.level for one in found} == {"warning"}
    assert f"{settings}: env.ANTHROPIC_BASE_URL" in found[0].what
    assert "planted" not in str(found)


def test_what_overrules_is_told_apart_from_what_helps(codemie_home: Path, tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "claude", "opencode")
    settings = codemie_home.parent / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "https://elsewhere.example"}}))
    config = codemie_home.parent / "opencode.json"
    config.write_text(json.dumps({"provider": {"own": {"options": {"baseURL": "https://elsewhere.example/v1"}}}}))
    claude, opencode = agents.overriding(surroundings(codemie_home, PATH=path))
    assert claude.what.endswith("env.ANTHROPIC_BASE_URL counts more than the environment")
    assert claude.fix == "take it out, or the proxy is passed by"
    assert opencode.what.endswith("provider.own.options.baseURL leads past the proxy when this provider is used")
    assert opencode.fix == f"take provider.own.options.baseURL out of {config}"


def test_what_run_and_env_see_to_by_themselves_is_no_warning_and_by_hand_a_note(
    codemie_home: Path, tmp_path: Path
) -> None:
    path = program(tmp_path / "bin", "gemini")
    assert levels(agents.overriding(surroundings(codemie_home, PATH=path))) == ["ok"]
    led = {"PATH": path, "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:8080"}
    (found,) = agents.overriding(surroundings(codemie_home, **led))
    assert (found.level, "security.auth.selectedType is not set" in found.what) == ("note", True)
    assert found.fix.startswith('eval "$(codemie-proxy env gemini)"')
    chosen = tmp_path / "defaults.json"
    chosen.write_text(json.dumps({"security": {"auth": {"selectedType": "gemini-api-key"}}}))
    led["GEMINI_CLI_SYSTEM_DEFAULTS_PATH"] = str(chosen)
    assert levels(agents.overriding(surroundings(codemie_home, **led))) == ["ok"]


def test_who_is_led_by_arguments_alone_is_named_where_a_variable_seems_to_lead_it(
    codemie_home: Path, tmp_path: Path
) -> None:
    path = program(tmp_path / "bin", "codex")
    assert levels(agents.overriding(surroundings(codemie_home, PATH=path))) == ["ok"]
    led = {"PATH": path, "OPENAI_BASE_URL": "http://127.0.0.1:8080/v1", "OPENAI_API_KEY": "planted"}
    (found,) = agents.overriding(surroundings(codemie_home, **led))
    assert (found.level, found.what.startswith("Codex passes over OPENAI_BASE_URL")) == ("note", True)
    assert found.fix.startswith("codemie-proxy run codex")


def test_nobody_is_told_to_change_what_an_administrator_manages(
    codemie_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed = tmp_path / "managed-settings.json"
    managed.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "https://elsewhere.example"}}))
    monkeypatch.setattr("codemie_core.launch.traps.CLAUDE_MANAGED", (managed,))
    (found,) = agents.overriding(surroundings(codemie_home, PATH=program(tmp_path / "bin", "claude")))
    asked = f"ask for env.ANTHROPIC_BASE_URL to be taken out of {managed}"
    assert found.fix == f"it is an administrator's: {asked}"


def test_the_files_of_an_agent_that_is_not_installed_do_not_matter(codemie_home: Path) -> None:
    settings = codemie_home.parent / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "https://elsewhere.example"}}))
    assert levels(agents.overriding(surroundings(codemie_home))) == ["ok"]
