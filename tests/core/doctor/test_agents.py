import json
from pathlib import Path

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


def test_the_files_of_an_agent_that_is_not_installed_do_not_matter(codemie_home: Path) -> None:
    settings = codemie_home.parent / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "https://elsewhere.example"}}))
    assert levels(agents.overriding(surroundings(codemie_home))) == ["ok"]
