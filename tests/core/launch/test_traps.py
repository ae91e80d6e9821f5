import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from codemie_core.launch import traps as modules
from codemie_core.launch.agents import AGENTS
from codemie_core.launch.environment import Via
from codemie_core.launch.traps import Look, logged_in, traps


class Room:
    """A home and a working folder with files in them."""

    def __init__(self, root: Path) -> None:
        self.home, self.folder = root / "home", root / "work"

    def write(self, name: str, content: Any, folder: str = "home") -> Path:
        path = (self.home if folder == "home" else self.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def look(self, name: str, via: Via = "base-url", arguments: Sequence[str] = (), **environ: str) -> Look:
        return Look(AGENTS[name], via, self.home, self.folder, environ, arguments)

    def found(self, name: str, via: Via = "base-url", arguments: Sequence[str] = (), **environ: str) -> set[str]:
        look = self.look(name, via, arguments, **environ)
        return {f"{trap.file.relative_to(self.home.parent)}: {trap.key}" for trap in traps(look)}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_claudes_settings_that_overrule_the_environment_are_named(room: Room) -> None:
    room.write(".claude/settings.json", {"env": {"ANTHROPIC_BASE_URL": "https://other.example", "FOO": "1"}})
    room.write(".claude/settings.json", {"env": {"CLAUDE_CODE_USE_VERTEX": "1"}}, "work")
    room.write(".claude/settings.local.json", {"env": {"HTTPS_PROXY": "http://other.example"}}, "work")
    always = {
        "home/.claude/settings.json: env.ANTHROPIC_BASE_URL",
        "work/.claude/settings.json: env.CLAUDE_CODE_USE_VERTEX",
    }
    assert room.found("claude") == {*always, "work/.claude/settings.local.json: env.HTTPS_PROXY"}
    assert room.found("claude", "https-proxy") == {*always, "work/.claude/settings.local.json: env.HTTPS_PROXY"}


def test_claudes_settings_may_be_elsewhere(room: Room) -> None:
    elsewhere = room.write("elsewhere/settings.json", {"env": {"ANTHROPIC_BASE_URL": "https://other.example"}})
    assert room.found("claude", CLAUDE_CONFIG_DIR=str(elsewhere.parent)) == {
        "home/elsewhere/settings.json: env.ANTHROPIC_BASE_URL"
    }


def test_a_warning_names_the_file_the_key_and_what_helps(room: Room) -> None:
    file = room.write(".claude/settings.json", {"env": {"ANTHROPIC_BASE_URL": "https://key@other.example"}})
    [trap] = traps(room.look("claude"))
    assert str(trap).startswith(f"{file}: env.ANTHROPIC_BASE_URL counts more than the environment")
    assert "other.example" not in str(trap)


def test_a_login_with_chatgpt_is_none_for_a_base_url(room: Room) -> None:
    room.write(".codex/auth.json", {"OPENAI_API_KEY": None, "tokens": {"access_token": "t"}})
    assert room.found("codex") == {"home/.codex/auth.json: tokens"}
    assert room.found("codex", "https-proxy") == set()
    assert room.found("codex", OPENAI_API_KEY="sk-mine") == set()
    room.write(".codex/auth.json", {"OPENAI_API_KEY": "sk-mine", "tokens": None})
    assert room.found("codex") == set()


CODEX = """
profile = "work"
model_provider = "own"
[model_providers.own]
base_url = "https://other.example/v1"
[profiles.work]
model_provider = "own"
[profiles.plain]
model = "m"
"""


def test_a_profile_of_codex_overrules_the_provider_it_is_told(room: Room) -> None:
    room.write(".codex/config.toml", CODEX)
    assert room.found("codex", OPENAI_API_KEY="k") == {"home/.codex/config.toml: profiles.work.model_provider"}
    assert room.found("codex", arguments=("-p", "plain"), OPENAI_API_KEY="k") == set()
    assert room.found("codex", arguments=("--profile=plain",), OPENAI_API_KEY="k") == set()


def test_a_provider_of_codex_that_is_not_its_vendor_goes_past_an_https_proxy(room: Room) -> None:
    room.write(".codex/config.toml", CODEX)
    assert room.found("codex", "https-proxy") == {"home/.codex/config.toml: model_providers.own.base_url"}
    room.write(".codex/config.toml", 'openai_base_url = "https://api.openai.com/v1"')
    assert room.found("codex", "https-proxy") == set()


def test_a_profile_of_codex_may_be_a_file_of_its_own(room: Room) -> None:
    text = 'model_provider = "own"\n[model_providers.own]\nbase_url = "https://other.example/v1"'
    room.write(".codex/work.config.toml", text)
    of_file = "home/.codex/config.toml: model_providers.own.base_url"
    assert room.found("codex", "https-proxy", ("-p", "work")) == {of_file}
    assert room.found("codex", "https-proxy") == set()
    # What it is told by arguments counts more than such a file.
    assert room.found("codex", arguments=("-p", "work"), OPENAI_API_KEY="k") == set()


@pytest.mark.parametrize(
    "settings, key",
    [
        ({"security": {"auth": {"selectedType": "oauth-personal"}}}, "security.auth.selectedType"),
        ({"selectedAuthType": "vertex-ai"}, "selectedAuthType"),
        ({"security": {"auth": {"selectedType": "gemini-api-key"}}}, ""),
        ({"security": None}, ""),
    ],
)
def test_gemini_has_a_base_url_only_with_a_key(room: Room, settings: object, key: str) -> None:
    room.write(".gemini/settings.json", settings)
    assert room.found("gemini") == ({f"home/.gemini/settings.json: {key}"} if key else set())
    assert room.found("gemini", "https-proxy") == set()


@pytest.mark.parametrize("settings, chosen", [({}, False), ({"security": {"auth": {"selectedType": "x"}}}, True)])
def test_gemini_has_to_be_told_of_its_key_by_who_starts_it_by_hand(room: Room, settings: object, chosen: bool) -> None:
    """`run` and `env` bring a file that does, unless there is one of the company's."""
    [untold] = traps(dataclasses.replace(room.look("gemini"), by_hand=True))
    assert (untold.file, untold.key) == (room.home / ".gemini/settings.json", "security.auth.selectedType")
    company = room.write("system-defaults.json", settings)
    [trap] = traps(room.look("gemini", GEMINI_CLI_SYSTEM_DEFAULTS_PATH=str(company)))
    assert (trap.file, trap.key) == (company if chosen else untold.file, untold.key)
    # It counts less than the user's own.
    room.write(".gemini/settings.json", {"security": {"auth": {"selectedType": "gemini-api-key"}}})
    assert traps(room.look("gemini", GEMINI_CLI_SYSTEM_DEFAULTS_PATH=str(company))) == ()


def test_providers_of_opencode_that_lead_elsewhere_are_named(room: Room) -> None:
    text = """{ // mine
      "provider": {
        "anthropic": {"options": {"baseURL": "https://gone.example/v1"}},
        "own": {"options": {"baseURL": "https://own.example//v1", /* so */ }},
      },
    }"""
    room.write("opencode.jsonc", text, "work")
    assert room.found("opencode") == {"work/opencode.jsonc: provider.own.options.baseURL"}
    assert len(room.found("opencode", "https-proxy")) == 2


def test_a_warning_is_one_line_whatever_a_file_says(room: Room) -> None:
    providers = {"own\x1b[2J\nforged": {"options": {"baseURL": "https://own.example"}}}
    room.write("opencode.json", {"provider": providers}, "work")
    [trap] = traps(room.look("opencode"))
    assert str(trap).isprintable()


def test_what_an_administrator_manages_is_named_as_such(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"env": {"ANTHROPIC_BASE_URL": "https://other.example"}}
    managed = room.write("etc/managed-settings.json", env)
    part = room.write("etc/managed-settings.d/10-a.json", env)
    room.write("etc/managed-settings.d/.hidden.json", env)
    remote = room.write(".claude/remote-settings.json", env)
    monkeypatch.setattr(modules, "CLAUDE_MANAGED", (managed,))
    assert [(trap.file, trap.managed) for trap in traps(room.look("claude"))] == [
        (file, True) for file in (managed, part, remote)
    ]
    codex = room.write("etc/managed_config.toml", 'model_provider = "own"')
    monkeypatch.setattr(modules, "CODEX_MANAGED", codex)
    assert room.found("codex", OPENAI_API_KEY="k") == {"home/etc/managed_config.toml: model_provider"}
    provider = {"provider": {"anthropic": {"options": {"baseURL": "https://other.example"}}}}
    room.write("etc/opencode.json", provider)
    monkeypatch.setattr(modules, "OPENCODE_MANAGED", (room.home / "etc",))
    assert room.found("opencode") == {"home/etc/opencode.json: provider.anthropic.options.baseURL"}


def test_opencode_looks_in_more_folders_than_this_one(room: Room) -> None:
    own = {"provider": {"own": {"options": {"baseURL": "https://own.example"}}}}
    above = room.folder.parent
    (above / ".git").mkdir()
    for file in ("../opencode.json", "../.opencode/opencode.jsonc", ".opencode/opencode.json"):
        room.write(file, own, "work")
    for file in ("mine.json", ".config/opencode/config.json", ".opencode/opencode.json", "dir/opencode.json"):
        room.write(file, own)
    room.write("../opencode.json", own, "work")
    found = room.found("opencode", OPENCODE_CONFIG=str(room.home / "mine.json"), OPENCODE_CONFIG_DIR=f"{room.home}/dir")
    assert len(found) == 7
    (room.folder / ".git").mkdir()
    assert len(room.found("opencode")) == 3


def test_gemini_reads_the_nearest_file_of_variables(room: Room) -> None:
    room.write(".env", "GOOGLE_GEMINI_BASE_URL=https://other.example")
    room.folder.mkdir()
    assert room.found("gemini", "https-proxy") == {"home/.env: GOOGLE_GEMINI_BASE_URL"}
    room.write(".gemini/.env", "GEMINI_API_KEY=planted", "work")
    assert room.found("gemini", "https-proxy") == set()


@pytest.mark.parametrize("variable", ["GEMINI_CLI_HOME", "GEMINI_CLI_SYSTEM_SETTINGS_PATH"])
def test_geminis_settings_may_be_elsewhere(room: Room, variable: str) -> None:
    file = room.write("other/.gemini/settings.json", {"security": {"auth": {"enforcedType": "vertex-ai"}}})
    named = file if variable.endswith("PATH") else room.home / "other"
    look = Look(AGENTS["gemini"], "base-url", room.home, room.folder, {variable: str(named)})
    assert (file, "security.auth.enforcedType") in [(trap.file, trap.key) for trap in traps(look)]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"env": 3}', '{"env": {"ANTHROPIC_BASE_URL": ""}}', "[" * 9000])
def test_files_that_say_nothing_are_no_trap(room: Room, content: str) -> None:
    for name in (".claude/settings.json", ".codex/auth.json", ".codex/config.toml", ".gemini/settings.json"):
        room.write(name, content)
    assert not any(room.found(name, via) for name in AGENTS for via in ("base-url", "https-proxy"))


def test_who_is_logged_in_is_told_by_files(room: Room) -> None:
    assert not any(logged_in(room.look(name)) for name in AGENTS)
    room.write(".claude.json", {"numStartups": 1})
    assert not logged_in(room.look("claude"))
    room.write(".claude.json", {"oauthAccount": {"accountUuid": "u"}})
    assert logged_in(room.look("claude"))
    room.write(".codex/auth.json", {})
    assert logged_in(room.look("codex"))
    assert not logged_in(room.look("codex", CODEX_HOME=str(room.home / "other")))
