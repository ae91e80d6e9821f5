import json
from pathlib import Path

import pytest

from codemie_core.errors import SettingsError
from codemie_core.launch.agents import AGENTS, GENERIC
from codemie_core.launch.destination import Destination, decide
from codemie_core.launch.environment import Via

GATEWAY = "https://codemie.example.com/code-assistant-api"


def where(
    name: str, home: Path, via: Via = "base-url", target: str | None = None, profile: str = "", **environ: str
) -> Destination:
    return decide(AGENTS.get(name, GENERIC), name, via, target, profile, {"CODEMIE_HOME": str(home), **environ})


@pytest.fixture
def codemie_profile(codemie_home: Path) -> Path:
    codemie_home.mkdir()
    document = {
        "version": 2,
        "activeProfile": "work",
        "profiles": {"work": {"provider": "ai-run-sso", "baseUrl": GATEWAY, "jwtConfig": {"tokenEnvVar": "MY_JWT"}}},
    }
    (codemie_home / "codemie-cli.config.json").write_text(json.dumps(document))
    return codemie_home


@pytest.mark.parametrize(
    "name, host",
    [("claude", "api.anthropic.com"), ("codex", "api.openai.com"), ("gemini", "generativelanguage.googleapis.com")],
)
def test_without_a_word_it_is_the_agents_vendor(codemie_home: Path, name: str, host: str) -> None:
    found = where(name, codemie_home)
    assert (found.host, found.arguments, found.gateway, found.notes) == (host, (f"https://{host}",), "", ())


def test_a_profile_says_where_to_in_both_modes(codemie_profile: Path) -> None:
    found = where("claude", codemie_profile)
    assert (found.host, found.arguments, found.gateway) == ("codemie.example.com", (), GATEWAY)
    assert found.secrets == {"MY_JWT"}
    found = where("claude", codemie_profile, "https-proxy", profile="work")
    assert found.retarget == (f"api.anthropic.com={GATEWAY}",)
    assert found.arguments == ("--regular", "--profile", "work", "--retarget", *found.retarget)
    assert found.gateway == GATEWAY


def test_a_target_counts_more_than_the_profile(codemie_profile: Path) -> None:
    found = where("claude", codemie_profile, target="https://api.anthropic.com")
    assert (found.host, found.gateway) == ("api.anthropic.com", "")
    found = where("claude", codemie_profile, "https-proxy", "https://api.anthropic.com")
    assert (found.arguments, found.retarget, found.gateway) == (("--regular",), (), "")


def test_a_gateway_named_as_target_is_signed_in_to(codemie_home: Path) -> None:
    signed_in_to = "https://codemie.example.com:443/code-assistant-api"
    assert where("codex", codemie_home, target=GATEWAY).gateway == signed_in_to
    found = where("codex", codemie_home, "https-proxy", GATEWAY)
    assert found.arguments == ("--regular", "--retarget", f"api.openai.com={GATEWAY}")
    assert (found.gateway, found.plan.sign_in_url) == (signed_in_to, signed_in_to)


def test_where_the_agent_is_led_already_is_kept(codemie_home: Path) -> None:
    found = where("claude", codemie_home, ANTHROPIC_BASE_URL="https://gateway.example/claude/")
    assert found.arguments == ("https://gateway.example/claude",)
    assert found.notes == ("TARGET is what ANTHROPIC_BASE_URL says: https://gateway.example/claude",)
    found = where("any", codemie_home, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert found.arguments == ("http://127.0.0.1:9",)


@pytest.mark.parametrize(
    "environ, words",
    [
        ({}, "where any calls to is not known"),
        ({"OPENAI_BASE_URL": "https://a.example/openai"}, "OPENAI_BASE_URL does not end in /v1"),
        (
            {"OPENAI_BASE_URL": "https://a.example/v1", "ANTHROPIC_BASE_URL": "https://b.example"},
            "lead to different places",
        ),
        ({"ANTHROPIC_BASE_URL": "https://user:planted@b.example"}, "ANTHROPIC_BASE_URL: credentials do not belong"),
    ],
)
def test_a_key_is_never_sent_somewhere_by_guess(codemie_home: Path, environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as raised:
        where("any", codemie_home, "base-url", **environ)
    assert "planted" not in str(raised.value)


def test_in_https_proxy_mode_nobody_needs_to_know_where_a_program_calls_to(codemie_home: Path) -> None:
    found = where("any", codemie_home, "https-proxy")
    assert (found.arguments, found.retarget, found.host) == (("--regular",), (), "")


def test_a_key_for_a_gateway_does_not_go_to_the_vendor_when_its_base_url_is_taken_out(codemie_home: Path) -> None:
    led = {"ANTHROPIC_BASE_URL": "https://gateway.example", "ANTHROPIC_API_KEY": "planted"}
    with pytest.raises(SettingsError, match="ANTHROPIC_BASE_URL leads elsewhere, and ANTHROPIC_API_KEY") as raised:
        where("claude", codemie_home, "https-proxy", **led)
    assert "planted" not in str(raised.value)
    vendor = "https://api.anthropic.com"
    assert where("claude", codemie_home, "https-proxy", vendor, **led).retarget == ()
    assert where("claude", codemie_home, "https-proxy", **{**led, "ANTHROPIC_BASE_URL": vendor}).retarget == ()
    assert where("claude", codemie_home, "https-proxy", ANTHROPIC_BASE_URL="https://gateway.example").regular


def test_a_folders_file_that_decides_is_named(
    codemie_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cloned"
    (folder / ".codemie").mkdir(parents=True)
    document = {"provider": "litellm", "baseUrl": "https://odd.example"}
    (folder / ".codemie/codemie-cli.config.json").write_text(json.dumps(document))
    monkeypatch.chdir(folder)
    [note] = where("claude", codemie_home).notes
    assert "https://odd.example" in note
    assert str(folder) in note
