import json
from pathlib import Path

import pytest

from codemie_core.cli.plan import Plan
from codemie_core.errors import SettingsError
from codemie_core.launch.agents import AGENTS
from codemie_core.launch.destination import Destination
from codemie_core.launch.environment import Via
from codemie_core.launch.meant import keep_keys_home
from codemie_core.launch.traps import Look

URL = "https://gw.example/v1"
CLAUDE = ".claude/settings.json"
OPENCODE = ".config/opencode/opencode.json"
CODEX = ".codex/config.toml"


class Room:
    """An agent, its user's files, and where it is led."""

    def __init__(self, root: Path, name: str, via: Via = "base-url") -> None:
        self.home, self.folder, self.name, self.via = root / "home", root / "work", name, via
        vendor = AGENTS[name].default_target
        self.going = Destination(plan=Plan(f"reverse:{vendor}:443" if via == "base-url" else "regular"))

    def write(self, name: str, content: object) -> None:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))

    def check(self, *arguments: str, target: str | None = None, **environ: str) -> str:
        """What is said against it."""
        look = Look(AGENTS[self.name], self.via, self.home, self.folder, environ, arguments)
        try:
            keep_keys_home(look, target, self.going)
        except SettingsError as problem:
            return str(problem)
        return ""


def claude(**more: object) -> dict[str, object]:
    return {"env": {"ANTHROPIC_BASE_URL": URL, **more}}


def opencode(**more: object) -> dict[str, object]:
    return {"provider": {"anthropic": {"options": {"baseURL": URL, **more}}}}


CASES: list[tuple[str, str, object, dict[str, str], str]] = [
    ("claude", CLAUDE, claude(ANTHROPIC_AUTH_TOKEN="planted"), {}, "env.ANTHROPIC_AUTH_TOKEN"),
    ("claude", CLAUDE, claude(), {"ANTHROPIC_API_KEY": "planted"}, "ANTHROPIC_API_KEY"),
    ("claude", CLAUDE, {**claude(), "apiKeyHelper": "planted.sh"}, {}, "apiKeyHelper"),
    ("codex", CODEX, f'openai_base_url = "{URL}"', {"OPENAI_API_KEY": "planted"}, "OPENAI_API_KEY"),
    ("codex", CODEX, f'openai_base_url = "{URL}"', {}, "its login"),
    (
        "codex",
        CODEX,
        f'model_provider = "a"\n[model_providers.a]\nbase_url = "{URL}"\nenv_key = "OPENAI_API_KEY"',
        {"OPENAI_API_KEY": "planted"},
        "OPENAI_API_KEY",
    ),
    ("gemini", ".env", f"GOOGLE_GEMINI_BASE_URL={URL}\nGEMINI_API_KEY=planted", {}, "GEMINI_API_KEY"),
    ("gemini", ".gemini/.env", f"GOOGLE_GEMINI_BASE_URL={URL}", {"GEMINI_API_KEY": "planted"}, "GEMINI_API_KEY"),
    ("opencode", OPENCODE, opencode(apiKey="planted"), {}, "apiKey"),
    ("opencode", OPENCODE, opencode(), {"ANTHROPIC_API_KEY": "planted"}, "ANTHROPIC_API_KEY"),
    ("opencode", "x", "", {"OPENCODE_CONFIG_CONTENT": json.dumps(opencode(apiKey="planted"))}, "apiKey"),
]


@pytest.mark.parametrize("name, file, content, environ, key", CASES)
def test_a_key_that_stands_beside_another_address_stays_there(
    tmp_path: Path, name: str, file: str, content: object, environ: dict[str, str], key: str
) -> None:
    room = Room(tmp_path, name)
    room.write(file, content)
    said = room.check(**environ)
    assert f" leads to gw.example, and {key} may be meant for that alone: --target says" in said
    assert "planted" not in said
    assert room.check(target="https://api.anthropic.com", **environ) == ""


@pytest.mark.parametrize("file, document", [(".local/share/opencode/auth.json", {"anthropic": {"type": "api"}})])
def test_a_login_of_opencode_is_a_key(tmp_path: Path, file: str, document: object) -> None:
    room = Room(tmp_path, "opencode")
    room.write(OPENCODE, opencode())
    assert room.check() == ""
    room.write(file, document)
    assert "its login may be meant for that alone" in room.check()


@pytest.mark.parametrize("name, file, content, environ", [case[:4] for case in CASES])
def test_where_it_goes_to_that_address_or_without_a_key_there_is_nothing_to_say(
    tmp_path: Path, name: str, file: str, content: object, environ: dict[str, str]
) -> None:
    room = Room(tmp_path, name)
    room.write(file, content)
    for going in (
        Destination(plan=Plan("reverse:https://gw.example:443")),
        Destination(plan=Plan("reverse:https://x.example:443"), gateway="https://x.example"),
    ):
        room.going = going
        assert room.check(**environ) == ""


def test_an_address_of_opencode_that_is_not_overruled_may_have_its_key(tmp_path: Path) -> None:
    room = Room(tmp_path, "opencode")
    room.write(OPENCODE, {"provider": {"openai": {"options": {"baseURL": URL, "apiKey": "planted"}}}})
    assert room.check() == ""  # A proxy before Anthropic's API is none for OpenAI's.


def test_by_https_proxy_too_claudes_settings_are_overruled(tmp_path: Path) -> None:
    room = Room(tmp_path, "claude", "https-proxy")
    room.write(CLAUDE, claude(ANTHROPIC_API_KEY="planted"))
    assert "leads to gw.example" in room.check()
    # Elsewhere it goes without its key; and whoever gives settings by hand is not overruled.
    room.going = Destination(regular=True, retarget=(f"api.anthropic.com={URL}",))
    assert room.check() == ""
    room.going = Destination(regular=True)
    assert room.check("--settings", "mine.json") == ""


@pytest.mark.parametrize("name, file, content, environ", [case[:4] for case in CASES if case[0] != "claude"])
def test_by_https_proxy_the_others_keep_their_address(
    tmp_path: Path, name: str, file: str, content: object, environ: dict[str, str]
) -> None:
    room = Room(tmp_path, name, "https-proxy")
    room.write(file, content)
    assert room.check(**environ) == ""


def test_without_a_key_or_an_address_nothing_is_said(tmp_path: Path) -> None:
    for name in AGENTS:
        assert Room(tmp_path, name).check() == ""
    room = Room(tmp_path, "claude")
    room.write(CLAUDE, claude())
    assert room.check() == ""
    room.write(CLAUDE, {"env": {"ANTHROPIC_BASE_URL": "http://[bad", "ANTHROPIC_API_KEY": "planted"}})
    assert room.check() == ""
